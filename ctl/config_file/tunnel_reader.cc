#include "ctl/config_file/tunnel_reader.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "ctl/config_file/fields.h"
#include "ctl/text/suggest.h"
#include "tunnel/base/units.h"

namespace tunnel::ctl {
namespace {

using google::protobuf::FieldDescriptor;
using Kind = Value::Kind;

// Fields of the schema from this number on are status.
constexpr int kFirstStatusField = 40;

const FieldDescriptor* SchemaField(absl::string_view name) {
  return v1::Tunnel::descriptor()->FindFieldByName(std::string(name));
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::Utf8SafeCHexEscape(text), "'");
}

std::string Got(const Value& value) {
  if (value.kind == Kind::kText) return Quoted(value.text);
  if (value.kind == Kind::kInteger) return absl::StrCat(value.integer);
  return std::string(KindText(value.kind));
}

class TunnelReader {
 public:
  explicit TunnelReader(bool allow_status) : allow_status_(allow_status) {}

  TunnelReading Read(const Value& table) {
    out_.place.at = table.at;
    for (const Member& member : table.members) ReadMember(member);
    return std::move(out_);
  }

 private:
  void Fail(Position at, std::string message) {
    out_.errors.push_back({at, std::move(message)});
  }

  // The value is of the wrong kind or is none of those that the field has.
  void Wants(const FieldInfo& info, const Value& value,
             absl::string_view wanted) {
    out_.bad_fields.insert(std::string(info.field));
    Fail(value.at, absl::StrCat("'", info.name, "' wants ", wanted, ", got ",
                                Got(value)));
  }

  void ReadMember(const Member& member) {
    const FieldInfo* info = FindField(member.name);
    if (info == nullptr) return UnknownWord(member);
    if (member.value.kind == Kind::kNull) return;  // JSON: absent
    if (!Claim(*info, member)) return;
    out_.place.fields[std::string(info->field)] = member.value.at;
    ReadField(*info, member.value);
  }

  void UnknownWord(const Member& member) {
    const FieldDescriptor* field = SchemaField(member.name);
    if (field != nullptr && field->number() >= kFirstStatusField) {
      if (allow_status_) return;
      return Fail(member.at, absl::StrCat(Quoted(member.name),
                                          " is status: the daemon sets it"));
    }
    std::vector<absl::string_view> known;
    for (const FieldInfo& info : Fields()) {
      known.push_back(info.name);
      if (!info.alias.empty()) known.push_back(info.alias);
    }
    Fail(member.at, absl::StrCat("unknown word ", Quoted(member.name),
                                 DidYouMean(member.name, known)));
  }

  // Whether no other word has set what this one sets.
  bool Claim(const FieldInfo& info, const Member& member) {
    const FieldDescriptor* field = SchemaField(info.field);
    const auto* oneof = field->real_containing_oneof();
    const std::string group = oneof ? oneof->name() : field->name();
    const auto [first, is_first] =
        claims_.try_emplace(group, member.name, member.at);
    if (is_first) return true;
    const auto& [name, at] = first->second;
    Fail(member.at, absl::StrCat(Quoted(member.name), " and ", Quoted(name),
                                 " in line ", at.line, " are one field"));
    return false;
  }

  void ReadField(const FieldInfo& info, const Value& value) {
    const FieldDescriptor* field = SchemaField(info.field);
    const auto& fields = *v1::Tunnel::GetReflection();
    switch (info.kind) {
      case FieldKind::kText:
        if (value.kind != Kind::kText) return Wants(info, value, "a text");
        return fields.SetString(&out_.tunnel, field, value.text);
      case FieldKind::kEnum:
        return ReadEnum(info, value, *field);
      case FieldKind::kNumber:
        return ReadNumber(info, value, *field);
      case FieldKind::kRate:
      case FieldKind::kSize:
        return ReadQuantity(info, value, *field);
      case FieldKind::kKey:
        return ReadKey(info, value, *field);
      case FieldKind::kSwitch:
      case FieldKind::kUp:
        if (value.kind != Kind::kBoolean) {
          return Wants(info, value, "true or false");
        }
        if (info.kind == FieldKind::kSwitch) {
          return fields.SetBool(&out_.tunnel, field, value.boolean);
        }
        return out_.tunnel.set_admin_state(value.boolean ? v1::ADMIN_UP
                                                         : v1::ADMIN_DOWN);
      case FieldKind::kTexts:
        return ReadTexts(info, value, *field);
      case FieldKind::kLabels:
        return ReadLabels(info, value);
    }
  }

  void ReadEnum(const FieldInfo& info, const Value& value,
                const FieldDescriptor& field) {
    const std::vector<absl::string_view> choices =
        absl::StrSplit(info.value, '|');
    const std::string wanted =
        absl::StrCat("one of ", absl::StrJoin(choices, ", "));
    if (value.kind != Kind::kText) return Wants(info, value, wanted);
    for (absl::string_view choice : choices) {
      const std::string enumerator =
          absl::StrCat(info.enum_prefix, absl::AsciiStrToUpper(choice));
      if (value.text != choice && value.text != enumerator) continue;
      const auto* number = field.enum_type()->FindValueByName(enumerator);
      v1::Tunnel::GetReflection()->SetEnum(&out_.tunnel, &field, number);
      return;
    }
    out_.bad_fields.insert(std::string(info.field));
    Fail(value.at, absl::StrCat("'", info.name, "' wants ", wanted, ", got ",
                                Got(value), DidYouMean(value.text, choices)));
  }

