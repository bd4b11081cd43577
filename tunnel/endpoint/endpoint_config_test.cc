#include "tunnel/endpoint/endpoint_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "encap/address.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

using encap::FragmentPolicy;
using encap::IpAddress;
using encap::IpPrefix;
using encap::Mode;
using encap::OuterTransport;

EndpointConfig Gre() {
  EndpointConfig config;
  config.name = "gre0";
  config.encap.mode = Mode::kGre;
  config.encap.local = *IpAddress::Parse("192.0.2.1");
  config.encap.remote = *IpAddress::Parse("192.0.2.2");
  return config;
}

std::vector<std::string> BadFields(const EndpointConfig& config) {
  const auto detail = GetErrorDetail(Validate(config));
  std::vector<std::string> fields;
  if (detail) {
    for (const FieldViolation& v : detail->violations) {
      EXPECT_FALSE(v.description.empty());
      fields.push_back(v.field);
    }
  }
  return fields;
}

std::vector<std::string> OneField(const char* field) { return {field}; }

using Edit = std::function<void(EndpointConfig&)>;
EndpointConfig With(const Edit& edit) {
  EndpointConfig config = Gre();
  edit(config);
  return config;
}

TEST(EndpointConfigValidate, AcceptsGoodConfigs) {
  const std::vector<Edit> edits = {
      [](EndpointConfig&) {},
      [](EndpointConfig& c) { c.name = "A-z_0.9abcdefgh"; },
      [](EndpointConfig& c) { c.mtu = 68; },
      [](EndpointConfig& c) { c.mtu = 65535; },
      [](EndpointConfig& c) { c.queues = kMaxQueues; },
      [](EndpointConfig& c) { c.txqueuelen = kMaxTxQueueLen; },
      [](EndpointConfig& c) { c.underlay_device = "br-lan@7"; },
      [](EndpointConfig& c) {
        c.addresses = {*IpPrefix::Parse("10.9.0.1/30")};
      },
      [](EndpointConfig& c) { c.addresses = {*IpPrefix::Parse("fe80::1/64")}; },
      [](EndpointConfig& c) {
        c.labels = {{"site/rack", "Z\xc3\xbcrich 4"}};
      },
      [](EndpointConfig& c) {
        c.labels = {{"k", std::string(255, 'v')}};
      },
  };
  for (size_t i = 0; i < edits.size(); ++i) {
    EXPECT_TRUE(Validate(With(edits[i])).ok())
        << i << ": " << Validate(With(edits[i]));
  }
}

TEST(EndpointConfigValidate, NamesTheOneBadField) {
  const std::vector<std::pair<const char*, Edit>> cases = {
      {"name", [](EndpointConfig& c) { c.name = ""; }},
      {"name", [](EndpointConfig& c) { c.name = "."; }},
      {"name", [](EndpointConfig& c) { c.name = ".."; }},
      {"name", [](EndpointConfig& c) { c.name = "all"; }},
      {"name", [](EndpointConfig& c) { c.name = "default"; }},
      {"name", [](EndpointConfig& c) { c.name = "sixteen-bytes-xx"; }},
      {"name", [](EndpointConfig& c) { c.name = "a/b"; }},
      {"name", [](EndpointConfig& c) { c.name = "a b"; }},
      {"name", [](EndpointConfig& c) { c.name = "gre%d"; }},
      {"name", [](EndpointConfig& c) { c.name = "gr\xc3\xa9"; }},
      {"name", [](EndpointConfig& c) { c.name = std::string("a\0b", 3); }},
      {"remote", [](EndpointConfig& c) { c.encap.remote = IpAddress(); }},
      {"ttl", [](EndpointConfig& c) { c.encap.ttl = 0; }},
      {"mtu", [](EndpointConfig& c) { c.mtu = 67; }},
      {"mtu", [](EndpointConfig& c) { c.mtu = 65536; }},
      {"queues", [](EndpointConfig& c) { c.queues = 257; }},
      {"txqueuelen", [](EndpointConfig& c) { c.txqueuelen = 65537; }},
      {"underlay_device", [](EndpointConfig& c) { c.underlay_device = "a:b"; }},
      {"underlay_device", [](EndpointConfig& c) { c.underlay_device = ".."; }},
      {"underlay_device",
       [](EndpointConfig& c) { c.underlay_device = "gre0"; }},
      {"labels", [](EndpointConfig& c) { c.labels[""] = "v"; }},
      {"labels", [](EndpointConfig& c) { c.labels["k=k"] = "v"; }},
      {"labels", [](EndpointConfig& c) { c.labels["k"] = "a\nb"; }},
      {"labels", [](EndpointConfig& c) { c.labels["k"] = "\xc0\x80"; }},
      {"labels", [](EndpointConfig& c) { c.labels["k"] = "\xed\xa0\x80"; }},
      {"labels", [](EndpointConfig& c) { c.labels["k"] = "\xf5\x80\x80\x80"; }},
      {"labels", [](EndpointConfig& c) { c.labels["k"] = "\xe2\x82"; }},
      {"labels",
       [](EndpointConfig& c) { c.labels["k"] = std::string(256, 'v'); }},
  };
  for (const auto& [field, edit] : cases) {
    EXPECT_EQ(BadFields(With(edit)), OneField(field));
  }
}

