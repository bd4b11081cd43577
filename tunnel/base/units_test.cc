#include "tunnel/base/units.h"

#include <gtest/gtest.h>

namespace tunnel {
namespace {

TEST(UnitsTest, RatesAreReadAsTcReadsThem) {
  const struct {
    const char* text;
    uint64_t bits;
  } kCases[] = {
      {"0", 0},
      {"8000", 8000},
      {"10mbit", 10'000'000},
      {"10Mbit", 10'000'000},
      {"1gbit", 1'000'000'000},
      {"1.5mbit", 1'500'000},
      {"0.1gbit", 100'000'000},
      {"2tbit", 2'000'000'000'000},
      {"1kibit", 1024},
      {"1bps", 8},
      {"1mbps", 8'000'000},
      {"1mibps", 8 * 1024 * 1024},
      {"9223372036854775806", 9223372036854775806u},
  };
  for (const auto& c : kCases) {
    uint64_t bits = 1;
    EXPECT_TRUE(ParseRate(c.text, &bits)) << c.text;
    EXPECT_EQ(bits, c.bits) << c.text;
  }
}

TEST(UnitsTest, SizesAreReadAsTcReadsThem) {
  const struct {
    const char* text;
    uint64_t bytes;
  } kCases[] = {
      {"1500", 1500},      {"1500b", 1500}, {"64k", 65536},   {"64kb", 65536},
      {"1m", 1024 * 1024}, {"1.5kb", 1536}, {"1G", 1u << 30}, {"0", 0}};
  for (const auto& c : kCases) {
    uint64_t bytes = 1;
    EXPECT_TRUE(ParseSize(c.text, &bytes)) << c.text;
    EXPECT_EQ(bytes, c.bytes) << c.text;
  }
}

TEST(UnitsTest, RefusesWhatIsNoQuantity) {
  uint64_t value = 0;
  for (const char* text :
       {"", "mbit", "-1mbit", "1 mbit", "1mb it", "1e6", "0x10", "1..2", ".",
        "nan", "inf", "10furlong", "9223372036854775808", "9223373tbit",
        "99999999999999999999"}) {
    EXPECT_FALSE(ParseRate(text, &value)) << text;
  }
  for (const char* text : {"", "kb", "1bit", "-1", "9999999999999gb"})
    EXPECT_FALSE(ParseSize(text, &value)) << text;
}

TEST(UnitsTest, WhatIsWrittenIsReadAsTheSame) {
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{1}, uint64_t{999}, uint64_t{1000}, uint64_t{1024},
        uint64_t{1500}, uint64_t{65536}, uint64_t{10'000'000},
        uint64_t{1'000'000'007}, uint64_t{5'000'000'000'000}}) {
    uint64_t back = ~uint64_t{0};
    EXPECT_TRUE(ParseRate(RateText(value), &back));
    EXPECT_EQ(back, value) << RateText(value);
    EXPECT_TRUE(ParseSize(SizeText(value), &back));
    EXPECT_EQ(back, value) << SizeText(value);
  }
  EXPECT_EQ(RateText(10'000'000), "10mbit");
  EXPECT_EQ(RateText(1500), "1500bit");
  EXPECT_EQ(SizeText(65536), "64kb");
}

}  // namespace
}  // namespace tunnel
