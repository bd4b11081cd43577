#include "tunnel/endpoint/endpoint_config.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "encap/address.h"
#include "encap/encap_config.h"
#include "tunnel/base/units.h"

namespace tunnel {
namespace {

using encap::IpPrefix;

std::string BoolText(bool value) { return value ? "true" : "false"; }

std::optional<std::string> NumberText(std::optional<uint32_t> value) {
  if (!value) return std::nullopt;
  return absl::StrCat(*value);
}

std::optional<std::string> NonZero(uint32_t value) {
  if (value == 0) return std::nullopt;
  return absl::StrCat(value);
}

std::optional<std::string> NonEmpty(std::string text) {
  if (text.empty()) return std::nullopt;
  return text;
}

std::string DfText(encap::DfPolicy df) {
  switch (df) {
    case encap::DfPolicy::kOn:
      return "on";
    case encap::DfPolicy::kOff:
      return "off";
    case encap::DfPolicy::kInherit:
      return "inherit";
  }
  return absl::StrCat(static_cast<int>(df));
}

std::string EcnText(encap::EcnMode ecn) {
  return ecn == encap::EcnMode::kNormal ? "normal" : "compat";
}

std::optional<std::string> FragmentText(encap::FragmentPolicy fragment) {
  switch (fragment) {
    case encap::FragmentPolicy::kInner:
      return std::nullopt;
    case encap::FragmentPolicy::kOuter:
      return "outer";
    case encap::FragmentPolicy::kNone:
      return "none";
  }
  return absl::StrCat(static_cast<int>(fragment));
}

std::optional<std::string> SteeringText(Steering steering) {
  switch (steering) {
    case Steering::kAuto:
      return std::nullopt;
    case Steering::kOn:
      return "on";
    case Steering::kOff:
      return "off";
  }
  return absl::StrCat(static_cast<int>(steering));
}

std::optional<std::string> MssText(std::optional<uint16_t> mss) {
  if (mss && *mss == 0) return "auto";
  return NumberText(mss);
}

std::optional<std::string> RateWord(uint64_t rate) {
  if (rate == 0) return std::nullopt;
  return RateText(rate);
}

std::optional<std::string> SizeWord(uint32_t size) {
  if (size == 0) return std::nullopt;
  return SizeText(size);
}

std::string PrefixesText(const std::vector<IpPrefix>& prefixes) {
  return absl::StrJoin(prefixes, ",",
                       [](std::string* out, const IpPrefix& prefix) {
                         out->append(prefix.ToString());
                       });
}

// Escaped, so that different labels never have one text.
std::string LabelsText(const EndpointConfig& config) {
  return absl::StrJoin(
      config.labels, ",",
      [](std::string* out, const std::pair<std::string, std::string>& label) {
        absl::StrAppend(out, label.first, "=\"", absl::CHexEscape(label.second),
                        "\"");
      });
}

// One field of the spec as text. `absent` is the word for no value.
struct FieldText {
  absl::string_view field;
  std::optional<std::string> value;
  absl::string_view absent = "none";

  std::string Shown() const { return value.value_or(std::string(absent)); }
};

// The fields but the keys, the name and those of LaterFieldTexts(), in the
// order of the API.
std::vector<FieldText> FieldTexts(const EndpointConfig& config) {
  const encap::EncapConfig& e = config.encap;
  return {
      {"mode", std::string(ModeName(e.mode))},
      {"local", NonEmpty(LocalText(config))},
      {"remote", NonEmpty(RemoteText(config))},
      {"checksum", BoolText(e.checksum)},
      {"sequence", BoolText(e.sequence)},
      {"ttl", NumberText(e.ttl), "inherit"},
      {"tos", NumberText(e.tos), "inherit"},
      {"df", DfText(e.df)},
      {"ecn", EcnText(e.ecn)},
      {"mtu", NumberText(config.mtu), "auto"},
      {"underlay_device", NonEmpty(config.underlay_device)},
      {"fwmark", NonZero(config.fwmark)},
      {"addresses", NonEmpty(PrefixesText(config.addresses))},
      {"queues", NonZero(config.queues), "auto"},
      {"txqueuelen", NonZero(config.txqueuelen), "default"},
      {"admin_state", config.admin_up ? "up" : "down"},
      {"labels", NonEmpty(LabelsText(config))},
  };
}

// The fields behind the labels: absent at their default, so that a config which
// uses none of them keeps the etag that it had before they were there.
std::vector<FieldText> LaterFieldTexts(const EndpointConfig& config) {
  const encap::EncapConfig& e = config.encap;
  const auto if_set = [](bool set, const char* text) {
    return set ? std::optional<std::string>(text) : std::nullopt;
  };
  return {
      {"encap_limit", NumberText(e.encap_limit)},
      {"transport", if_set(e.transport == encap::OuterTransport::kUdp, "udp"),
       "ip"},
      {"udp_port", NonZero(e.udp_port), "default"},
      {"udp_source_port", NonZero(e.udp_source_port), "auto"},
      {"udp_zero_checksum", if_set(e.udp_zero_checksum, "true"), "false"},
      {"fragment", FragmentText(e.fragment), "inner"},
      {"allowed_ips", NonEmpty(PrefixesText(e.allowed_sources))},
      {"mss_clamp", MssText(e.mss_clamp), "off"},
      {"rate", RateWord(config.rate), "none"},
      {"burst", SizeWord(config.burst), "auto"},
      {"datapath",
       if_set(config.datapath != DatapathMode::kAuto,
              DatapathText(config.datapath).data()),
       "auto"},
      {"steering", SteeringText(config.steering), "auto"},
  };
}

// FNV-1a with 128 bits: the same for the same text on every machine and in
// every version.
class TextHash {
 public:
  void Add(absl::string_view text) {
    for (const char c : text) {
      hash_ = (hash_ ^ static_cast<unsigned char>(c)) * kPrime;
    }
  }
  // The length keeps neighbours apart; absent differs from every text.
  void AddItem(const std::optional<std::string>& item) {
    Add(item ? absl::StrCat(item->size(), ":", *item) : "-");
  }
  std::string Hex() const {
    return absl::StrCat(
        absl::Hex(static_cast<uint64_t>(hash_ >> 64), absl::kZeroPad16),
        absl::Hex(static_cast<uint64_t>(hash_), absl::kZeroPad16));
  }

