#include "tunnel/underlay/flow_fanout.h"

#include <array>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "encap/bytes.h"
#include "gtest/gtest.h"
#include "tunnel/underlay/linux_transport_for_test.h"

namespace tunnel {
namespace {

using encap::DropReason;

constexpr size_t kWorkers = 4;
constexpr uint16_t kFlows = 128;

Bytes operator+(Bytes front, const Bytes& back) {
  front.insert(front.end(), back.begin(), back.end());
  return front;
}

// Ports `flow` and 9, then `text` bytes, of which the first is the flow's mark.
Bytes Transport(uint16_t flow, size_t text) {
  Bytes b(8 + text, 0x61);
  encap::Put16(&b[0], flow);
  encap::Put16(&b[2], 9);
  return b;
}
Bytes Inner4(uint16_t flow, size_t text, uint8_t protocol = 17) {
  return Outer("192.0.2.1", "192.0.2.2", protocol, Transport(flow, text));
}
Bytes Inner6(uint16_t flow, size_t text, uint8_t protocol = 17) {
  return Outer("2001:db8::1", "2001:db8::2", protocol, Transport(flow, text));
}
// Told apart by their addresses alone.
Bytes OtherHosts(uint16_t flow, size_t text) {
  Bytes b = Inner6(1, text, 89);
  encap::Put16(&b[8 + 16 + 14], flow);
  return b;
}
Bytes OptionsBeforePorts(uint16_t flow, size_t text) {
  Bytes b = Inner4(flow, text);
  b[0] = 0x46;
  const Bytes option = {1, 1, 1, 0};
  b.insert(b.begin() + 20, option.begin(), option.end());
  return b;
}
Bytes Frame(const Bytes& type, const Bytes& payload, uint16_t host = 1) {
  Bytes macs = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0};
  encap::Put16(&macs[10], host);
  return macs + type + payload;
}
Bytes Gre(uint16_t flags, uint16_t type, const Bytes& payload) {
  Bytes b(
      4 + (flags >> 15 & 1) * 4 + (flags >> 13 & 1) * 4 + (flags >> 12 & 1) * 4,
      7);
  encap::Put16(&b[0], flags);
  encap::Put16(&b[2], type);
  return b + payload;
}

struct Form {
  std::string name;
  uint8_t protocol;
  std::function<Bytes(uint16_t flow, size_t text)> payload;
};

const Form kForms[] = {
    {"ipip", 4, [](auto f, auto n) { return Inner4(f, n); }},
    {"tcp in ipip", 4, [](auto f, auto n) { return Inner4(f, n, 6); }},
    {"ip options", 4, OptionsBeforePorts},
    {"sit", 41, [](auto f, auto n) { return Inner6(f, n); }},
    {"addresses", 41, OtherHosts},
    {"gre", 47, [](auto f, auto n) { return Gre(0, 0x800, Inner4(f, n)); }},
    {"gre, key", 47,
     [](auto f, auto n) { return Gre(0x2000, 0x86dd, Inner6(f, n)); }},
    {"gre, all fields", 47,
     [](auto f, auto n) { return Gre(0xb000, 0x800, Inner4(f, n)); }},
    {"frames", 47,
     [](auto f, auto n) {
       return Gre(0x2000, 0x6558, Frame({8, 0}, Inner4(f, n)));
     }},
    {"tagged frames", 47,
     [](auto f, auto n) {
       return Gre(0, 0x6558, Frame({0x81, 0, 0, 5, 0x86, 0xdd}, Inner6(f, n)));
     }},
    {"other frames", 47,
     [](auto f, auto n) {
       return Gre(0, 0x6558, Frame({0x88, 0xb5}, Bytes(n, 1), f));
     }},
};

class FlowFanoutTest : public LinuxTransportTest {
 protected:
  void SetUp() override {
    LinuxTransportTest::SetUp();
    if (IsSkipped()) return;
    MakeWire();
    Open(kWorkers);
  }

  // Two packets of each flow, a short and a long one; where they came in.
  std::map<Bytes, std::set<size_t>> WorkersOf(const std::string& local,
                                              const std::string& remote,
                                              const Form& form) {
    std::map<Bytes, std::set<size_t>> workers;
    const size_t header = local.find(':') == std::string::npos ? 20 : 40;
    for (const size_t text : {24, 1300}) {
      std::map<Bytes, Bytes> flows;  // by what was sent
      for (uint16_t flow = 0; flow < kFlows; ++flow) {
        const Bytes sent = form.payload(flow, text);
        EXPECT_EQ(SendTo(remote, Outer(local, remote, form.protocol, sent)),
                  DropReason::kNone);
        flows.emplace(sent, form.payload(flow, 0));
      }
      for (const Received& packet : Receive(kFlows)) {
        if (packet.bytes.size() < header) continue;
        const auto flow = flows.find(
            Bytes(packet.bytes.begin() + header, packet.bytes.end()));
        if (flow != flows.end()) workers[flow->second].insert(packet.worker);
      }
    }
    return workers;
  }
};

TEST_F(FlowFanoutTest, FlowsAreSpreadAndEachStaysWithOneWorker) {
  for (const auto& [local, remote] :
       {std::pair("10.0.0.1", "10.0.0.2"), std::pair("fd00::1", "fd00::2")}) {
    for (const Form& form : kForms) {
      SCOPED_TRACE(std::string(remote) + " " + form.name);
      std::array<size_t, kWorkers> share{};
      const auto all = WorkersOf(local, remote, form);
      EXPECT_EQ(all.size(), size_t{kFlows}) << "each has come";
      for (const auto& [flow, workers] : all) {
        EXPECT_EQ(workers.size(), 1U) << "short and long ones";
        ++share[*workers.begin()];
      }
      for (const size_t n : share) EXPECT_GT(n, kFlows / kWorkers / 2);
    }
  }
}

TEST_F(FlowFanoutTest, DestinationOptionsDoNotHideTheFlow) {
  const Form form{"limit", 60, [](auto f, auto n) {
                    return Bytes{4, 0, 4, 1, 4, 1, 1, 0} + Inner4(f, n);
                  }};
  std::set<size_t> seen;
  for (const auto& [flow, workers] : WorkersOf("fd00::1", "fd00::2", form)) {
    EXPECT_EQ(workers.size(), 1U);
    seen.insert(workers.begin(), workers.end());
  }
  EXPECT_EQ(seen.size(), kWorkers);
}

TEST_F(FlowFanoutTest, FragmentsOfAnIpv6PacketMeet) {
  std::map<uint16_t, std::set<size_t>> workers;
  for (const uint16_t offset : {1, 80 << 3}) {
    for (uint16_t id = 0; id < kFlows; ++id) {
      Bytes part = {47, 0, 0, 0, 0, 0, 0, 0};
      encap::Put16(&part[2], offset);
      encap::Put16(&part[6], id);
      part = part + Gre(0, 0x800, Inner4(offset, 600));
      part.resize(8 + 640);
      ASSERT_EQ(SendTo("fd00::2", Outer("fd00::1", "fd00::2", 44, part)),
                DropReason::kNone);
    }
  }
  for (const Received& packet : Receive(2 * kFlows))
    workers[encap::Get16(&packet.bytes[46])].insert(packet.worker);
  std::set<size_t> seen;
  for (const auto& [id, of] : workers) {
    EXPECT_EQ(of.size(), 1U) << id;
    seen.insert(of.begin(), of.end());
  }
  EXPECT_EQ(workers.size(), size_t{kFlows});
  EXPECT_EQ(seen.size(), kWorkers);
}

}  // namespace
}  // namespace tunnel
