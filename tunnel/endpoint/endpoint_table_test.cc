#include "tunnel/endpoint/endpoint_table.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tunnel/endpoint/no_device_for_test.h"

namespace tunnel {
namespace {

using encap::DropReason;

encap::IpAddress Address(const char* text) {
  return *encap::IpAddress::Parse(text);
}

class EndpointTableTest : public testing::Test {
 protected:
  EndpointTableTest() : section_(*lock_.Enter({})) {}

  static encap::EncapConfig Config(encap::Mode mode, const char* local,
                                   const char* remote,
                                   std::optional<uint32_t> key = std::nullopt) {
    encap::EncapConfig config;
    config.mode = mode;
    config.local = Address(local);
    config.remote = Address(remote);
    config.input_key = config.output_key = key;
    return config;
  }

  std::unique_ptr<Endpoint> MakeEndpoint(const char* name) {
    return std::make_unique<Endpoint>(name, std::make_unique<NoDevice>(), 1);
  }

  std::unique_ptr<Variant> MakeVariant(Endpoint& endpoint,
                                       const encap::EncapConfig& config) {
    return std::make_unique<Variant>(endpoint, config, SendRoute{},
                                     std::make_shared<FlowContexts>(1));
  }

  static encap::OuterInfo Outer(uint8_t protocol, const char* local,
                                const char* remote,
                                std::optional<uint32_t> key = std::nullopt) {
    encap::OuterInfo outer;
    outer.protocol = protocol;
    outer.addresses = {Address(local), Address(remote)};
    outer.key = key;
    return outer;
  }

  DropReason WhyNot(const encap::OuterInfo& outer, uint32_t ifindex = 1) {
    const EndpointTable::Found found = table_.Find(outer, ifindex);
    EXPECT_EQ(found.variant, nullptr);
    return found.why;
  }

