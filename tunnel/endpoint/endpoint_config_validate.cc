#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "encap/address.h"
#include "encap/encap_config.h"
#include "tunnel/base/error.h"
#include "tunnel/base/units.h"
#include "tunnel/bpf/eligibility.h"
#include "tunnel/endpoint/endpoint_config.h"

namespace tunnel {
namespace {

using encap::IpAddress;
using encap::IpPrefix;
using encap::Mode;
using Violations = std::vector<FieldViolation>;

// "\"gre0\"", with what a terminal would not show escaped and long text cut.
std::string Quote(absl::string_view text) {
  constexpr size_t kMost = 40;
  const bool cut = text.size() > kMost;
  return absl::StrCat("\"", absl::CHexEscape(text.substr(0, kMost)), "\"",
                      cut ? "..." : "");
}

bool HasControlByte(absl::string_view text) {
  for (const char c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) return true;
  }
  return false;
}

// Length of the UTF-8 sequence that `text` begins with (RFC 3629 4); 0 when it
// is malformed.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) > 0x9f;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool beyond = first == 0xf4 && byte(1) > 0x8f;
    return tail(1) && tail(2) && tail(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// What is wrong with `name` for a tunnel; "" when nothing is.
absl::string_view NameFault(absl::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxNameLength) return "is too long";
  if (name == "." || name == "..") return "is a directory";
  if (name == "all" || name == "default") return "is reserved by the kernel";
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' &&
        c != '.' && c != '-') {
      return "has another character";
    }
  }
  return "";
}

// As the kernel takes names of interfaces (dev_valid_name()).
bool IsInterfaceName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength) return false;
  if (name == "." || name == "..") return false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '/' || c == ':' || absl::ascii_isspace(byte) ||
        absl::ascii_iscntrl(byte)) {
      return false;
    }
  }
  return true;
}

void CheckName(const EndpointConfig& config, Violations& bad) {
  const absl::string_view fault = NameFault(config.name);
  if (fault.empty()) return;
  bad.push_back({"name", absl::StrCat(Quote(config.name), " ", fault,
                                      "; want 1 to ", kMaxNameLength,
                                      " of A-Z a-z 0-9 _ . -, but not \".\", "
                                      "\"..\", \"all\" or \"default\"")});
}

// `below`: what the interface is to the tunnel.
void CheckInterface(absl::string_view field, const std::string& device,
                    const EndpointConfig& config, absl::string_view below,
                    Violations& bad) {
  if (device.empty()) return;
  if (!IsInterfaceName(device)) {
    bad.push_back(
        {std::string(field),
         absl::StrCat(Quote(device), " can not be the name of an interface; ",
                      "want 1 to ", kMaxNameLength,
                      " bytes without blank, '/' or ':'")});
  } else if (device == config.name) {
    bad.push_back(
        {std::string(field),
         absl::StrCat(Quote(device), " is the tunnel itself; want ", below)});
  }
}

void CheckUnderlayDevice(const EndpointConfig& config, Violations& bad) {
  CheckInterface("underlay_device", config.underlay_device, config,
                 "the interface below it, or none", bad);
}

void CheckLocalDevice(const EndpointConfig& config, Violations& bad) {
  CheckInterface("local", config.local_device, config,
                 "the interface whose address it is to use", bad);
  if (!config.local_device.empty() &&
      config.encap.local.family() != encap::IpFamily::kNone) {
    bad.push_back(
        {"local", absl::StrCat(config.encap.local.ToString(), " and ",
                               LocalText(config), "; want one of them")});
  }
}

// For the checks of the outer header alone: with an address in place of the
// interface that it will come from.
encap::EncapConfig WithSomeLocal(const EndpointConfig& config) {
  encap::EncapConfig result = config.encap;
  if (config.local_device.empty()) return result;
  const char* const some[2][2] = {{"192.0.2.1", "192.0.2.2"},
                                  {"2001:db8::1", "2001:db8::2"}};
  const auto& of_family = some[result.remote.is_v6() ? 1 : 0];
  result.local = *IpAddress::Parse(of_family[0]);
  if (result.local == result.remote)
    result.local = *IpAddress::Parse(of_family[1]);
  return result;
}

