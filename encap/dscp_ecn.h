// The six DSCP and two ECN bits of TOS and traffic class across a tunnel:
// RFC 2983 for DSCP, the tables of RFC 6040 for ECN.

#ifndef ENCAP_DSCP_ECN_H_
#define ENCAP_DSCP_ECN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "encap/encap_config.h"

namespace encap {

// The ECN field (RFC 3168 5), by its value in the header.
enum class Ecn : uint8_t { kNotEct = 0, kEct1 = 1, kEct0 = 2, kCe = 3 };

inline constexpr uint8_t kEcnMask = 0x03;
inline constexpr uint8_t kDscpMask = 0xfc;

constexpr Ecn EcnOf(uint8_t tos) noexcept {
  return static_cast<Ecn>(tos & kEcnMask);
}
constexpr uint8_t WithEcn(uint8_t tos, Ecn ecn) noexcept {
  return static_cast<uint8_t>((tos & kDscpMask) | static_cast<uint8_t>(ecn));
}

// RFC 6040 4.1, figure 3: the outer field that leaves, by [mode][inner].
inline constexpr std::array<std::array<Ecn, 4>, 2> kEcnEncapsulation = {{
    // inner  Not-ECT       ECT(1)        ECT(0)        CE
    /* normal */ {Ecn::kNotEct, Ecn::kEct1, Ecn::kEct0, Ecn::kCe},
    /* compat */ {Ecn::kNotEct, Ecn::kNotEct, Ecn::kNotEct, Ecn::kNotEct},
}};

// What a decapsulator does with one pair of fields.
struct EcnVerdict {
  Ecn ecn = Ecn::kNotEct;  // the field that is forwarded
  bool drop = false;
  friend constexpr bool operator==(EcnVerdict, EcnVerdict) = default;
};

// RFC 6040 4.2, figure 4: by [inner][outer], both in the order of the values
// (Not-ECT, ECT(1), ECT(0), CE).
inline constexpr std::array<std::array<EcnVerdict, 4>, 4> kEcnDecapsulation = {{
    // outer  Not-ECT   ECT(1)    ECT(0)    CE
    /* inner Not-ECT */
    {{{Ecn::kNotEct}, {Ecn::kNotEct}, {Ecn::kNotEct}, {Ecn::kNotEct, true}}},
    /* inner ECT(1) */
    {{{Ecn::kEct1}, {Ecn::kEct1}, {Ecn::kEct1}, {Ecn::kCe}}},
    /* inner ECT(0) */
    {{{Ecn::kEct0}, {Ecn::kEct1}, {Ecn::kEct0}, {Ecn::kCe}}},
    /* inner CE */
    {{{Ecn::kCe}, {Ecn::kCe}, {Ecn::kCe}, {Ecn::kCe}}},
}};

constexpr Ecn EncapsulateEcn(EcnMode mode, Ecn inner) noexcept {
  return kEcnEncapsulation[static_cast<size_t>(mode)]
                          [static_cast<size_t>(inner)];
}

constexpr EcnVerdict DecapsulateEcn(Ecn inner, Ecn outer) noexcept {
  return kEcnDecapsulation[static_cast<size_t>(inner)]
                          [static_cast<size_t>(outer)];
}

// The DSCP that leaves, ECN bits zero: `fixed` where it is set (pipe model, RFC
// 2983 3.1), else that of the inner packet (uniform model). A decapsulator of
// either model that forwards the inner DSCP needs no function.
constexpr uint8_t EncapsulateDscp(std::optional<uint8_t> fixed,
                                  uint8_t inner_tos) noexcept {
  return (fixed ? *fixed : inner_tos) & kDscpMask;
}

}  // namespace encap

#endif  // ENCAP_DSCP_ECN_H_
