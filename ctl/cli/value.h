// Values of the words on the command line.
//
// Only what can not be read is refused here; the daemon judges the ranges and
// reports all bad fields at once.

#ifndef CTL_CLI_VALUE_H_
#define CTL_CLI_VALUE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ctl/cli/grammar.h"

namespace tunnel::ctl::cli {

// One word of the command line with its value, read as its kind says.
struct Setting {
  const WordInfo* word = nullptr;
  std::string text;  // as given; "" when the kind takes no value
  // kNumber, kRate, kSize: the keyword stands in for the number.
  bool keyword = false;
  uint32_t number = 0;      // kNumber, kKey; kEnum: the enumerator
  uint64_t quantity = 0;    // kRate, kSize
  absl::Duration duration;  // kDuration
  std::string label_key;    // kLabel, kLabelKey
  std::string label_value;  // kLabel
};

// Reads `text` as the kind of `word` says and fills the field for it. False
// with the problem in words ("'x' is not a number ...") when it can not be
// read.
bool ReadValue(Setting* setting, std::string* problem);

// A number as the command line takes it: decimal, or hexadecimal behind "0x".
bool ParseNumber(absl::string_view text, uint32_t* out);
// A number, or a dotted quad read as 32 bits in network order.
bool ParseKey(absl::string_view text, uint32_t* out);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_VALUE_H_
