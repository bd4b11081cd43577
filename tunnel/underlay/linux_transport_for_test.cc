#include "tunnel/underlay/linux_transport_for_test.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <span>
#include <thread>
#include <utility>

#include "encap/bytes.h"
#include "encap/checksum.h"

namespace tunnel {
namespace {

using encap::DropReason;
using encap::IpAddress;

void Append(Bytes& bytes, std::span<const uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

}  // namespace

IpAddress Address(const std::string& text) {
  return IpAddress::Parse(text).value();
}

Bytes Outer(const std::string& local, const std::string& remote,
            uint8_t protocol, const Bytes& payload) {
  const IpAddress from = Address(local), to = Address(remote);
  Bytes b;
  if (from.is_v4()) {
    b.assign(12, 0);
    b[0] = 0x45;
    encap::Put16(&b[2], static_cast<uint16_t>(20 + payload.size()));
    b[8] = 64;
    b[9] = protocol;
  } else {
    b.assign(8, 0);
    b[0] = 0x60;
    encap::Put16(&b[4], static_cast<uint16_t>(payload.size()));
    b[6] = protocol;
    b[7] = 64;
  }
  Append(b, from.bytes());
  Append(b, to.bytes());
  Append(b, payload);
  return b;
}

Bytes GreWithKey(uint16_t flow, size_t text) {
  Bytes b = {0x20, 0, 0x08, 0x00, 0, 0, 0, 42};
  Bytes inner(28 + text, 0x61);
  std::fill_n(inner.begin(), 28, 0);
  inner[0] = 0x45;
  encap::Put16(&inner[2], static_cast<uint16_t>(inner.size()));
  inner[8] = 64;
  inner[9] = 17;
  encap::Put32(&inner[12], 0x0a000001);
  encap::Put32(&inner[16], 0x0a000002);
  encap::StoreBe16(&inner[10],
                   encap::InternetChecksum(std::span(inner).first(20)));
  encap::Put16(&inner[20], flow);
  encap::Put16(&inner[22], 9);
  encap::Put16(&inner[24], static_cast<uint16_t>(8 + text));
  Append(b, inner);
  return b;
}

void ExpectSamePacket(const Bytes& got, Bytes want) {
  if (want[0] >> 4 == 4 && got.size() >= 20) {
    std::copy_n(&got[4], 2, &want[4]);    // identification
    std::copy_n(&got[10], 2, &want[10]);  // header checksum
    EXPECT_EQ(encap::PartialSum(std::span(got).first(20)), 0xffff);
  }
  EXPECT_EQ(got, want);
}

void LinuxTransportTest::Open(size_t workers) {
  auto opened = factory_.Open(workers);
  ASSERT_TRUE(opened.ok()) << opened.status();
  workers_ = std::move(opened).value();
}

void LinuxTransportTest::MakeWire() {
  MakeVeth("va", "vb");
  Ip("addr add 10.0.0.1/24 dev va");
  Ip("addr add fd00::1/64 dev va nodad");
  Neighbour("10.0.0.2", "va", "vb");
  Neighbour("fd00::2", "va", "vb");
}

void LinuxTransportTest::ThrottleWire() {
  ASSERT_EQ(std::system("tc qdisc add dev va root tbf rate 8kbit burst 1600 "
                        "limit 3000"),
            0);
}

void LinuxTransportTest::Neighbour(const std::string& address,
                                   const std::string& device,
                                   const std::string& other) {
  Ip("neigh replace " + address + " dev " + device + " lladdr " + MacOf(other));
}

DropReason LinuxTransportTest::Send(Bytes bytes, const SendRoute& route) {
  encap::PacketBuffer packet(bytes, 0, bytes.size());
  OutgoingPacket out{&packet, &route};
  workers_[0]->SendBatch({&out, 1});
  return out.result;
}

DropReason LinuxTransportTest::SendTo(const std::string& remote, Bytes bytes) {
  return Send(std::move(bytes), {.remote = Address(remote)});
}

std::vector<Received> LinuxTransportTest::Receive(size_t n) {
  std::vector<Received> all;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  for (int quiet = 0; quiet < 10 && std::chrono::steady_clock::now() < end;) {
    const size_t before = all.size();
    for (size_t w = 0; w < workers_.size(); ++w) {
      for (size_t i = 0; i < workers_[w]->receive_fds().size(); ++i) {
        ReceiveFrom(w, i, all);
      }
    }
    if (all.size() != before) continue;
    if (all.size() >= n) ++quiet;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return all;
}

void LinuxTransportTest::ReceiveFrom(size_t worker, size_t index,
                                     std::vector<Received>& all) {
  for (const IncomingPacket& in : workers_[worker]->ReceiveBatch(index)) {
    EXPECT_GE(in.packet.headroom(), encap::kMaxEncapHeadroom);
    const auto bytes = in.packet.bytes();
    all.push_back({worker, {bytes.begin(), bytes.end()}, in.ifindex});
  }
}

}  // namespace tunnel