TEST(EndpointConfigValidate, LocalMayBeAnInterface) {
  EndpointConfig config = Gre();
  config.local_device = "eth0";
  EXPECT_EQ(BadFields(config), OneField("local"));  // an address too
  config.encap.local = {};
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  config.encap.remote = *IpAddress::Parse("2001:db8::1");
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  config.encap.remote = {};
  EXPECT_EQ(BadFields(config), OneField("remote"));
  config = With([](EndpointConfig& c) {
    c.encap.local = {};
    c.local_device = "gre0";
  });
  EXPECT_EQ(BadFields(config), OneField("local"));
  config.local_device = "a b";
  EXPECT_EQ(BadFields(config), OneField("local"));
}

TEST(EndpointConfigValidate, RemoteMayBeAny) {
  EndpointConfig config = Gre();
  config.encap.remote = *IpAddress::Parse("0.0.0.0");
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  EXPECT_EQ(RemoteText(config), "any");
  config.encap.local = {};
  config.local_device = "eth0";
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  EXPECT_EQ(RemoteText(config), "any4");
  config.encap.remote = *IpAddress::Parse("::");
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  EXPECT_EQ(RemoteText(config), "any6");
  EXPECT_EQ(RemoteText(Gre()), "192.0.2.2");
}

TEST(EndpointConfigDiff, ShowsTheInterfaceAndNeverItsAddress) {
  EndpointConfig of_device = Gre();
  of_device.encap.local = {};
  of_device.local_device = "eth0";
  const auto changes = Diff(Gre(), of_device);
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].field, "local");
  EXPECT_EQ(changes[0].old_value, "192.0.2.1");
  EXPECT_EQ(changes[0].new_value, "dev:eth0");
  EXPECT_NE(Etag(Gre()), Etag(of_device));
}

TEST(EndpointConfigValidate, RefusesBadInterfaceAddresses) {
  for (const char* text :
       {"0.0.0.0/8", "224.0.0.1/24", "127.0.0.1/8", "255.255.255.255/32",
        "240.0.0.1/24", "::/64", "::1/128", "ff02::1/64", "10.0.0.1/0"}) {
    const EndpointConfig config = With(
        [&](EndpointConfig& c) { c.addresses = {*IpPrefix::Parse(text)}; });
    EXPECT_EQ(BadFields(config), OneField("addresses[0]")) << text;
  }
  const EndpointConfig twice = With([](EndpointConfig& c) {
    c.addresses = {*IpPrefix::Parse("10.0.0.1/24"),
                   *IpPrefix::Parse("10.0.0.1/30")};
  });
  EXPECT_EQ(BadFields(twice), OneField("addresses[1]"));
  const EndpointConfig long_prefix = With([](EndpointConfig& c) {
    c.addresses = {{*IpAddress::Parse("10.0.0.1"), 33}};
  });
  EXPECT_EQ(BadFields(long_prefix), OneField("addresses[0]"));
  const EndpointConfig none =
      With([](EndpointConfig& c) { c.addresses.resize(1); });
  EXPECT_EQ(BadFields(none), OneField("addresses[0]"));
}

TEST(EndpointConfigValidate, LimitsCountsOfAddressesAndLabels) {
  EndpointConfig config = Gre();
  for (uint8_t i = 0; i < kMaxAddresses; ++i) {
    const uint8_t bytes[4] = {10, 0, i, 1};
    config.addresses.push_back({IpAddress::V4(bytes), 24});
    config.labels["key" + std::to_string(i)] = "";
  }
  EXPECT_TRUE(Validate(config).ok()) << Validate(config);
  config.addresses.push_back(*IpPrefix::Parse("10.1.0.1/24"));
  config.labels["more"] = "";
  EXPECT_EQ(BadFields(config),
            (std::vector<std::string>{"addresses", "labels"}));
}