  ConfigLock lock_;
  ConfigSection section_;
  EndpointTable table_;
};

TEST_F(EndpointTableTest, RefusesASecondHolderOfOneKeyAndNamesTheFirst) {
  auto first = MakeEndpoint("gre0");
  auto second = MakeEndpoint("gre1");
  const auto keys =
      EndpointKeys(Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.2", 7), 0);
  EXPECT_EQ(table_.Reserve(section_, keys[0], *first), nullptr);
  EXPECT_EQ(table_.Reserve(section_, keys[0], *second), first.get());
  EXPECT_EQ(table_.Reserve(section_, keys[0], *first),
            nullptr);  // its own: no-op
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(EndpointTableTest, NoKeyAndKeyZeroAreTwoTunnels) {
  auto plain = MakeEndpoint("gre0");
  auto zero = MakeEndpoint("gre1");
  const auto plain_config = Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.2");
  const auto zero_config =
      Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.2", 0);
  auto plain_variant = MakeVariant(*plain, plain_config);
  auto zero_variant = MakeVariant(*zero, zero_config);
  const auto plain_key = EndpointKeys(plain_config, 0)[0];
  const auto zero_key = EndpointKeys(zero_config, 0)[0];
  ASSERT_EQ(table_.Reserve(section_, plain_key, *plain), nullptr);
  ASSERT_EQ(table_.Reserve(section_, zero_key, *zero), nullptr);
  table_.Attach(section_, plain_key, plain_variant.get());
  table_.Attach(section_, zero_key, zero_variant.get());
  EXPECT_EQ(table_.Find(Outer(47, "192.0.2.1", "192.0.2.2"), 1).variant,
            plain_variant.get());
  EXPECT_EQ(table_.Find(Outer(47, "192.0.2.1", "192.0.2.2", 0), 1).variant,
            zero_variant.get());
}

TEST_F(EndpointTableTest, GifHoldsBothProtocolsOfItsPair) {
  auto gif = MakeEndpoint("gif0");
  auto sit = MakeEndpoint("sit0");
  for (const auto& key :
       EndpointKeys(Config(encap::Mode::kGif, "192.0.2.1", "192.0.2.2"), 0)) {
    ASSERT_EQ(table_.Reserve(section_, key, *gif), nullptr);
  }
  const auto sit_key =
      EndpointKeys(Config(encap::Mode::kSit, "192.0.2.1", "192.0.2.2"), 0)[0];
  EXPECT_EQ(table_.Reserve(section_, sit_key, *sit), gif.get());
}

TEST_F(EndpointTableTest, AReservedKeyReceivesNothingAndNamesItsHolder) {
  auto gre = MakeEndpoint("gre0");
  const auto config = Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.2");
  const auto key = EndpointKeys(config, 0)[0];
  const auto outer = Outer(47, "192.0.2.1", "192.0.2.2");
  ASSERT_EQ(table_.Reserve(section_, key, *gre), nullptr);
  EXPECT_EQ(WhyNot(outer), DropReason::kPaused);
  EXPECT_EQ(table_.Find(outer, 1).holder, gre.get());
  auto variant = MakeVariant(*gre, config);
  table_.Attach(section_, key, variant.get());
  EXPECT_EQ(table_.Find(outer, 1).holder, nullptr);
  table_.Attach(section_, key, nullptr, DropReason::kDown);
  EXPECT_EQ(WhyNot(outer), DropReason::kDown);
  EXPECT_EQ(table_.Find(outer, 1).holder, gre.get());
  table_.Release(section_, key);
  EXPECT_EQ(WhyNot(outer), DropReason::kNoTunnel);
  EXPECT_EQ(table_.Find(outer, 1).holder, nullptr);
}

TEST_F(EndpointTableTest, SaysWhyNothingWasFound) {
  auto keyed = MakeEndpoint("gre0");
  auto plain = MakeEndpoint("gre1");
  ASSERT_EQ(table_.Reserve(section_,
                           EndpointKeys(Config(encap::Mode::kGre, "192.0.2.1",
                                               "192.0.2.2", 5),
                                        0)[0],
                           *keyed),
            nullptr);
  ASSERT_EQ(table_.Reserve(
                section_,
                EndpointKeys(
                    Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.3"), 0)[0],
                *plain),
            nullptr);
  EXPECT_EQ(WhyNot(Outer(47, "192.0.2.1", "192.0.2.2")),
            DropReason::kKeyMissing);
  EXPECT_EQ(WhyNot(Outer(47, "192.0.2.1", "192.0.2.2", 6)),
            DropReason::kKeyMismatch);
  EXPECT_EQ(WhyNot(Outer(47, "192.0.2.1", "192.0.2.3", 5)),
            DropReason::kKeyUnexpected);
  EXPECT_EQ(WhyNot(Outer(47, "192.0.2.1", "192.0.2.9")),
            DropReason::kWrongSource);
  EXPECT_EQ(WhyNot(Outer(47, "192.0.2.8", "192.0.2.2")), DropReason::kNoTunnel);
  EXPECT_EQ(WhyNot(Outer(4, "192.0.2.1", "192.0.2.2")), DropReason::kNoTunnel);
}

TEST_F(EndpointTableTest, ABoundTunnelGoesBeforeAnUnboundOne) {
  auto any = MakeEndpoint("gre0");
  auto bound = MakeEndpoint("gre1");
  const auto config = Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.2");
  auto any_variant = MakeVariant(*any, config);
  auto bound_variant = MakeVariant(*bound, config);
  const auto any_key = EndpointKeys(config, 0)[0];
  const auto bound_key = EndpointKeys(config, 4)[0];
  ASSERT_EQ(table_.Reserve(section_, any_key, *any), nullptr);
  ASSERT_EQ(table_.Reserve(section_, bound_key, *bound), nullptr);
  table_.Attach(section_, any_key, any_variant.get());
  table_.Attach(section_, bound_key, bound_variant.get());
  EXPECT_EQ(table_.Find(Outer(47, "192.0.2.1", "192.0.2.2"), 4).variant,
            bound_variant.get());
  EXPECT_EQ(table_.Find(Outer(47, "192.0.2.1", "192.0.2.2"), 3).variant,
            any_variant.get());
}

TEST_F(EndpointTableTest, UdpAndItsPortArePartOfTheKey) {
  auto config = Config(encap::Mode::kGif, "192.0.2.1", "192.0.2.2");
  auto in_ip = MakeEndpoint("gif0");
  auto in_udp = MakeEndpoint("gif1");
  auto other_port = MakeEndpoint("gif2");
  for (const EndpointKey& key : EndpointKeys(config, 0))
    ASSERT_EQ(table_.Reserve(section_, key, *in_ip), nullptr);
  EXPECT_FALSE(table_.HasUdp());
  config.transport = encap::OuterTransport::kUdp;
  const auto keys = EndpointKeys(config, 0);
  ASSERT_EQ(keys.size(), 1u) << "one for both families";
  EXPECT_EQ(keys[0].udp_port, 5555);
  ASSERT_EQ(table_.Reserve(section_, keys[0], *in_udp), nullptr);
  auto variant = MakeVariant(*in_udp, config);
  table_.Attach(section_, keys[0], variant.get());
  // GRE on the same port is the same identity.
  config.mode = encap::Mode::kGre;
  config.udp_port = 5555;
  EXPECT_EQ(table_.Reserve(section_, EndpointKeys(config, 0)[0], *other_port),
            in_udp.get());
  config.udp_port = 0;
  EXPECT_EQ(table_.Reserve(section_, EndpointKeys(config, 0)[0], *other_port),
            nullptr);

  for (const uint8_t protocol : {4, 41}) {
    encap::OuterInfo outer = Outer(protocol, "192.0.2.1", "192.0.2.2");
    EXPECT_EQ(table_.Find(outer, 1).holder, in_ip.get());
    outer.udp_port = 5555;
    EXPECT_EQ(table_.Find(outer, 1).variant, variant.get());
    outer.udp_port = 5556;
    EXPECT_EQ(WhyNot(outer), DropReason::kNoTunnel);
  }
  EXPECT_TRUE(table_.HasUdp());
  EXPECT_TRUE(table_.ReceivesUdp(Address("192.0.2.1"), 5555));
  EXPECT_FALSE(table_.ReceivesUdp(Address("192.0.2.1"), 53));
  EXPECT_FALSE(table_.ReceivesUdp(Address("192.0.2.2"), 5555));
  const encap::AddressPair pair{Address("192.0.2.1"), Address("192.0.2.2")};
  EXPECT_TRUE(table_.IsOwnOuter(17, pair, 5555));
  EXPECT_FALSE(table_.IsOwnOuter(17, pair, 53));
}

TEST_F(EndpointTableTest, AnExactRemoteGoesBeforeAnyRemote) {
  auto exact = MakeEndpoint("gre0");
  auto any = MakeEndpoint("gre1");
  const auto exact_config =
      Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.2", 7);
  const auto any_config = Config(encap::Mode::kGre, "192.0.2.1", "0.0.0.0", 7);
  auto exact_variant = MakeVariant(*exact, exact_config);
  auto any_variant = MakeVariant(*any, any_config);
  const auto exact_key = EndpointKeys(exact_config, 0)[0];
  const auto any_key = EndpointKeys(any_config, 0)[0];
  ASSERT_EQ(table_.Reserve(section_, exact_key, *exact), nullptr);
  ASSERT_EQ(table_.Reserve(section_, any_key, *any), nullptr);
  EXPECT_EQ(table_.Reserve(section_, any_key, *exact), any.get());
  table_.Attach(section_, exact_key, exact_variant.get());
  table_.Attach(section_, any_key, any_variant.get());

  const auto find = [&](const char* remote, std::optional<uint32_t> key) {
    return table_.Find(Outer(47, "192.0.2.1", remote, key), 1);
  };
  EXPECT_EQ(find("192.0.2.2", 7).variant, exact_variant.get());
  EXPECT_EQ(find("203.0.113.9", 7).variant, any_variant.get());
  EXPECT_EQ(find("203.0.113.9", 8).why, DropReason::kKeyMismatch);
  EXPECT_EQ(find("203.0.113.9", {}).why, DropReason::kKeyMissing);
  EXPECT_EQ(WhyNot(Outer(47, "192.0.2.8", "203.0.113.9", 7)),
            DropReason::kNoTunnel);
  // It makes no packets.
  EXPECT_FALSE(
      table_.IsOwnOuter(47, {Address("192.0.2.1"), Address("203.0.113.9")}));
  table_.Release(section_, any_key);
  EXPECT_EQ(find("203.0.113.9", 7).why, DropReason::kWrongSource);
}

// RFC 1812 5.3.7, RFC 4213 3.6.
TEST_F(EndpointTableTest, AnyRemoteIsNoMartian) {
  for (const auto& [local, any] :
       {std::pair("192.0.2.1", "0.0.0.0"), std::pair("2001:db8::1", "::")}) {
    auto gre = MakeEndpoint("gre0");
    const auto config = Config(encap::Mode::kGre, local, any);
    auto variant = MakeVariant(*gre, config);
    const auto key = EndpointKeys(config, 0)[0];
    ASSERT_EQ(table_.Reserve(section_, key, *gre), nullptr);
    table_.Attach(section_, key, variant.get());
    for (const char* source :
         {"127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "240.0.0.1",
          "::", "::1", "ff02::1"}) {
      if (Address(source).family() != config.local.family()) continue;
      const auto found = table_.Find(Outer(47, local, source), 1);
      EXPECT_EQ(found.variant, nullptr) << source;
      EXPECT_EQ(found.why, DropReason::kMartianSource) << source;
      EXPECT_EQ(found.holder, gre.get()) << "its own drop";
    }
    table_.Release(section_, key);
    EXPECT_EQ(WhyNot(Outer(47, local, any)), DropReason::kMartianSource)
        << "nobody's";
    table_.Reclaim(section_);
  }
}

TEST_F(EndpointTableTest, KnowsOwnOuterPacketsUntilTheTunnelIsReleased) {
  auto gre = MakeEndpoint("gre0");
  const auto key =
      EndpointKeys(Config(encap::Mode::kGre, "192.0.2.1", "192.0.2.2"), 0)[0];
  ASSERT_EQ(table_.Reserve(section_, key, *gre), nullptr);
  EXPECT_TRUE(
      table_.IsOwnOuter(47, {Address("192.0.2.1"), Address("192.0.2.2")}));
  EXPECT_FALSE(
      table_.IsOwnOuter(47, {Address("192.0.2.2"), Address("192.0.2.1")}));
  table_.Release(section_, key);
  EXPECT_FALSE(
      table_.IsOwnOuter(47, {Address("192.0.2.1"), Address("192.0.2.2")}));
  table_.Reclaim(section_);
  EXPECT_EQ(WhyNot(Outer(47, "192.0.2.1", "192.0.2.9")), DropReason::kNoTunnel);
}

}  // namespace
}  // namespace tunnel
