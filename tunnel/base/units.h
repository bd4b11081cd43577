// Rates and sizes as people write them, with the units of tc(8).

#ifndef TUNNEL_BASE_UNITS_H_
#define TUNNEL_BASE_UNITS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace tunnel {

// Bits a second: a decimal number, with a fraction or not, and "" or "bit",
// "kbit", "mbit", "gbit", "tbit" (powers of 1000), "kibit" to "tibit" (of
// 1024), or one of them with "bps" in place of "bit" for bytes a second. In
// either case. False when it is none of that, or not below 2^63.
bool ParseRate(absl::string_view text, uint64_t* bits_per_second);

// Bytes: the same with "" or "b", "k" or "kb", "m" or "mb", "g" or "gb" (powers
// of 1024).
bool ParseSize(absl::string_view text, uint64_t* bytes);

// In the largest unit that leaves a whole number: "10mbit", "1500bit"; "64kb",
// "1500b". What ParseRate() and ParseSize() read as the same number.
std::string RateText(uint64_t bits_per_second);
std::string SizeText(uint64_t bytes);

}  // namespace tunnel

#endif  // TUNNEL_BASE_UNITS_H_