TEST(EndpointConfigValidate, ListsAllBadFieldsAtOnce) {
  const EndpointConfig config = With([](EndpointConfig& c) {
    c.name = "a/b";
    c.encap.mode = Mode::kGif;
    c.encap.local = *IpAddress::Parse("224.0.0.1");
    c.encap.remote = IpAddress();
    c.encap.input_key = 1;
    c.encap.ttl = 0;
    c.mtu = 1;
    c.underlay_device = "/";
    c.addresses = {*IpPrefix::Parse("::/0")};
    c.queues = 1000;
    c.txqueuelen = 1u << 31;
    c.labels[""] = "";
  });
  const std::vector<std::string> fields = BadFields(config);
  const std::set<std::string> got(fields.begin(), fields.end());
  EXPECT_EQ(
      got, (std::set<std::string>{"name", "local", "remote", "input_key", "ttl",
                                  "mtu", "underlay_device", "addresses[0]",
                                  "queues", "txqueuelen", "labels"}));
  EXPECT_EQ(GetReason(Validate(config)), Reason::kFieldInvalid);
}

TEST(EndpointConfigValidate, ReasonIsThatOfTheFirstFault) {
  const EndpointConfig family = With([](EndpointConfig& c) {
    c.encap.remote = *IpAddress::Parse("2001:db8::2");
    c.mtu = 1;
  });
  EXPECT_EQ(GetReason(Validate(family)), Reason::kFamilyMismatch);
  EXPECT_EQ(BadFields(family), (std::vector<std::string>{"remote", "mtu"}));

  const EndpointConfig mode = With([](EndpointConfig& c) {
    c.encap.mode = static_cast<Mode>(77);
    c.queues = 1000;
  });
  EXPECT_EQ(GetReason(Validate(mode)), Reason::kUnknownMode);

  const EndpointConfig name = With([](EndpointConfig& c) {
    c.name = "";
    c.encap.remote = *IpAddress::Parse("2001:db8::2");
  });
  EXPECT_EQ(GetReason(Validate(name)), Reason::kFieldInvalid);

  const EndpointConfig inner = With([](EndpointConfig& c) {
    c.encap.mode = Mode::kIpip;
    c.addresses = {*IpPrefix::Parse("2001:db8::1/64")};
  });
  EXPECT_EQ(GetReason(Validate(inner)), Reason::kFamilyMismatch);
  EXPECT_EQ(Validate(inner).code(), absl::StatusCode::kInvalidArgument);
}

TEST(EndpointConfigValidate, MtuFloorFollowsWhatIsCarried) {
  EndpointConfig config = Gre();
  config.mtu = 1279;
  EXPECT_TRUE(Validate(config).ok());
  config.addresses = {*IpPrefix::Parse("2001:db8::1/64")};
  EXPECT_EQ(BadFields(config), OneField("mtu"));
  config.mtu = 1280;
  EXPECT_TRUE(Validate(config).ok());
  config.addresses.clear();
  config.encap.mode = Mode::kSit;
  EXPECT_TRUE(Validate(config).ok());
  config.mtu = 1279;
  EXPECT_EQ(BadFields(config), OneField("mtu"));
}

// Each edit changes one field; `field` is its name in a diff.
const std::vector<std::pair<const char*, Edit>>& SingleEdits() {
  static const auto* edits = new std::vector<std::pair<const char*, Edit>>{
      {"name", [](EndpointConfig& c) { c.name = "gre1"; }},
      {"mode", [](EndpointConfig& c) { c.encap.mode = Mode::kGretap; }},
      {"local",
       [](EndpointConfig& c) {
         c.encap.local = *IpAddress::Parse("192.0.2.9");
       }},
      {"remote",
       [](EndpointConfig& c) {
         c.encap.remote = *IpAddress::Parse("192.0.2.9");
       }},
      {"input_key", [](EndpointConfig& c) { c.encap.input_key = 0; }},
      {"output_key", [](EndpointConfig& c) { c.encap.output_key = 0; }},
      {"checksum", [](EndpointConfig& c) { c.encap.checksum = true; }},
      {"sequence", [](EndpointConfig& c) { c.encap.sequence = true; }},
      {"ttl", [](EndpointConfig& c) { c.encap.ttl.reset(); }},
      {"tos", [](EndpointConfig& c) { c.encap.tos = 0; }},
      {"df", [](EndpointConfig& c) { c.encap.df = encap::DfPolicy::kInherit; }},
      {"ecn", [](EndpointConfig& c) { c.encap.ecn = encap::EcnMode::kCompat; }},
      {"mtu", [](EndpointConfig& c) { c.mtu = 1400; }},
      {"underlay_device",
       [](EndpointConfig& c) { c.underlay_device = "none"; }},
      {"fwmark", [](EndpointConfig& c) { c.fwmark = 7; }},
      {"addresses",
       [](EndpointConfig& c) {
         c.addresses = {*IpPrefix::Parse("10.9.0.1/30")};
       }},
      {"queues", [](EndpointConfig& c) { c.queues = 2; }},
      {"txqueuelen", [](EndpointConfig& c) { c.txqueuelen = 100; }},
      {"admin_state", [](EndpointConfig& c) { c.admin_up = false; }},
      {"labels", [](EndpointConfig& c) { c.labels["a"] = "b"; }},
      {"encap_limit", [](EndpointConfig& c) { c.encap.encap_limit = 0; }},
      {"transport",
       [](EndpointConfig& c) { c.encap.transport = OuterTransport::kUdp; }},
      {"udp_port", [](EndpointConfig& c) { c.encap.udp_port = 1; }},
      {"udp_source_port",
       [](EndpointConfig& c) { c.encap.udp_source_port = 1; }},
      {"udp_zero_checksum",
       [](EndpointConfig& c) { c.encap.udp_zero_checksum = true; }},
      {"fragment",
       [](EndpointConfig& c) { c.encap.fragment = FragmentPolicy::kOuter; }},
      {"fragment",
       [](EndpointConfig& c) { c.encap.fragment = FragmentPolicy::kNone; }},
      {"allowed_ips",
       [](EndpointConfig& c) {
         c.encap.allowed_sources = {*IpPrefix::Parse("10.9.0.0/16")};
       }},
      {"mss_clamp", [](EndpointConfig& c) { c.encap.mss_clamp = 0; }},
      {"mss_clamp", [](EndpointConfig& c) { c.encap.mss_clamp = 1400; }},
      {"steering", [](EndpointConfig& c) { c.steering = Steering::kOn; }},
      {"steering", [](EndpointConfig& c) { c.steering = Steering::kOff; }},
  };
  return *edits;
}

