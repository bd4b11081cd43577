// Puts an IPv4 packet into GRE with key 42, and takes it out again.
#include <cstdio>
#include <vector>

#include "encap/decapsulator.h"
#include "encap/encapsulator.h"

int main() {
  encap::EncapConfig config;
  config.mode = encap::Mode::kGre;
  config.local = *encap::IpAddress::Parse("192.0.2.1");
  config.remote = *encap::IpAddress::Parse("192.0.2.2");
  config.input_key = config.output_key = 42;
  for (const encap::FieldError& e : encap::Validate(config))
    std::puts(e.message.c_str());

  // Your buffer: headroom for the outer headers, then the packet (here an IPv4
  // header without payload, 10.9.0.1 to 10.9.0.2).
  std::vector<uint8_t> memory(2048);
  const uint8_t ip[20] = {0x45, 0,    0,  20, 0, 0, 0,  0, 64, 253,
                          0x65, 0xcc, 10, 9,  0, 1, 10, 9, 0,  2};
  std::copy(ip, ip + 20, memory.begin() + encap::kMaxEncapHeadroom);
  encap::PacketBuffer packet(memory, encap::kMaxEncapHeadroom, 20);

  const encap::Encapsulator encapsulator(config);  // for any number of threads
  encap::OutputState output;                       // one a thread
  encap::DropReason reason = encapsulator.Encapsulate(packet, output);
  std::printf("encapsulate: %s, %zu bytes\n", DropReasonName(reason).data(),
              packet.size());

  // The other end has local and remote the other way round.
  std::swap(config.local, config.remote);
  const encap::Decapsulator decapsulator(config);
  encap::InputState input;
  encap::OuterInfo outer;  // look the tunnel up by its addresses and key
  reason =
      encap::ParseOuter(packet.bytes(), /*verify_header_checksum=*/true, outer);
  if (reason == encap::DropReason::kNone)
    reason = decapsulator.Decapsulate(packet, outer, input);
  std::printf("decapsulate: %s, %zu bytes\n", DropReasonName(reason).data(),
              packet.size());
  return reason == encap::DropReason::kNone && packet.size() == 20 ? 0 : 1;
}
