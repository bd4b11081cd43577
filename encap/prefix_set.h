// PrefixSet: the addresses that any of some prefixes covers.
//
// Immutable: any number of threads may ask at once. A question is a binary
// search over ranges without overlap; it allocates nothing and cannot fail.

#ifndef ENCAP_PREFIX_SET_H_
#define ENCAP_PREFIX_SET_H_

#include <compare>
#include <cstdint>
#include <span>
#include <vector>

#include "encap/address.h"

namespace encap {

class PrefixSet {
 public:
  PrefixSet() = default;
  // Of both families, in any order. Bits behind a prefix length are ignored, a
  // length above that of the family counts as the full length, and a prefix of
  // no address is left out.
  explicit PrefixSet(std::span<const IpPrefix> prefixes);

  // True when nothing is in it.
  bool empty() const noexcept { return v4_.empty() && v6_.empty(); }

  // `address` points to 4 or 16 bytes in network order.
  bool ContainsV4(const uint8_t* address) const noexcept;
  bool ContainsV6(const uint8_t* address) const noexcept;
  // False for no address.
  bool Contains(const IpAddress& address) const noexcept;

 private:
  // A number in the order of addresses.
  struct Wide {
    uint64_t high = 0;
    uint64_t low = 0;
    friend constexpr auto operator<=>(const Wide&, const Wide&) = default;
  };
  template <typename Number>
  struct Range {
    Number first, last;
  };
  template <typename Number>
  using Ranges = std::vector<Range<Number>>;

  static Wide LoadWide(const uint8_t* address) noexcept;
  template <typename Number>
  static void Join(Ranges<Number>& ranges);
  template <typename Number>
  static bool Find(const Ranges<Number>& ranges, Number number) noexcept;
  void AddV4(const IpPrefix& prefix);
  void AddV6(const IpPrefix& prefix);

  // Ascending, none touches another's addresses.
  Ranges<uint32_t> v4_;
  Ranges<Wide> v6_;
};

}  // namespace encap

#endif  // ENCAP_PREFIX_SET_H_
