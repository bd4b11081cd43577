// Encapsulate() over any payload; what it sends, the other end takes and gives
// back unchanged. Input: two bytes of configuration (fuzz_config.h), payload.

#include <algorithm>
#include <utility>
#include <vector>

#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "tests/fuzz/fuzz_config.h"

namespace encap::fuzz {
namespace {

void Run(const EncapConfig& config, const uint8_t* payload, size_t size) {
  std::vector<uint8_t> storage(kMaxEncapHeadroom + size);
  std::copy_n(payload, size, storage.begin() + kMaxEncapHeadroom);
  PacketBuffer packet(storage, kMaxEncapHeadroom, size);
  OutputState out;
  if (Encapsulator(config).Encapsulate(packet, out) != DropReason::kNone) {
    Require(packet.size() == size &&
                std::equal(payload, payload + size, packet.data()),
            "a drop changes nothing");
    return;
  }
  OuterInfo info;
  constexpr ParseOptions kOptions{.any_udp_port = true};
  Require(ParseOuter(std::as_const(packet).bytes(), kOptions, info) ==
              DropReason::kNone,
          "what is sent can be parsed");
  Require(info.udp_port == UdpPort(config), "the port is that of the tunnel");
  Require(info.total_len == packet.size(), "the outer length is right");
  EncapConfig peer = config;
  std::swap(peer.local, peer.remote);
  std::swap(peer.input_key, peer.output_key);
  Require(info.addresses == AddressPair{peer.local, peer.remote},
          "the addresses are those of the tunnel");
  InputState in;
  const DropReason reason = Decapsulator(peer).Decapsulate(packet, info, in);
  if (reason == DropReason::kMartianSource) return;
  if (reason == DropReason::kWrongSource) {
    Require(!config.allowed_sources.empty(), "every source is allowed");
    return;
  }
  Require(reason == DropReason::kNone, "what is sent is taken");
  Require(packet.size() <= size &&
              std::equal(packet.data(), packet.data() + packet.size(), payload),
          "what went in comes out");
}

}  // namespace
}  // namespace encap::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  encap::fuzz::Run(encap::fuzz::ConfigFromBytes(data[0], data[1]), data + 2,
                   size - 2);
  return 0;
}
