// IpAddress: an IPv4 or IPv6 address. AddressPair: the two ends of a tunnel.
//
// Plain values of fixed size, comparable and hashable byte by byte: every
// unused byte is zero. Addresses are kept in network order.

#ifndef ENCAP_ADDRESS_H_
#define ENCAP_ADDRESS_H_

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace encap {

enum class IpFamily : uint8_t { kNone = 0, kV4 = 4, kV6 = 6 };

class IpAddress {
 public:
  // No address: family() is kNone and bytes() is empty.
  constexpr IpAddress() = default;

  // `bytes` points to 4 (V4) or 16 (V6) bytes in network order; they are
  // copied.
  static IpAddress V4(const uint8_t* bytes) noexcept {
    return IpAddress(IpFamily::kV4, bytes, 4);
  }
  static IpAddress V6(const uint8_t* bytes) noexcept {
    return IpAddress(IpFamily::kV6, bytes, 16);
  }

  // The same in place: a value that is built and then copied stalls a hot path.
  void AssignV4(const uint8_t* bytes) noexcept {
    // Two whole words, which a lookup loads again.
    uint32_t raw;
    std::memcpy(&raw, bytes, 4);
    const uint64_t word = std::endian::native == std::endian::little
                              ? uint64_t{raw}
                              : uint64_t{raw} << 32;
    const uint64_t zero = 0;
    family_ = IpFamily::kV4;
    std::memcpy(bytes_.data(), &word, 8);
    std::memcpy(bytes_.data() + 8, &zero, 8);
  }
  void AssignV6(const uint8_t* bytes) noexcept {
    family_ = IpFamily::kV6;
    std::memcpy(bytes_.data(), bytes, 16);
  }

  // Dotted quad or RFC 4291 2.2 text without zone or prefix; nullopt for
  // anything else. "::ffff:1.2.3.4" stays an IPv6 address.
  static std::optional<IpAddress> Parse(std::string_view text);

  // RFC 5952 text ("192.0.2.1", "2001:db8::1"); "" for no address.
  std::string ToString() const;

  constexpr IpFamily family() const noexcept { return family_; }
  constexpr bool is_v4() const noexcept { return family_ == IpFamily::kV4; }
  constexpr bool is_v6() const noexcept { return family_ == IpFamily::kV6; }
  // 4, 16 or 0 bytes, network order.
  std::span<const uint8_t> bytes() const noexcept {
    return {bytes_.data(), is_v4()   ? size_t{4}
                           : is_v6() ? size_t{16}
                                     : size_t{0}};
  }

  // All 16 bytes as two numbers of the host's byte order, for what hashes and
  // compares: an IPv4 address is followed by zeros.
  uint64_t first_word() const noexcept { return WordAt(0); }
  uint64_t second_word() const noexcept { return WordAt(8); }

  // 0.0.0.0 or :: (also true for no address).
  bool IsUnspecified() const noexcept;
  bool IsLoopback() const noexcept;
  bool IsMulticast() const noexcept;
  // 255.255.255.255 only; a subnet broadcast needs the prefix to be known.
  bool IsBroadcast() const noexcept;
  bool IsLinkLocal() const noexcept;
  // An address that no host may send from: unspecified, multicast, broadcast,
  // loopback, 0/8, 240/4 (RFC 1812 5.3.7, RFC 4291 2.7).
  bool IsMartianSource() const noexcept;
  // The same by the first octet of an IPv4 address: 0/8, 127/8, 224/4, 240/4.
  static constexpr bool IsMartianV4(uint8_t first) noexcept {
    return first == 0 || first == 127 || first >= 224;
  }

  friend constexpr auto operator<=>(const IpAddress&,
                                    const IpAddress&) = default;
  friend constexpr bool operator==(const IpAddress&,
                                   const IpAddress&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    return H::combine(std::move(h), a.family_, a.bytes_);
  }

 private:
  uint64_t WordAt(size_t offset) const noexcept {
    uint64_t word;
    std::memcpy(&word, bytes_.data() + offset, sizeof word);
    return word;
  }

  IpAddress(IpFamily family, const uint8_t* bytes, size_t size) noexcept
      : family_(family) {
    std::memcpy(bytes_.data(), bytes, size);
  }

  IpFamily family_ = IpFamily::kNone;
  std::array<uint8_t, 16> bytes_{};
};

// An address with a prefix length, e.g. for an interface ("10.9.0.1/30").
struct IpPrefix {
  IpAddress address;
  uint8_t length = 0;  // bits

  // "ADDR/LEN"; without "/LEN" the full length. nullopt when malformed or LEN
  // is larger than the family allows.
  static std::optional<IpPrefix> Parse(std::string_view text);
  std::string ToString() const;
  // False for an address of the other family.
  bool Contains(const IpAddress& other) const;
  friend auto operator<=>(const IpPrefix&, const IpPrefix&) = default;
};

// The outer addresses of a tunnel, seen from this host.
struct AddressPair {
  IpAddress local;
  IpAddress remote;
  friend constexpr auto operator<=>(const AddressPair&,
                                    const AddressPair&) = default;
  friend constexpr bool operator==(const AddressPair&,
                                   const AddressPair&) = default;
};

}  // namespace encap

#endif  // ENCAP_ADDRESS_H_
