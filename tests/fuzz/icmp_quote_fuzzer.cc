// ParseIcmpError() and what follows from it over any message: what it finds
// lies inside, and the error that the inner sender is told is sound and is
// answered by none. Input: two bytes of configuration (fuzz_config.h), a path
// MTU of two bytes, the message of the family of the tunnel from its type on
// (the checksum of ICMP is mended).

#include <vector>

#include "encap/checksum.h"
#include "encap/icmp_error.h"
#include "encap/icmp_quote.h"
#include "encap/pmtu.h"
#include "encap/wire/icmp.h"
#include "tests/fuzz/fuzz_config.h"

namespace encap::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;

bool IsInside(std::span<const uint8_t> part, const Bytes& whole) {
  return part.empty() ||
         (part.data() >= whole.data() &&
          part.data() + part.size() <= whole.data() + whole.size());
}

void MendChecksum(Bytes& message) {
  if (message.size() < IcmpHeader::kLen) return;
  IcmpHeader header(message.data());
  header.set_checksum(Be16(0));
  header.set_checksum(InternetChecksum(message));
}

void Tell(const InnerError& error, const QuotedInner& inner) {
  const bool v6 = inner.family == IpFamily::kV6;
  const IpAddress source = *IpAddress::Parse(v6 ? "fd00::1" : "10.0.0.1");
  Bytes out(kMaxIcmpErrorV6);
  const size_t size = ComposeIcmpError(error, inner.packet, source, out);
  Require((size != 0) == MayAnswer(inner.packet, error.kind),
          "what may be answered is");
  if (size == 0) return;
  Require(size <= (v6 ? kMaxIcmpErrorV6 : kMaxIcmpErrorV4), "at most so large");
  out.resize(size);
  for (const InnerError::Kind kind :
       {InnerError::Kind::kTooBig, InnerError::Kind::kHostUnreachable}) {
    Require(!MayAnswer(out, kind), "an error begets no error");
  }
  out.erase(out.begin(), out.begin() + (v6 ? 40 : 20));
  const auto parsed = ParseIcmpError(out, inner.family);
  Require(parsed.has_value(), "what is composed can be parsed");
  if (error.kind == InnerError::Kind::kTooBig) {
    Require(parsed->head.info >= (v6 ? 1280 : 0), "no MTU below the floor");
  }
}

void Run(const EncapConfig& config, uint32_t path_mtu, const Bytes& message) {
  const IpFamily family = config.local.family();
  const auto error = ParseIcmpError(message, family);
  if (!error) return;
  Require(error->addresses.local.family() == family &&
              error->addresses.remote.family() == family,
          "one family");
  Require(IsInside(error->upper, message), "upper lies inside");
  Require(!error->later_fragment || error->upper.empty(),
          "a later fragment has no upper layer");
  const auto inner = FindQuotedInner(*error, config);
  if (!inner) return;
  Require(IsQuoteOf(*error, config), "an inner packet is that of a tunnel");
  Require(IsInside(inner->packet, message), "the inner packet lies inside");
  Require(inner->family != IpFamily::kNone, "it has a family");
  PathMtu path(family, path_mtu);
  path.Learn(error->head.info, error->packet_len, 1);
  Require(path.value() <= path_mtu, "a report never raises the estimate");
  const auto told = RelayOuterError(*error, *inner, path.value());
  if (told) Tell(*told, *inner);
  for (const uint32_t info : {0u, error->head.info}) {
    Tell({InnerError::Kind::kParameterProblem, info}, *inner);
  }
}

}  // namespace
}  // namespace encap::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const encap::EncapConfig config =
      encap::fuzz::ConfigFromBytes(data[0], data[1]);
  std::vector<uint8_t> message(data + 4, data + size);
  if (config.local.is_v4()) encap::fuzz::MendChecksum(message);
  encap::fuzz::Run(config, encap::Get16(data + 2), message);
  return 0;
}
