#include "encap/dscp_ecn.h"

#include <gtest/gtest.h>

namespace encap {
namespace {

constexpr Ecn kAll[] = {Ecn::kNotEct, Ecn::kEct0, Ecn::kEct1, Ecn::kCe};

TEST(EcnTest, NormalModeCopiesAndCompatModeClears) {
  for (const Ecn inner : kAll) {
    EXPECT_EQ(EncapsulateEcn(EcnMode::kNormal, inner), inner);
    EXPECT_EQ(EncapsulateEcn(EcnMode::kCompat, inner), Ecn::kNotEct);
  }
}

// RFC 6040 figure 4 in the order in which it is printed: columns Not-ECT,
// ECT(0), ECT(1), CE.
TEST(EcnTest, DecapsulationFollowsFigure4) {
  constexpr Ecn kN = Ecn::kNotEct;
  constexpr Ecn k0 = Ecn::kEct0;
  constexpr Ecn k1 = Ecn::kEct1;
  constexpr Ecn kC = Ecn::kCe;
  const struct {
    Ecn inner;
    Ecn result[4];
  } rows[] = {
      {kN, {kN, kN, kN, kN}},  // the last cell is the drop, checked below
      {k0, {k0, k0, k1, kC}},
      {k1, {k1, k1, k1, kC}},
      {kC, {kC, kC, kC, kC}},
  };
  for (const auto& row : rows) {
    for (int column = 0; column < 4; ++column) {
      const EcnVerdict verdict = DecapsulateEcn(row.inner, kAll[column]);
      const bool drop = row.inner == kN && kAll[column] == kC;
      EXPECT_EQ(verdict.drop, drop);
      EXPECT_EQ(verdict.ecn, row.result[column])
          << static_cast<int>(row.inner) << " under " << column;
    }
  }
}

TEST(DscpTest, FixedOrInnerAndNeverTheEcnBits) {
  EXPECT_EQ(EncapsulateDscp(std::nullopt, 0xbb), 0xb8);
  EXPECT_EQ(EncapsulateDscp(uint8_t{0x28}, 0xbb), 0x28);
  EXPECT_EQ(EncapsulateDscp(uint8_t{0}, 0xbb), 0);
}

TEST(DscpTest, WithEcnKeepsTheDscp) {
  for (const Ecn ecn : kAll) {
    EXPECT_EQ(WithEcn(0xbb, ecn), 0xb8 | static_cast<uint8_t>(ecn));
    EXPECT_EQ(EcnOf(WithEcn(0xbb, ecn)), ecn);
  }
}

}  // namespace
}  // namespace encap