uint32_t MinMtu(const EndpointConfig& config) {
  const Mode mode = config.encap.mode;
  if (mode == Mode::kSit || mode == Mode::kIp6ip6) return kMinMtuV6;
  for (const IpPrefix& prefix : config.addresses) {
    if (prefix.address.is_v6()) return kMinMtuV6;
  }
  return kMinMtuV4;
}

void CheckMtu(const EndpointConfig& config, Violations& bad) {
  const uint32_t min = MinMtu(config);
  if (!config.mtu || (*config.mtu >= min && *config.mtu <= kMaxMtu)) return;
  bad.push_back({"mtu", absl::StrCat(*config.mtu, "; want ", min, " to ",
                                     kMaxMtu, " bytes, or auto")});
}

// What makes `prefix` unusable as the address of an interface; "" for nothing.
absl::string_view PrefixFault(const IpPrefix& prefix) {
  const IpAddress& address = prefix.address;
  if (address.family() == encap::IpFamily::kNone) return "is no address";
  if (prefix.length == 0) return "has prefix length 0";
  if (prefix.length > address.bytes().size() * 8) {
    return "has a prefix length above that of the family";
  }
  if (address.IsUnspecified()) return "is the unspecified address";
  if (address.IsMulticast()) return "is a multicast address";
  if (address.IsLoopback()) return "is a loopback address";
  if (address.IsMartianSource()) return "is in a reserved range";
  return "";
}

// Returns true when the first fault found is a family mismatch.
bool CheckAddresses(const EndpointConfig& config, Violations& bad) {
  const auto& addresses = config.addresses;
  if (addresses.size() > kMaxAddresses) {
    bad.push_back({"addresses", absl::StrCat(addresses.size(), "; want ",
                                             kMaxAddresses, " at most")});
    return false;
  }
  const size_t before = bad.size();
  bool mismatch = false;
  std::set<IpAddress> seen;
  for (size_t i = 0; i < addresses.size(); ++i) {
    const std::string field = absl::StrCat("addresses[", i, "]");
    const std::string text = addresses[i].ToString();
    if (const auto fault = PrefixFault(addresses[i]); !fault.empty()) {
      bad.push_back({field, absl::StrCat(text, " ", fault,
                                         "; want a unicast ADDRESS/LENGTH")});
    } else if (!seen.insert(addresses[i].address).second) {
      bad.push_back({field, absl::StrCat(text,
                                         " is given twice; want each "
                                         "address once")});
    } else if (!Carries(config.encap.mode, addresses[i].address.family())) {
      mismatch = mismatch || bad.size() == before;
      bad.push_back(
          {field, absl::StrCat(text, " is of a family that mode ",
                               std::string(ModeName(config.encap.mode)),
                               " does not carry; want an IPv",
                               addresses[i].address.is_v4() ? 6 : 4,
                               " address, or another mode")});
    }
  }
  return mismatch;
}

void CheckCounts(const EndpointConfig& config, Violations& bad) {
  if (config.queues > kMaxQueues) {
    bad.push_back({"queues", absl::StrCat(config.queues, "; want 1 to ",
                                          kMaxQueues, ", or 0 for auto")});
  }
  if (config.txqueuelen > kMaxTxQueueLen) {
    bad.push_back(
        {"txqueuelen", absl::StrCat(config.txqueuelen, "; want 1 to ",
                                    kMaxTxQueueLen, ", or 0 for default")});
  }
}

void CheckShape(const EndpointConfig& config, Violations& bad) {
  if (config.rate != 0 && (config.rate < kMinRate || config.rate > kMaxRate)) {
    bad.push_back({"rate", absl::StrCat(RateText(config.rate), "; want ",
                                        RateText(kMinRate), " to ",
                                        RateText(kMaxRate), ", or none")});
  }
  if (config.burst == 0) return;
  if (config.rate == 0) {
    bad.push_back({"burst",
                   "set without a rate that it belongs to; want a rate, or "
                   "burst auto"});
  } else if (config.burst < kMinBurst || config.burst > kMaxBurst) {
    bad.push_back({"burst", absl::StrCat(SizeText(config.burst), "; want ",
                                         SizeText(kMinBurst), " to ",
                                         SizeText(kMaxBurst), ", or auto")});
  }
}

