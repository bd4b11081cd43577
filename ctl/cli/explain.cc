#include "ctl/cli/explain.h"

#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ctl/cli/errors.h"
#include "ctl/cli/json.h"
#include "ctl/text/suggest.h"
#include "encap/drop_reason.h"

namespace tunnel::ctl::cli {
namespace {

// What an operator does about a drop reason.
struct DropAdvice {
  encap::DropReason reason;
  absl::string_view next_step;
};
constexpr DropAdvice kDropAdvice[] = {
    {encap::DropReason::kTruncated,
     "capture on the underlay: the sender or the path damages packets"},
    {encap::DropReason::kBadIpHeader,
     "capture on the underlay: the sender or the path damages packets"},
    {encap::DropReason::kBadOuterChecksum,
     "capture on the underlay: the sender or the path damages packets"},
    {encap::DropReason::kBadGreChecksum,
     "capture at both ends: the payload was damaged on the way"},
    {encap::DropReason::kBadVersion,
     "the peer sends another GRE version (PPTP sends 1): check its "
     "mode"},
    {encap::DropReason::kUnsupportedFlags,
     "turn off source routing (RFC 1701) at the peer"},
    {encap::DropReason::kUnknownProtocol,
     "compare the modes of both ends; ipip, sit and ip6ip6 carry one "
     "family only, gif and gre both"},
    {encap::DropReason::kNoTunnel,
     "create the tunnel, or compare local and remote with the peer's "
     "remote and local"},
    {encap::DropReason::kKeyMissing,
     "set the key at the peer, or remove it here: tunnelctl set NAME "
     "nokey"},
    {encap::DropReason::kKeyUnexpected,
     "set the peer's key here: tunnelctl set NAME key K; no key and "
     "key "
     "0 are two things"},
    {encap::DropReason::kKeyMismatch,
     "compare the input key here with the output key of the peer"},
    {encap::DropReason::kWrongSource,
     "compare remote here with the address that the peer sends from; "
     "NAT in between changes it; or allow the inner source: tunnelctl set "
     "NAME allowed-ips CIDR"},
    {encap::DropReason::kMartianSource,
     "find out who sends from such an address; it may be forged"},
    {encap::DropReason::kEcnIllegal,
     "a router marks packets that did not ask for it, or the peer "
     "mishandles ECN; ecn compat at the peer ends it"},
    {encap::DropReason::kOutOfOrder,
     "the path reorders or the peer sends no sequence numbers: "
     "tunnelctl set NAME noseq, or set seq at the peer"},
    {encap::DropReason::kTtlExpired,
     "look for a routing loop through the tunnel"},
    {encap::DropReason::kRecursion,
     "the route to the remote leads into a tunnel: give the remote a "
     "route through the underlay; or the packet has used up its "
     "encapsulation limit: raise it where it first enters a tunnel"},
    {encap::DropReason::kTooBig,
     "lower the MTU (mtu auto does), let ICMP pass, set mss-clamp auto for "
     "TCP, or df off with fragment outer"},
    {encap::DropReason::kReassemblyFailed,
     "lower the MTU so that outer packets need no fragments"},
    {encap::DropReason::kQueueFull,
     "more traffic than the workers or the socket take: see 'tunnelctl "
     "stats -d', raise queues or txqueuelen"},
    {encap::DropReason::kPaused, "tunnelctl resume NAME"},
    {encap::DropReason::kDown, "tunnelctl up NAME"},
    {encap::DropReason::kNoRoute,
     "ip route get REMOTE from LOCAL; is the local address on an "
     "interface that is up?"},
    {encap::DropReason::kSendError,
     "look at the underlay: firewall, interface down, out of buffers"},
    {encap::DropReason::kInnerWriteError,
     "is the interface of the tunnel up? 'ip link show NAME'"},
};
static_assert(std::size(kDropAdvice) == encap::kDropReasonCount - 1);

absl::string_view DropNextStep(encap::DropReason reason) {
  for (const DropAdvice& advice : kDropAdvice) {
    if (advice.reason == reason) return advice.next_step;
  }
  return "";
}

Explanation OfDrop(size_t index) {
  const encap::DropReasonInfo& info = encap::kDropReasonInfo[index];
  Explanation explanation;
  explanation.reason = std::string(info.name);
  explanation.kind = "drop";
  explanation.text = std::string(info.text);
  explanation.next_step =
      std::string(DropNextStep(static_cast<encap::DropReason>(index)));
  return explanation;
}

Explanation OfError(const ReasonInfo& info) {
  Explanation explanation;
  explanation.reason = std::string(info.reason);
  explanation.kind = "error";
  explanation.text = std::string(info.text);
  explanation.next_step = absl::StrReplaceAll(
      info.next_step, {{"{tunnel}", "TUNNEL"}, {"{id}", "ID"}});
  explanation.code = std::string(info.code);
  explanation.exit_code = info.exit_code;
  return explanation;
}

}  // namespace

std::vector<Explanation> AllExplanations() {
  std::vector<Explanation> all;
  for (size_t i = 1; i < encap::kDropReasonCount; ++i) all.push_back(OfDrop(i));
  for (const ReasonInfo& info : Reasons()) all.push_back(OfError(info));
  return all;
}

bool Explain(absl::string_view reason, Explanation* explanation,
             std::string* nearest) {
  const std::string wanted = absl::StrReplaceAll(reason, {{"-", "_"}});
  const std::vector<Explanation> all = AllExplanations();
  std::vector<absl::string_view> names;
  for (const Explanation& candidate : all) {
    if (absl::EqualsIgnoreCase(candidate.reason, wanted)) {
      *explanation = candidate;
      return true;
    }
    names.push_back(candidate.reason);
  }
  *nearest = Nearest(absl::AsciiStrToLower(wanted), names);
  if (nearest->empty())
    *nearest = Nearest(absl::AsciiStrToUpper(wanted), names);
  return false;
}

std::string ExplanationText(const Explanation& explanation) {
  std::string text =
      absl::StrCat(explanation.reason, " (", explanation.kind, ")\n  ",
                   explanation.text, "\n  ", explanation.next_step, "\n");
  if (explanation.kind == "error") {
    absl::StrAppend(&text, "  gRPC code ", explanation.code, ", exit code ",
                    explanation.exit_code, "\n");
  }
  return text;
}

std::string ExplanationJson(const std::vector<Explanation>& explanations,
                            bool pretty) {
  JsonWriter json(pretty);
  json.BeginArray();
  for (const Explanation& explanation : explanations) {
    json.BeginObject();
    json.Key("reason").String(explanation.reason);
    json.Key("kind").String(explanation.kind);
    json.Key("text").String(explanation.text);
    json.Key("next_step").String(explanation.next_step);
    if (explanation.kind == "error") {
      json.Key("code").String(explanation.code);
      json.Key("exit_code")
          .Number(static_cast<uint64_t>(explanation.exit_code));
    }
    json.EndObject();
  }
  json.EndArray();
  return json.Take() + "\n";
}

}  // namespace tunnel::ctl::cli