TEST(EndpointConfigEtag, DiffersForEachField) {
  std::set<std::string> etags = {Etag(Gre())};
  for (const auto& [field, edit] : SingleEdits()) {
    EXPECT_TRUE(etags.insert(Etag(With(edit))).second) << field;
  }
}

TEST(EndpointConfigEtag, IsQuotedAndTheSameInEveryProcess) {
  EXPECT_EQ(Etag(Gre()), Etag(Gre()));
  // A changed value here breaks the clients that stored an etag.
  EXPECT_EQ(Etag(Gre()), "\"bea693258eab220a0399b78b2e776902\"");
}

TEST(EndpointConfigEtag, KeepsNeighbouringTextApart) {
  EndpointConfig a = Gre(), b = Gre();
  a.labels = {{"a", "1\",b=\"2"}};
  b.labels = {{"a", "1"}, {"b", "2"}};
  EXPECT_NE(Etag(a), Etag(b));
  a.labels = {{"a", std::string(60, 'x') + "1"}};
  b.labels = {{"a", std::string(60, 'x') + "2"}};
  EXPECT_NE(Etag(a), Etag(b));
  EXPECT_EQ(Diff(a, b).size(), 1u);
}

TEST(EndpointConfigDiff, IsEmptyForEqualConfigs) {
  EXPECT_TRUE(Diff(Gre(), Gre()).empty());
}

TEST(EndpointConfigDiff, NamesTheOneFieldThatDiffers) {
  for (const auto& [field, edit] : SingleEdits()) {
    const std::vector<FieldDifference> changes = Diff(Gre(), With(edit));
    ASSERT_EQ(changes.size(), 1u) << field;
    EXPECT_EQ(changes[0].field, field);
    EXPECT_NE(changes[0].old_value, "") << field;
    EXPECT_NE(changes[0].new_value, "") << field;
  }
}

TEST(EndpointConfigDiff, ShowsValuesInTheWordsOfTheCommandLine) {
  EndpointConfig to = Gre();
  to.encap.mode = Mode::kGretap;
  to.encap.input_key = to.encap.output_key = 42;
  to.encap.ttl.reset();
  to.mtu = 1400;
  to.admin_up = false;
  to.addresses = {*IpPrefix::Parse("10.9.0.1/30"),
                  *IpPrefix::Parse("fe80::1/64")};
  const std::vector<FieldDifference> changes = Diff(Gre(), to);
  std::string text;
  for (const FieldDifference& c : changes) {
    text += c.field + ":" + c.old_value + ">" + c.new_value + "\n";
  }
  EXPECT_EQ(text,
            "key:none>42\nmode:gre>gretap\nttl:64>inherit\nmtu:auto>1400\n"
            "addresses:none>10.9.0.1/30,fe80::1/64\nadmin_state:up>down\n");
}

TEST(EndpointConfigDiff, ShowsKeysApartWhenTheyDiffer) {
  EndpointConfig from = Gre(), to = Gre();
  from.encap.input_key = 1;
  to.encap.input_key = 2;
  to.encap.output_key = 0;
  const std::vector<FieldDifference> changes = Diff(from, to);
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0].field, "input_key");
  EXPECT_EQ(changes[1].field, "output_key");
  EXPECT_EQ(changes[1].old_value, "none");
  EXPECT_EQ(changes[1].new_value, "0");
}

}  // namespace
}  // namespace tunnel
