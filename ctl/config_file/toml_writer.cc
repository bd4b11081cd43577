#include "ctl/config_file/toml_writer.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "ctl/config_file/fields.h"
#include "tunnel/base/units.h"

namespace tunnel::ctl {
namespace {

using google::protobuf::FieldDescriptor;

constexpr uint32_t kDefaultTtl = 64;

// A basic string of TOML.
std::string Quoted(absl::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&out, "\\", std::string(1, c));
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      absl::StrAppendFormat(&out, "\\u%04X", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

// A key without quotes where TOML allows it.
std::string Key(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' &&
        c != '-') {
      return Quoted(text);
    }
  }
  return text.empty() ? "\"\"" : std::string(text);
}

std::string EnumText(const v1::Tunnel& tunnel, const FieldInfo& info,
                     const FieldDescriptor* field) {
  const auto* value = tunnel.GetReflection()->GetEnum(tunnel, field);
  // The default stands for not given, and is the first choice but for the mode.
  if (value->number() == 0) return "";
  if (!info.enum_prefix.empty() && value->number() == 1) return "";
  return Quoted(absl::AsciiStrToLower(
      absl::StripPrefix(value->name(), info.enum_prefix)));
}

std::string NumberText(const v1::Tunnel& tunnel, const FieldInfo& info,
                       const FieldDescriptor* field) {
  if (info.keyword_field == "ttl_inherit" && tunnel.ttl_inherit()) {
    return Quoted(info.keyword);
  }
  const auto& fields = *tunnel.GetReflection();
  const uint32_t number = fields.GetUInt32(tunnel, field);
  const bool is_default =
      field->has_presence() ? !fields.HasField(tunnel, field) : number == 0;
  if (is_default || (info.field == "ttl" && number == kDefaultTtl)) return "";
  if (number == 0 && !info.zero_word.empty()) return Quoted(info.zero_word);
  return absl::StrCat(number);
}

std::string TextsText(const v1::Tunnel& tunnel, const FieldDescriptor* field) {
  std::vector<std::string> items;
  const auto& fields = *tunnel.GetReflection();
  for (int i = 0; i < fields.FieldSize(tunnel, field); ++i) {
    items.push_back(Quoted(fields.GetRepeatedString(tunnel, field, i)));
  }
  if (items.empty()) return "";
  return absl::StrCat("[", absl::StrJoin(items, ", "), "]");
}

std::string LabelsText(const v1::Tunnel& tunnel) {
  if (tunnel.labels().empty()) return "";
  const std::map<std::string, std::string> sorted(tunnel.labels().begin(),
                                                  tunnel.labels().end());
  std::vector<std::string> items;
  for (const auto& [key, value] : sorted) {
    items.push_back(absl::StrCat(Key(key), " = ", Quoted(value)));
  }
  return absl::StrCat("{ ", absl::StrJoin(items, ", "), " }");
}

// The value of the field; "" when it is at its default.
std::string ValueText(const v1::Tunnel& tunnel, const FieldInfo& info) {
  const FieldDescriptor* field =
      v1::Tunnel::descriptor()->FindFieldByName(std::string(info.field));
  const auto& fields = *tunnel.GetReflection();
  switch (info.kind) {
    case FieldKind::kText: {
      const std::string text = fields.GetString(tunnel, field);
      return text.empty() ? "" : Quoted(text);
    }
    case FieldKind::kEnum:
      return EnumText(tunnel, info, field);
    case FieldKind::kRate: {
      const uint64_t rate = fields.GetUInt64(tunnel, field);
      return rate == 0 ? "" : Quoted(RateText(rate));
    }
    case FieldKind::kSize: {
      const uint32_t size = fields.GetUInt32(tunnel, field);
      return size == 0 ? "" : Quoted(SizeText(size));
    }
    case FieldKind::kNumber:
    case FieldKind::kKey:
      return NumberText(tunnel, info, field);
    case FieldKind::kSwitch:
      return fields.GetBool(tunnel, field) ? "true" : "";
    case FieldKind::kUp:
      return tunnel.admin_state() == v1::ADMIN_DOWN ? "false" : "";
    case FieldKind::kTexts:
      return TextsText(tunnel, field);
    case FieldKind::kLabels:
      return LabelsText(tunnel);
  }
  return "";
}

}  // namespace

std::string TomlText(const std::vector<v1::Tunnel>& tunnels) {
  if (tunnels.empty()) return "# no tunnels\n";
  std::string text;
  for (const v1::Tunnel& tunnel : tunnels) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", "[[tunnel]]\n");
    for (const FieldInfo& info : Fields()) {
      if (!info.written) continue;
      const std::string value = ValueText(tunnel, info);
      if (value.empty()) continue;
      absl::StrAppend(&text, info.name, " = ", value, "\n");
    }
  }
  return text;
}

}  // namespace tunnel::ctl
