#include "tunnel/endpoint/sender_index.h"

#include <gtest/gtest.h>

#include <vector>

#include "encap/outer_parse.h"
#include "encap/wire/udp.h"
#include "tunnel/endpoint/endpoint.h"
#include "tunnel/endpoint/no_device_for_test.h"

namespace tunnel {
namespace {

encap::IpAddress Address(const char* text) {
  return *encap::IpAddress::Parse(text);
}

class SenderIndexTest : public testing::Test {
 protected:
  SenderIndexTest() : section_(*lock_.Enter({})) {}

  static encap::EncapConfig Config(encap::Mode mode,
                                   std::optional<uint32_t> key = std::nullopt) {
    encap::EncapConfig config;
    config.mode = mode;
    config.local = Address("192.0.2.1");
    config.remote = Address("192.0.2.2");
    config.input_key = 99;
    config.output_key = key;
    return config;
  }

  static encap::OuterError Error(uint8_t protocol,
                                 const std::vector<uint8_t>& upper) {
    encap::OuterError error;
    error.addresses = {Address("192.0.2.1"), Address("192.0.2.2")};
    error.protocol = protocol;
    error.upper = upper;
    return error;
  }

  void Set(const Endpoint& endpoint, const encap::EncapConfig& config) {
    index_.Set(section_, endpoint, SenderKeys(config));
  }

  ConfigLock lock_;
  ConfigSection section_;
  SenderIndex index_;
  Endpoint one_{"one", std::make_unique<NoDevice>(), 1};
  Endpoint two_{"two", std::make_unique<NoDevice>(), 1};
  const std::vector<uint8_t> no_key_ = {0, 0, 8, 0};
  const std::vector<uint8_t> key_7_ = {0x20, 0, 8, 0, 0, 0, 0, 7};
  const std::vector<uint8_t> checksum_key_7_ = {0xa0, 0, 8, 0, 1, 2,
                                                0,    0, 0, 0, 0, 7};
};

TEST_F(SenderIndexTest, GreIsFoundByTheKeyThatIsSent) {
  Set(one_, Config(encap::Mode::kGre, 7));
  Set(two_, Config(encap::Mode::kGre));
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, key_7_)), &one_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, checksum_key_7_)), &one_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, no_key_)), &two_);
  std::vector<uint8_t> other = key_7_;
  other[7] = 8;
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, other)), nullptr);
  EXPECT_EQ(index_.Find(Error(encap::kProtoIpip, no_key_)), nullptr);
  encap::OuterError elsewhere = Error(encap::kProtoGre, key_7_);
  elsewhere.addresses.remote = Address("192.0.2.3");
  EXPECT_EQ(index_.Find(elsewhere), nullptr);
}

TEST_F(SenderIndexTest, AQuoteThatEndsBeforeTheKeyFindsOneOfThePair) {
  Set(one_, Config(encap::Mode::kGre, 7));
  std::vector<uint8_t> cut = checksum_key_7_;
  cut.resize(8);
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, cut)), &one_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, {})), &one_);
  index_.Remove(section_, one_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, cut)), nullptr);
}

TEST_F(SenderIndexTest, GifSendsWithTwoProtocols) {
  Set(one_, Config(encap::Mode::kGif));
  EXPECT_EQ(index_.Find(Error(encap::kProtoIpip, {})), &one_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoIpv6, {})), &one_);
  Set(one_, Config(encap::Mode::kSit));
  EXPECT_EQ(index_.Find(Error(encap::kProtoIpip, {})), nullptr);
  EXPECT_EQ(index_.Find(Error(encap::kProtoIpv6, {})), &one_);
}

TEST_F(SenderIndexTest, UdpIsFoundByItsPort) {
  encap::EncapConfig gre = Config(encap::Mode::kGre, 7);
  gre.transport = encap::OuterTransport::kUdp;
  encap::EncapConfig gif = Config(encap::Mode::kGif);
  gif.transport = encap::OuterTransport::kUdp;
  gif.udp_port = 6000;
  Set(one_, gre);
  Set(two_, gif);
  const auto udp = [](uint16_t port, const std::vector<uint8_t>& payload) {
    std::vector<uint8_t> bytes = {0xc0,
                                  0,
                                  static_cast<uint8_t>(port >> 8),
                                  static_cast<uint8_t>(port),
                                  0,
                                  0,
                                  0,
                                  0};
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    return bytes;
  };
  EXPECT_EQ(index_.Find(Error(encap::kProtoUdp, udp(4754, key_7_))), &one_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoUdp, udp(6000, {0x45, 0, 0, 40}))),
            &two_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoUdp, udp(53, key_7_))), nullptr);
  EXPECT_EQ(index_.Find(Error(encap::kProtoUdp, {0, 1, 2})), nullptr);
}

TEST_F(SenderIndexTest, OfTwoThatSendAlikeTheOtherIsLeftWhenOneGoes) {
  Set(one_, Config(encap::Mode::kGre, 7));
  Set(two_, Config(encap::Mode::kGre, 7));
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, key_7_)), &two_);
  Set(two_, Config(encap::Mode::kGre, 8));
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, key_7_)), &one_);
  index_.Remove(section_, one_);
  index_.Remove(section_, one_);
  EXPECT_EQ(index_.Find(Error(encap::kProtoGre, key_7_)), nullptr);
  index_.Remove(section_, two_);
  index_.Reclaim(section_);
  EXPECT_EQ(index_.size(), 0U);
}

}  // namespace
}  // namespace tunnel
