#include "encap/packets_for_test.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace encap::testing {
namespace {

[[noreturn]] void Die(std::string_view what) {
  std::fprintf(stderr, "packets_for_test: %.*s\n",
               static_cast<int>(what.size()), what.data());
  std::abort();
}

void Put(Bytes& bytes, size_t at, uint16_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

void PutAddress(Bytes& bytes, size_t at, std::string_view text) {
  const IpAddress address = Addr(text);
  std::copy(address.bytes().begin(), address.bytes().end(),
            bytes.begin() + static_cast<ptrdiff_t>(at));
}

void FillPayload(Bytes& bytes, size_t header_len) {
  for (size_t i = header_len; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i);
  }
}

int Digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Bytes FromHex(std::string_view hex) {
  Bytes out;
  int high = -1;
  for (const char c : hex) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') continue;
    const int digit = Digit(c);
    if (digit < 0) Die("not a hexadecimal digit");
    if (high < 0) {
      high = digit;
      continue;
    }
    out.push_back(static_cast<uint8_t>(high << 4 | digit));
    high = -1;
  }
  if (high >= 0) Die("odd number of digits");
  return out;
}

std::string ToHex(std::span<const uint8_t> bytes) {
  std::string out;
  char digits[4];
  for (const uint8_t b : bytes) {
    std::snprintf(digits, sizeof(digits), "%02x", b);
    if (!out.empty()) out += ' ';
    out += digits;
  }
  return out;
}

IpAddress Addr(std::string_view text) {
  const auto address = IpAddress::Parse(text);
  if (!address) Die("bad address");
  return *address;
}

uint16_t ReferenceChecksum(std::span<const uint8_t> bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    const uint32_t low = i + 1 < bytes.size() ? bytes[i + 1] : 0;
    sum += uint32_t{bytes[i]} << 8 | low;
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return static_cast<uint16_t>(~sum);
}

Bytes InnerV4(const InnerOptions& options) {
  Bytes p(20 + options.payload);
  p[0] = 0x45;
  p[1] = options.tos;
  Put(p, 2, static_cast<uint16_t>(p.size()));
  Put(p, 4, 0x1234);
  Put(p, 6, options.dont_fragment ? 0x4000 : 0);
  p[8] = options.ttl;
  p[9] = options.protocol;
  PutAddress(p, 12, "10.1.0.1");
  PutAddress(p, 16, "10.2.0.2");
  Put(p, 10, ReferenceChecksum({p.data(), 20}));
  FillPayload(p, 20);
  return p;
}

Bytes InnerV6(const InnerOptions& options) {
  Bytes p(40 + options.payload);
  p[0] = static_cast<uint8_t>(0x60 | options.tos >> 4);
  p[1] = static_cast<uint8_t>(options.tos << 4);
  Put(p, 4, static_cast<uint16_t>(options.payload));
  p[6] = options.protocol;
  p[7] = options.ttl;
  PutAddress(p, 8, "fd00:1::1");
  PutAddress(p, 24, "fd00:2::2");
  FillPayload(p, 40);
  return p;
}

Bytes Inner(IpFamily family, const InnerOptions& options) {
  return family == IpFamily::kV4 ? InnerV4(options) : InnerV6(options);
}

void SetOuterEcn(Bytes& packet, uint8_t ecn) {
  if (packet[0] >> 4 == 6) {
    packet[1] = static_cast<uint8_t>((packet[1] & 0xcf) | ecn << 4);
    return;
  }
  packet[1] = static_cast<uint8_t>((packet[1] & 0xfc) | ecn);
  packet[10] = packet[11] = 0;
  const uint16_t sum = ReferenceChecksum({packet.data(), 20});
  packet[10] = static_cast<uint8_t>(sum >> 8);
  packet[11] = static_cast<uint8_t>(sum);
}

Bytes Frame(uint16_t ethertype, const Bytes& payload, int tags) {
  Bytes frame = FromHex("02000000000a 02000000000b");
  for (int i = 0; i < tags; ++i) {
    const Bytes tag = FromHex("81000064");
    frame.insert(frame.end(), tag.begin(), tag.end());
  }
  frame.push_back(static_cast<uint8_t>(ethertype >> 8));
  frame.push_back(static_cast<uint8_t>(ethertype));
  frame.insert(frame.end(), payload.begin(), payload.end());
  return frame;
}

bool Ipv4HeaderIsRight(std::span<const uint8_t> packet) {
  if (packet.size() < 20) return false;
  const size_t header_len = size_t{4} * (packet[0] & 0x0f);
  return packet[0] >> 4 == 4 && header_len >= 20 &&
         packet.size() >= header_len &&
         ReferenceChecksum(packet.first(header_len)) == 0;
}

EncapConfig Config(Mode mode, IpFamily outer) {
  EncapConfig config;
  config.mode = mode;
  const bool v4 = outer == IpFamily::kV4;
  config.local = Addr(v4 ? "192.0.2.1" : "2001:db8::1");
  config.remote = Addr(v4 ? "192.0.2.2" : "2001:db8::2");
  return config;
}

EncapConfig Peer(const EncapConfig& config) {
  EncapConfig peer = config;
  peer.local = config.remote;
  peer.remote = config.local;
  peer.input_key = config.output_key;
  peer.output_key = config.input_key;
  return peer;
}

OwnedPacket::OwnedPacket(const Bytes& bytes, size_t headroom, size_t tailroom)
    : storage_(headroom + bytes.size() + tailroom, 0xee),
      packet_(storage_, headroom, bytes.size()) {
  std::copy(bytes.begin(), bytes.end(),
            storage_.begin() + static_cast<ptrdiff_t>(headroom));
}

}  // namespace encap::testing
