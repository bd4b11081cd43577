// ParseOuter() over any bytes: what it accepts lies inside the packet.
// Input: the packet.

#include <vector>

#include "encap/outer_parse.h"
#include "tests/fuzz/fuzz_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using encap::DropReason;
  using encap::fuzz::Require;
  encap::OuterInfo checked;
  encap::OuterInfo info;
  encap::ParseOptions options{.any_udp_port = true};
  const DropReason strict = encap::ParseOuter({data, size}, options, checked);
  options.verify_header_checksum = false;
  const DropReason reason = encap::ParseOuter({data, size}, options, info);
  if (strict == DropReason::kNone) {
    Require(reason == DropReason::kNone, "no check fails when left out");
  } else if (strict != DropReason::kBadOuterChecksum) {
    Require(reason == strict, "the checksum is one reason among others");
  }
  if (reason != DropReason::kNone) return 0;
  Require(info.total_len <= size, "total_len <= size");
  Require(info.header_len <= info.total_len, "header_len <= total_len");
  Require(info.ip_header_len <= info.header_len, "ip_header_len <= header_len");
  Require(info.addresses.local.family() == info.addresses.remote.family(),
          "one family");
  const bool gre = info.protocol == encap::kProtoGre;
  const uint32_t udp_len = info.udp_port == 0 ? 0 : 8;
  Require(gre || info.header_len == info.ip_header_len + udp_len,
          "no GRE header");
  Require(info.udp_port != 0 || !info.has_udp_checksum, "no UDP header");
  encap::OuterInfo without_udp;
  const DropReason narrow = encap::ParseOuter({data, size}, false, without_udp);
  Require(narrow == (info.udp_port == 0 ? DropReason::kNone
                                        : DropReason::kUnknownProtocol),
          "UDP is taken where it is asked for");
  Require(gre || !(info.key || info.sequence || info.has_checksum),
          "no GRE field without GRE");
  return 0;
}
