#include "encap/prefix_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "encap/bytes.h"

namespace encap {
namespace {

// The bits of a word of `bits` bits that lie behind a prefix of `length`.
template <typename Word>
constexpr Word HostBits(unsigned length) noexcept {
  constexpr unsigned kBits = sizeof(Word) * 8;
  return length >= kBits ? 0 : static_cast<Word>(~Word{0} >> length);
}

}  // namespace

PrefixSet::PrefixSet(std::span<const IpPrefix> prefixes) {
  for (const IpPrefix& prefix : prefixes) {
    if (prefix.address.is_v4()) AddV4(prefix);
    if (prefix.address.is_v6()) AddV6(prefix);
  }
  Join(v4_);
  Join(v6_);
}

void PrefixSet::AddV4(const IpPrefix& prefix) {
  const uint32_t address = Get32(prefix.address.bytes().data());
  const auto host = HostBits<uint32_t>(prefix.length);
  v4_.push_back({address & ~host, address | host});
}

void PrefixSet::AddV6(const IpPrefix& prefix) {
  const Wide address = LoadWide(prefix.address.bytes().data());
  const unsigned length = prefix.length;
  const Wide host{HostBits<uint64_t>(length),
                  HostBits<uint64_t>(length > 64 ? length - 64 : 0)};
  v6_.push_back({{address.high & ~host.high, address.low & ~host.low},
                 {address.high | host.high, address.low | host.low}});
}

// Two prefixes are apart, or one lies in the other.
template <typename Number>
void PrefixSet::Join(Ranges<Number>& ranges) {
  std::sort(ranges.begin(), ranges.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first < b.first : a.last > b.last;
  });
  Ranges<Number> joined;
  for (const Range<Number>& range : ranges) {
    if (joined.empty() || joined.back().last < range.first) {
      joined.push_back(range);
    }
  }
  ranges = std::move(joined);
}

template <typename Number>
bool PrefixSet::Find(const Ranges<Number>& ranges, Number number) noexcept {
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), number,
      [](const Number& n, const auto& range) { return n < range.first; });
  return after != ranges.begin() && number <= std::prev(after)->last;
}

PrefixSet::Wide PrefixSet::LoadWide(const uint8_t* address) noexcept {
  return {uint64_t{Get32(address)} << 32 | Get32(address + 4),
          uint64_t{Get32(address + 8)} << 32 | Get32(address + 12)};
}

bool PrefixSet::ContainsV4(const uint8_t* address) const noexcept {
  return Find(v4_, Get32(address));
}

bool PrefixSet::ContainsV6(const uint8_t* address) const noexcept {
  return Find(v6_, LoadWide(address));
}

bool PrefixSet::Contains(const IpAddress& address) const noexcept {
  if (address.is_v4()) return ContainsV4(address.bytes().data());
  return address.is_v6() && ContainsV6(address.bytes().data());
}

}  // namespace encap
