// The words that a tunnel has in a config file: one table for the reader, the
// writer and the documentation.

#ifndef CTL_CONFIG_FILE_FIELDS_H_
#define CTL_CONFIG_FILE_FIELDS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tunnel::ctl {

enum class FieldKind : uint8_t {
  kText,
  kEnum,    // the words of `value` ("on|off"), or the enumerator of the schema
  kNumber,  // 0 to 2^32-1, or the word `keyword`
  kRate,    // bits a second: a number, a text "10mbit", or the word `keyword`
  kSize,    // bytes: a number, a text "64kb", or the word `keyword`
  kKey,     // a number, or a text with one or with a dotted quad
  kSwitch,  // true or false
  kUp,      // true or false, for the field admin_state
  kTexts,   // a list of texts; one text is a list of one
  kLabels,  // a table of texts
};

struct FieldInfo {
  absl::string_view name;   // in the file
  absl::string_view alias;  // word of the command line, also taken; "" for none
  absl::string_view field;  // of the schema (message Tunnel)
  FieldKind kind;
  // What a value looks like, for people.
  absl::string_view value;
  absl::string_view help;
  // kNumber, kRate, kSize: the word that stands for a number, and the bool
  // field that it sets; "" when it leaves `field` absent.
  absl::string_view keyword = "";
  absl::string_view keyword_field = "";
  // kNumber: a word that stands for 0, which the field has as a value.
  absl::string_view zero_word = "";
  // kEnum: what the enumerators begin with.
  absl::string_view enum_prefix = "";
  // The writer uses it. False for a second way to set a field.
  bool written = true;
};

// In the order in which they are written.
absl::Span<const FieldInfo> Fields();
// By name or alias; nullptr for an unknown one.
const FieldInfo* FindField(absl::string_view name);

// The row of the field in docs/config_file.md.
std::string DocumentationRow(const FieldInfo& field);

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_FILE_FIELDS_H_