 private:
  using Number = unsigned __int128;
  static constexpr Number kPrime = (Number{1} << 88) + 0x13b;
  Number hash_ = (Number{0x6c62272e07bb0142} << 64) + 0x62b821756295c58d;
};

void DiffKeys(const encap::EncapConfig& from, const encap::EncapConfig& to,
              std::vector<FieldDifference>& changes) {
  const auto add = [&](absl::string_view field, std::optional<uint32_t> before,
                       std::optional<uint32_t> after) {
    if (before == after) return;
    changes.push_back({std::string(field), NumberText(before).value_or("none"),
                       NumberText(after).value_or("none")});
  };
  if (from.input_key == from.output_key && to.input_key == to.output_key) {
    add("key", from.input_key, to.input_key);
    return;
  }
  add("input_key", from.input_key, to.input_key);
  add("output_key", from.output_key, to.output_key);
}

void DiffTexts(const std::vector<FieldText>& before,
               const std::vector<FieldText>& after,
               std::vector<FieldDifference>& changes) {
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].value == after[i].value) continue;
    changes.push_back(
        {std::string(before[i].field), before[i].Shown(), after[i].Shown()});
  }
}

}  // namespace

bool Steers(const EndpointConfig& config) {
  if (config.steering != Steering::kAuto)
    return config.steering == Steering::kOn;
  return config.encap.transport == encap::OuterTransport::kUdp &&
         config.encap.udp_source_port != 0;
}

std::string LocalText(const EndpointConfig& config) {
  if (config.local_device.empty()) return config.encap.local.ToString();
  return absl::StrCat("dev:", config.local_device);
}

std::string RemoteText(const EndpointConfig& config) {
  const encap::IpAddress& remote = config.encap.remote;
  if (!encap::IsWildcard(remote)) return remote.ToString();
  if (config.local_device.empty()) return "any";
  return remote.is_v4() ? "any4" : "any6";
}

uint32_t EffectiveBurst(const EndpointConfig& config) {
  if (config.burst != 0) return config.burst;
  constexpr uint64_t kHundredthOfByte = 800;  // bits a second to bytes in 10 ms
  return static_cast<uint32_t>(std::clamp<uint64_t>(
      config.rate / kHundredthOfByte, kMinDefaultBurst, kMaxBurst));
}

absl::string_view DatapathText(DatapathMode mode) {
  switch (mode) {
    case DatapathMode::kAuto:
      return "auto";
    case DatapathMode::kUser:
      return "user";
    case DatapathMode::kBpf:
      return "bpf";
  }
  return "none";
}

std::string Etag(const EndpointConfig& config) {
  TextHash hash;
  hash.AddItem(config.name);
  hash.AddItem(NumberText(config.encap.input_key));
  hash.AddItem(NumberText(config.encap.output_key));
  for (const FieldText& field : FieldTexts(config)) hash.AddItem(field.value);
  for (const auto& [key, value] : config.labels) {
    hash.AddItem(key);
    hash.AddItem(value);
  }
  for (const FieldText& field : LaterFieldTexts(config)) {
    if (!field.value) continue;
    hash.AddItem(std::string(field.field));
    hash.AddItem(field.value);
  }
  return absl::StrCat("\"", hash.Hex(), "\"");
}

std::string EtagOfAll(const std::vector<std::string>& etags) {
  TextHash hash;
  for (const std::string& etag : etags) hash.AddItem(etag);
  return absl::StrCat("\"", hash.Hex(), "\"");
}

std::vector<FieldDifference> Diff(const EndpointConfig& from,
                                  const EndpointConfig& to) {
  std::vector<FieldDifference> changes;
  if (from.name != to.name) changes.push_back({"name", from.name, to.name});
  DiffKeys(from.encap, to.encap, changes);
  DiffTexts(FieldTexts(from), FieldTexts(to), changes);
  DiffTexts(LaterFieldTexts(from), LaterFieldTexts(to), changes);
  return changes;
}

}  // namespace tunnel
