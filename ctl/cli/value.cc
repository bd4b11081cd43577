#include "ctl/cli/value.h"

#include <limits>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "ctl/cli/duration.h"
#include "ctl/text/suggest.h"
#include "proto/tunnel/v1/tunnel.pb.h"
#include "tunnel/base/units.h"

namespace tunnel::ctl::cli {
namespace {

bool Bad(const Setting& setting, absl::string_view wanted,
         std::string* problem) {
  *problem = absl::StrCat("'", setting.text, "' is not ", wanted);
  return false;
}

bool ReadNumber(Setting* setting, std::string* problem) {
  const absl::string_view keyword = setting->word->keyword;
  setting->keyword = !keyword.empty() && setting->text == keyword;
  const absl::string_view zero_word = setting->word->zero_word;
  if (!zero_word.empty() && setting->text == zero_word) {
    setting->number = 0;
    return true;
  }
  if (setting->keyword || ParseNumber(setting->text, &setting->number)) {
    return true;
  }
  std::string wanted = "a number (0 to 4294967295, or 0x..)";
  if (!zero_word.empty()) absl::StrAppend(&wanted, ", '", zero_word, "'");
  if (!keyword.empty()) absl::StrAppend(&wanted, " or '", keyword, "'");
  return Bad(*setting, wanted, problem);
}

bool ReadQuantity(Setting* setting, std::string* problem) {
  const WordInfo& word = *setting->word;
  setting->keyword = setting->text == word.keyword;
  if (setting->keyword) return true;
  if (word.kind == ValueKind::kRate) {
    return ParseRate(setting->text, &setting->quantity) ||
           Bad(*setting,
               absl::StrCat("bits a second such as 800kbit, 10mbit or 1gbit, "
                            "or '",
                            word.keyword, "'"),
               problem);
  }
  return (ParseSize(setting->text, &setting->quantity) &&
          setting->quantity <= std::numeric_limits<uint32_t>::max()) ||
         Bad(*setting,
             absl::StrCat("bytes such as 1500, 64kb or 1mb, or '", word.keyword,
                          "'"),
             problem);
}

bool ReadChoice(Setting* setting, std::string* problem) {
  const WordInfo& word = *setting->word;
  const std::vector<absl::string_view> choices = Choices(word);
  if (!absl::c_linear_search(choices, setting->text)) {
    return Bad(*setting,
               absl::StrCat("one of ", absl::StrJoin(choices, ", "),
                            DidYouMean(setting->text, choices)),
               problem);
  }
  if (word.kind == ValueKind::kChoice) return true;
  const absl::string_view field = word.field.substr(word.field.find('.') + 1);
  setting->number = static_cast<uint32_t>(
      tunnel::v1::Tunnel::descriptor()
          ->FindFieldByName(std::string(field))
          ->enum_type()
          ->FindValueByName(absl::StrCat(word.enum_prefix,
                                         absl::AsciiStrToUpper(setting->text)))
          ->number());
  return true;
}

bool ReadLabel(Setting* setting, std::string* problem) {
  const WordInfo& word = *setting->word;
  const size_t equals = setting->text.find('=');
  const bool has_value = equals != std::string::npos;
  setting->label_key = setting->text.substr(0, equals);
  if (has_value) setting->label_value = setting->text.substr(equals + 1);
  return (!setting->label_key.empty() &&
          has_value == (word.kind == ValueKind::kLabel)) ||
         Bad(*setting, absl::StrCat("of the form ", word.value), problem);
}

}  // namespace

bool ReadValue(Setting* setting, std::string* problem) {
  switch (setting->word->kind) {
    case ValueKind::kSwitch:
    case ValueKind::kUnset:
    case ValueKind::kConstant:
      return true;
    case ValueKind::kText:
    case ValueKind::kList:
      return !setting->text.empty() ||
             Bad(*setting, setting->word->value, problem);
    case ValueKind::kNumber:
      return ReadNumber(setting, problem);
    case ValueKind::kRate:
    case ValueKind::kSize:
      return ReadQuantity(setting, problem);
    case ValueKind::kKey:
      return ParseKey(setting->text, &setting->number) ||
             Bad(*setting,
                 "a number (0 to 4294967295, or 0x..) or a dotted quad",
                 problem);
    case ValueKind::kEnum:
    case ValueKind::kChoice:
      return ReadChoice(setting, problem);
    case ValueKind::kDuration:
      return ReadDuration(setting->text, &setting->duration) ||
             Bad(*setting, "a duration such as 500ms, 2s or 1m30s", problem);
    case ValueKind::kLabel:
    case ValueKind::kLabelKey:
      return ReadLabel(setting, problem);
  }
  return false;
}

bool ParseNumber(absl::string_view text, uint32_t* out) {
  const bool hex = absl::StartsWith(text, "0x") || absl::StartsWith(text, "0X");
  const absl::string_view digits = hex ? text.substr(2) : text;
  if (digits.empty() || !absl::c_all_of(digits, hex ? absl::ascii_isxdigit
                                                    : absl::ascii_isdigit)) {
    return false;
  }
  uint64_t value = 0;
  for (char digit : digits) {
    const uint64_t unit =
        absl::ascii_isdigit(digit)
            ? static_cast<uint64_t>(digit - '0')
            : static_cast<uint64_t>(absl::ascii_tolower(digit) - 'a' + 10);
    value = value * (hex ? 16 : 10) + unit;
    if (value > std::numeric_limits<uint32_t>::max()) return false;
  }
  *out = static_cast<uint32_t>(value);
  return true;
}

bool ParseKey(absl::string_view text, uint32_t* out) {
  if (ParseNumber(text, out)) return true;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  if (parts.size() != 4) return false;
  uint32_t key = 0;
  for (absl::string_view part : parts) {
    uint32_t byte = 0;
    if (!absl::c_all_of(part, absl::ascii_isdigit) ||
        !ParseNumber(part, &byte) || byte > 255) {
      return false;
    }
    key = key << 8 | byte;
  }
  *out = key;
  return true;
}

}  // namespace tunnel::ctl::cli