void CheckDatapath(const EndpointConfig& config, Violations& bad) {
  if (config.datapath != DatapathMode::kBpf) return;
  const std::string why = WhyNeverBpf(config);
  if (why.empty()) return;
  bad.push_back({"datapath",
                 absl::StrCat("bpf does not carry this tunnel: ", why,
                              "; want auto or user, or a tunnel without it")});
}

absl::string_view LabelFault(absl::string_view key, absl::string_view value) {
  if (key.empty()) return "has no key";
  for (const char c : key) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' &&
        c != '.' && c != '-' && c != '/') {
      return "has a key with another character";
    }
  }
  if (key.size() + value.size() > kMaxLabelBytes) return "is too long";
  if (HasControlByte(value)) return "has a value with a control character";
  if (!IsUtf8(value)) return "has a value that is not UTF-8";
  return "";
}

void CheckLabels(const EndpointConfig& config, Violations& bad) {
  if (config.labels.size() > kMaxLabels) {
    bad.push_back({"labels", absl::StrCat(config.labels.size(), "; want ",
                                          kMaxLabels, " at most")});
    return;
  }
  for (const auto& [key, value] : config.labels) {
    const absl::string_view fault = LabelFault(key, value);
    if (fault.empty()) continue;
    bad.push_back(
        {"labels", absl::StrCat("label ", Quote(key), " ", fault,
                                "; want a key of A-Z a-z 0-9 _ . - / and a "
                                "value, together at most ",
                                kMaxLabelBytes, " bytes")});
  }
}

Reason ReasonOf(encap::FieldError::Kind kind) {
  switch (kind) {
    case encap::FieldError::Kind::kInvalid:
      return Reason::kFieldInvalid;
    case encap::FieldError::Kind::kFamilyMismatch:
      return Reason::kFamilyMismatch;
    case encap::FieldError::Kind::kUnknownMode:
      return Reason::kUnknownMode;
  }
  return Reason::kFieldInvalid;
}

}  // namespace

std::string WhyNeverBpf(const EndpointConfig& config) {
  if (config.rate != 0) return "rate is set";
  return WhyNeverFast(config.encap);
}

absl::Status Validate(const EndpointConfig& config) {
  Violations bad;
  std::optional<Reason> reason;
  // The reason of the first fault counts.
  const auto settle = [&](Reason of_new) {
    if (!bad.empty() && !reason) reason = of_new;
  };
  CheckName(config, bad);
  CheckLocalDevice(config, bad);
  settle(Reason::kFieldInvalid);
  for (encap::FieldError& error : encap::Validate(WithSomeLocal(config))) {
    bad.push_back({std::move(error.field), std::move(error.message)});
    settle(ReasonOf(error.kind));
  }
  CheckMtu(config, bad);
  CheckUnderlayDevice(config, bad);
  settle(Reason::kFieldInvalid);
  const bool mismatch = CheckAddresses(config, bad);
  settle(mismatch ? Reason::kFamilyMismatch : Reason::kFieldInvalid);
  CheckCounts(config, bad);
  CheckShape(config, bad);
  CheckDatapath(config, bad);
  CheckLabels(config, bad);
  settle(Reason::kFieldInvalid);
  if (!reason) return absl::OkStatus();
  const std::string list = absl::StrJoin(
      bad, "; ", [](std::string* out, const FieldViolation& violation) {
        absl::StrAppend(out, violation.field, ": ", violation.description);
      });
  return MakeError(*reason,
                   absl::StrCat("tunnel ", Quote(config.name), ": ", list),
                   {{"tunnel", config.name}}, std::move(bad));
}

}  // namespace tunnel
