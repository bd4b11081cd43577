#include "tunnel/base/units.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace tunnel {
namespace {

struct Unit {
  absl::string_view name;
  uint64_t factor;
};

constexpr uint64_t kKibi = 1024;

// Each list from the smallest unit to the largest; the first of one factor is
// the one that is written.
constexpr Unit kRates[] = {
    {"bit", 1},
    {"kbit", 1'000},
    {"mbit", 1'000'000},
    {"gbit", 1'000'000'000},
    {"tbit", 1'000'000'000'000},
};
constexpr Unit kOtherRates[] = {
    {"", 1},
    {"kibit", kKibi},
    {"mibit", kKibi* kKibi},
    {"gibit", kKibi* kKibi* kKibi},
    {"tibit", kKibi* kKibi* kKibi* kKibi},
    {"bps", 8},
    {"kbps", 8'000},
    {"mbps", 8'000'000},
    {"gbps", 8'000'000'000},
    {"tbps", 8'000'000'000'000},
    {"kibps", 8 * kKibi},
    {"mibps", 8 * kKibi* kKibi},
    {"gibps", 8 * kKibi* kKibi* kKibi},
    {"tibps", 8 * kKibi* kKibi* kKibi* kKibi},
};
constexpr Unit kSizes[] = {
    {"b", 1},
    {"kb", kKibi},
    {"mb", kKibi* kKibi},
    {"gb", kKibi* kKibi* kKibi},
};
constexpr Unit kOtherSizes[] = {
    {"", 1},
    {"k", kKibi},
    {"m", kKibi* kKibi},
    {"g", kKibi* kKibi* kKibi},
};

using Units = absl::Span<const Unit>;

const Unit* Find(Units units, absl::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

bool Parse(absl::string_view text, Units units, Units others, uint64_t* out) {
  size_t digits = 0;
  while (digits < text.size() &&
         (absl::ascii_isdigit(static_cast<unsigned char>(text[digits])) ||
          text[digits] == '.')) {
    ++digits;
  }
  const std::string name = absl::AsciiStrToLower(text.substr(digits));
  const Unit* unit = Find(units, name);
  if (unit == nullptr) unit = Find(others, name);
  if (unit == nullptr) return false;
  const absl::string_view number = text.substr(0, digits);
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  if (uint64_t whole = 0; absl::SimpleAtoi(number, &whole)) {
    if (whole >= kLimit / unit->factor) return false;
    *out = whole * unit->factor;
    return true;
  }
  double fraction = 0;
  if (!absl::SimpleAtod(number, &fraction)) return false;
  const double value = std::round(fraction * static_cast<double>(unit->factor));
  if (!(value < static_cast<double>(kLimit))) return false;
  *out = static_cast<uint64_t>(value);
  return true;
}

std::string Text(uint64_t value, Units units) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.factor == 0) best = &unit;
  }
  return absl::StrCat(value / best->factor, best->name);
}

}  // namespace

bool ParseRate(absl::string_view text, uint64_t* bits_per_second) {
  return Parse(text, kRates, kOtherRates, bits_per_second);
}

bool ParseSize(absl::string_view text, uint64_t* bytes) {
  return Parse(text, kSizes, kOtherSizes, bytes);
}

std::string RateText(uint64_t bits_per_second) {
  return Text(bits_per_second, kRates);
}

std::string SizeText(uint64_t bytes) { return Text(bytes, kSizes); }

}  // namespace tunnel