  static bool Fits(const Value& value) {
    return value.kind == Kind::kInteger && value.integer >= 0 &&
           value.integer <= std::numeric_limits<uint32_t>::max();
  }

  void ReadNumber(const FieldInfo& info, const Value& value,
                  const FieldDescriptor& field) {
    const auto& fields = *v1::Tunnel::GetReflection();
    if (Fits(value)) {
      return fields.SetUInt32(&out_.tunnel, &field,
                              static_cast<uint32_t>(value.integer));
    }
    if (info.keyword.empty()) {
      return Wants(info, value, "a number from 0 to 4294967295");
    }
    const bool zero = !info.zero_word.empty();
    if (zero && value.kind == Kind::kText && value.text == info.zero_word) {
      return fields.SetUInt32(&out_.tunnel, &field, 0);
    }
    if (value.kind != Kind::kText || value.text != info.keyword) {
      return Wants(info, value,
                   zero ? absl::StrCat("a number, \"", info.zero_word,
                                       "\" or \"", info.keyword, "\"")
                        : absl::StrCat("a number or \"", info.keyword, "\""));
    }
    if (info.keyword_field.empty()) return;  // absent
    fields.SetBool(&out_.tunnel, SchemaField(info.keyword_field), true);
  }

  // A number of the file, or of the schema's JSON, which has 64 bits as text.
  void ReadQuantity(const FieldInfo& info, const Value& value,
                    const FieldDescriptor& field) {
    const bool is_rate = info.kind == FieldKind::kRate;
    uint64_t number = 0;
    bool good = false;
    if (value.kind == Kind::kInteger && value.integer >= 0) {
      number = static_cast<uint64_t>(value.integer);
      good = true;
    } else if (value.kind == Kind::kText) {
      if (value.text == info.keyword) return;  // at its default
      good = is_rate ? ParseRate(value.text, &number)
                     : ParseSize(value.text, &number);
    }
    good = good && (is_rate || number <= std::numeric_limits<uint32_t>::max());
    if (!good) {
      return Wants(info, value,
                   absl::StrCat(is_rate ? "bits a second like \"10mbit\""
                                        : "bytes like \"64kb\"",
                                " or \"", info.keyword, "\""));
    }
    const auto& fields = *v1::Tunnel::GetReflection();
    if (is_rate) return fields.SetUInt64(&out_.tunnel, &field, number);
    fields.SetUInt32(&out_.tunnel, &field, static_cast<uint32_t>(number));
  }

  void ReadKey(const FieldInfo& info, const Value& value,
               const FieldDescriptor& field) {
    uint32_t key = 0;
    if (Fits(value)) {
      key = static_cast<uint32_t>(value.integer);
    } else if (value.kind != Kind::kText || !ReadKeyText(value.text, &key)) {
      return Wants(info, value,
                   "a number from 0 to 4294967295 or a dotted quad");
    }
    v1::Tunnel::GetReflection()->SetUInt32(&out_.tunnel, &field, key);
  }

  void ReadTexts(const FieldInfo& info, const Value& value,
                 const FieldDescriptor& field) {
    const auto& fields = *v1::Tunnel::GetReflection();
    if (value.kind == Kind::kText) {
      return fields.AddString(&out_.tunnel, &field, value.text);
    }
    if (value.kind != Kind::kList) {
      return Wants(info, value, "a list of texts");
    }
    for (size_t i = 0; i < value.items.size(); ++i) {
      const Value& item = value.items[i];
      if (item.kind != Kind::kText) {
        Wants(info, item, "texts in its list");
        continue;
      }
      out_.place.fields[absl::StrCat(info.field, "[", i, "]")] = item.at;
      fields.AddString(&out_.tunnel, &field, item.text);
    }
  }

  void ReadLabels(const FieldInfo& info, const Value& value) {
    if (value.kind != Kind::kTable) {
      return Wants(info, value, "a table, { site = \"ams\" }");
    }
    for (const Member& label : value.members) {
      if (label.value.kind != Kind::kText) {
        Wants(info, label.value,
              absl::StrCat("a text for ", Quoted(label.name)));
        continue;
      }
      out_.place.fields[absl::StrCat(info.field, ".", label.name)] = label.at;
      (*out_.tunnel.mutable_labels())[label.name] = label.value.text;
    }
  }

  const bool allow_status_;
  TunnelReading out_;
  // By field or group of fields: the word that has set it, and where.
  std::map<std::string, std::pair<std::string, Position>> claims_;
};

}  // namespace

TunnelReading ReadTunnel(const Value& table, bool allow_status) {
  return TunnelReader(allow_status).Read(table);
}

bool ReadKeyText(absl::string_view text, uint32_t* key) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  uint32_t value = 0;
  for (absl::string_view part : parts) {
    uint32_t number = 0;
    if (part.empty() || !absl::ascii_isdigit(part.front()) ||
        !absl::SimpleAtoi(part, &number) ||
        (parts.size() == 4 && number > 255)) {
      return false;
    }
    value = parts.size() == 4 ? value << 8 | number : number;
  }
  if (parts.size() != 1 && parts.size() != 4) return false;
  *key = value;
  return true;
}

}  // namespace tunnel::ctl
