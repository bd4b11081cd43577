#include "ctl/pcapng.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace tunnel::ctl {
namespace {

template <typename Number>
Number At(const std::string& block, size_t offset) {
  Number value{};
  if (offset + sizeof value > block.size()) {
    ADD_FAILURE() << "block of " << block.size() << " bytes ends before "
                  << offset;
    return value;
  }
  std::memcpy(&value, block.data() + offset, sizeof value);
  return value;
}

void ExpectFramed(const std::string& block, uint32_t type) {
  EXPECT_EQ(At<uint32_t>(block, 0), type);
  EXPECT_EQ(block.size() % 4, 0u);
  EXPECT_EQ(At<uint32_t>(block, 4), block.size());
  EXPECT_EQ(At<uint32_t>(block, block.size() - 4), block.size());
}

TEST(PcapngTest, SectionTellsByteOrderAndVersion) {
  const std::string block = PcapngSection("tunneld 1");
  ExpectFramed(block, 0x0a0d0d0a);
  EXPECT_EQ(At<uint32_t>(block, 8), 0x1a2b3c4du);
  EXPECT_EQ(At<uint16_t>(block, 12), 1);
  EXPECT_EQ(At<uint16_t>(block, 14), 0);
  EXPECT_EQ(At<uint64_t>(block, 16), ~uint64_t{0});
  EXPECT_EQ(At<uint16_t>(block, 24), 4);  // shb_userappl
  EXPECT_EQ(At<uint16_t>(block, 26), 9);
  EXPECT_EQ(block.substr(28, 9), "tunneld 1");
  EXPECT_EQ(At<uint32_t>(block, 40), 0u) << "end of options behind padding";
}

TEST(PcapngTest, InterfaceHasTypeSnapLengthAndResolution) {
  const std::string block =
      PcapngInterface("g0 inner", LinkType::kEthernet, 96);
  ExpectFramed(block, 1);
  EXPECT_EQ(At<uint16_t>(block, 8), 1);
  EXPECT_EQ(At<uint32_t>(block, 12), 96u);
  EXPECT_EQ(block.substr(20, 8), "g0 inner");
  EXPECT_EQ(At<uint16_t>(block, 28), 9);  // if_tsresol
  EXPECT_EQ(At<uint16_t>(block, 30), 1);
  EXPECT_EQ(At<uint8_t>(block, 32), 9);
  EXPECT_EQ(At<uint16_t>(PcapngInterface("x", LinkType::kRawIp, 1), 8), 101);
}

TEST(PcapngTest, PacketHasTimeLengthsFlagsAndComment) {
  const std::vector<uint8_t> bytes = {0x45, 1, 2, 3, 4};
  const std::string block = PcapngPacketBlock({.interface = 1,
                                               .time_ns = 0x0102030405060708,
                                               .outbound = true,
                                               .length = 1500,
                                               .bytes = bytes,
                                               .comment = "drop: too_big"});
  ExpectFramed(block, 6);
  EXPECT_EQ(At<uint32_t>(block, 8), 1u);
  EXPECT_EQ(At<uint32_t>(block, 12), 0x01020304u);
  EXPECT_EQ(At<uint32_t>(block, 16), 0x05060708u);
  EXPECT_EQ(At<uint32_t>(block, 20), 5u);
  EXPECT_EQ(At<uint32_t>(block, 24), 1500u);
  EXPECT_EQ(std::memcmp(block.data() + 28, bytes.data(), 5), 0);
  EXPECT_EQ(block.substr(33, 3), std::string(3, '\0'));
  EXPECT_EQ(At<uint16_t>(block, 36), 2);  // epb_flags
  EXPECT_EQ(At<uint32_t>(block, 40), 2u);
  EXPECT_EQ(At<uint16_t>(block, 44), 1);  // opt_comment
  EXPECT_EQ(At<uint16_t>(block, 46), 13);
  EXPECT_EQ(block.substr(48, 13), "drop: too_big");
}

TEST(PcapngTest, InboundPacketWithoutComment) {
  const std::vector<uint8_t> bytes(8, 0x60);
  const std::string block = PcapngPacketBlock({.length = 8, .bytes = bytes});
  ExpectFramed(block, 6);
  EXPECT_EQ(At<uint32_t>(block, 40), 1u);
  EXPECT_EQ(block.size(), 28u + 8 + 8 + 4 + 4);
}

TEST(PcapngTest, StatisticsHaveWhatWasLost) {
  const std::string block = PcapngStatistics(0, 5, 1000, 7);
  ExpectFramed(block, 5);
  EXPECT_EQ(At<uint16_t>(block, 20), 4);  // isb_ifrecv
  EXPECT_EQ(At<uint64_t>(block, 24), 1000u);
  EXPECT_EQ(At<uint16_t>(block, 32), 5);  // isb_ifdrop
  EXPECT_EQ(At<uint64_t>(block, 36), 7u);
}

}  // namespace
}  // namespace tunnel::ctl
