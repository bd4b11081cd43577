#include "tests/fuzz/fuzz_config.h"

#include <cstdio>
#include <cstdlib>

namespace encap::fuzz {

EncapConfig ConfigFromBytes(uint8_t mode, uint8_t policy) {
  EncapConfig config;
  config.mode = static_cast<Mode>((mode & 7) % 6);
  bool v6 = mode & 8;
  if (config.mode == Mode::kSit) v6 = false;
  if (config.mode == Mode::kIp6ip6) v6 = true;
  config.local = *IpAddress::Parse(v6 ? "2001:db8::1" : "192.0.2.1");
  config.remote = *IpAddress::Parse(v6 ? "2001:db8::2" : "192.0.2.2");
  if (IsGre(config.mode)) {
    if (mode & 16) config.input_key = 42;
    if (mode & 32) config.output_key = 42;
    config.checksum = mode & 64;
    config.sequence = mode & 128;
  }
  if (policy & 1) config.ttl = std::nullopt;
  if (policy & 2) config.tos = 0xb8;
  config.df = static_cast<DfPolicy>(((policy >> 2) & 3) % 3);
  if (policy & 16) config.ecn = EcnMode::kCompat;
  if (policy & 32) {
    config.transport = OuterTransport::kUdp;
    config.udp_zero_checksum = !v6 && policy & 64;
  }
  if (v6 && policy & 64) config.encap_limit = 3;
  if ((policy & 128) && config.mode != Mode::kGretap) {
    config.allowed_sources = {*IpPrefix::Parse(
        config.mode == Mode::kSit || config.mode == Mode::kIp6ip6
            ? "fd00::/8"
            : "10.0.0.0/8")};
  }
  Require(Validate(config).empty(), "the config is valid");
  return config;
}

void Require(bool holds, const char* property) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", property);
  std::abort();
}

}  // namespace encap::fuzz
