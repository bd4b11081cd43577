// Every truncation of good packets is dropped, and no byte outside is read: the
// bytes lie in a heap block of exactly their size, so that AddressSanitizer
// sees a read behind them. And every reason that this library can give, given.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/flow_hash.h"
#include "encap/packets_for_test.h"

namespace encap {
namespace {

using testing::Bytes;
using testing::Config;
using testing::Frame;
using testing::Inner;
using testing::InnerV4;
using testing::InnerV6;
using testing::OwnedPacket;
using testing::Peer;

struct Golden {
  EncapConfig config;
  Bytes inner;
  Bytes outer;
};

std::vector<Golden> GoldenSet() {
  std::vector<Golden> set;
  const auto add = [&](EncapConfig config, const Bytes& inner) {
    OwnedPacket packet(inner);
    OutputState state;
    EXPECT_EQ(Encapsulator(config).Encapsulate(*packet, state),
              DropReason::kNone);
    set.push_back({config, inner, packet.bytes()});
  };
  for (const IpFamily outer : {IpFamily::kV4, IpFamily::kV6}) {
    for (const IpFamily inner : {IpFamily::kV4, IpFamily::kV6}) {
      add(Config(Mode::kGif, outer), Inner(inner));
      for (int bits = 0; bits < 8; ++bits) {
        EncapConfig config = Config(Mode::kGre, outer);
        if (bits & 1) config.output_key = 7;
        config.checksum = bits & 2;
        config.sequence = bits & 4;
        add(config, Inner(inner));
        config.mode = Mode::kGretap;
        add(config, Frame(inner == IpFamily::kV4 ? 0x0800 : 0x86dd,
                          Inner(inner), bits & 1));
      }
    }
  }
  return set;
}

// An OwnedPacket without room around its bytes.
DropReason Receive(const EncapConfig& config, const Bytes& outer) {
  OwnedPacket packet(outer, 0);
  OuterInfo info;
  const DropReason reason = ParseOuter(packet->bytes(), true, info);
  if (reason != DropReason::kNone) return reason;
  InputState state;
  return Decapsulator(config).Decapsulate(*packet, info, state);
}

TEST(TruncationTest, EveryCutOfAnOuterPacketIsDropped) {
  for (const Golden& golden : GoldenSet()) {
    ASSERT_EQ(Receive(Peer(golden.config), golden.outer), DropReason::kNone);
    for (size_t size = 0; size < golden.outer.size(); ++size) {
      const Bytes cut(golden.outer.begin(),
                      golden.outer.begin() + static_cast<ptrdiff_t>(size));
      ASSERT_EQ(Receive(Peer(golden.config), cut), DropReason::kTruncated)
          << size << " of " << golden.outer.size();
    }
  }
}

// The outer length field says that the bytes end where they do, so that the
// cut reaches every later check.
TEST(TruncationTest, EveryCutWithAMatchingOuterLengthIsDropped) {
  for (const Golden& golden : GoldenSet()) {
    const bool v4 = golden.config.remote.is_v4();
    const size_t ip_len = v4 ? 20 : 40;
    for (size_t size = ip_len; size < golden.outer.size(); ++size) {
      Bytes cut(golden.outer.begin(),
                golden.outer.begin() + static_cast<ptrdiff_t>(size));
      if (v4) {
        cut[3] = static_cast<uint8_t>(size);
        cut[10] = cut[11] = 0;
        const uint16_t sum = testing::ReferenceChecksum({cut.data(), 20});
        cut[10] = static_cast<uint8_t>(sum >> 8);
        cut[11] = static_cast<uint8_t>(sum);
      } else {
        cut[5] = static_cast<uint8_t>(size - 40);
      }
      const DropReason reason = Receive(Peer(golden.config), cut);
      // A frame has no length of its own: without a checksum a shorter one is
      // as good.
      const size_t frame_min = golden.outer.size() - golden.inner.size() + 14;
      if (golden.config.mode == Mode::kGretap && !golden.config.checksum &&
          size >= frame_min) {
        ASSERT_EQ(reason, DropReason::kNone);
      } else {
        ASSERT_TRUE(reason == DropReason::kTruncated ||
                    reason == DropReason::kBadGreChecksum)
            << DropReasonName(reason) << " at " << size;
      }
    }
  }
}

TEST(TruncationTest, EveryCutOfAnInnerPacketIsDropped) {
  for (const Golden& golden : GoldenSet()) {
    if (golden.config.mode == Mode::kGretap) continue;
    for (size_t size = 0; size < golden.inner.size(); ++size) {
      OwnedPacket packet(
          Bytes(golden.inner.begin(),
                golden.inner.begin() + static_cast<ptrdiff_t>(size)));
      OutputState state;
      ASSERT_EQ(Encapsulator(golden.config).Encapsulate(*packet, state),
                DropReason::kTruncated);
    }
  }
}

TEST(TruncationTest, FlowHashReadsNoFurtherThanTheBytes) {
  for (const Golden& golden : GoldenSet()) {
    for (size_t size = 0; size < golden.outer.size(); ++size) {
      // A block of its own: a read behind it is a fault under ASan.
      const Bytes cut(golden.outer.begin(),
                      golden.outer.begin() + static_cast<ptrdiff_t>(size));
      const size_t address_end = golden.config.remote.is_v4() ? 20 : 40;
      EXPECT_EQ(FlowHash(cut, 1) == 0, size < address_end) << size;
    }
  }
}

TEST(DropReasonTest, EveryReasonOfThisLibraryIsReached) {
  std::set<DropReason> seen;
  const auto receive = [&](const EncapConfig& config, Bytes outer) {
    seen.insert(Receive(Peer(config), outer));
  };
  const auto send = [&](const EncapConfig& config, const Bytes& inner) {
    OwnedPacket packet(inner);
    OutputState state;
    seen.insert(Encapsulator(config).Encapsulate(*packet, state));
    return packet.bytes();
  };
  EncapConfig gif = Config(Mode::kGif, IpFamily::kV4);
  EncapConfig gre = Config(Mode::kGre, IpFamily::kV6);
  EncapConfig keyed = gre;
  keyed.input_key = keyed.output_key = 1;
  EncapConfig other = keyed;
  other.input_key = other.output_key = 2;

  const Bytes good = send(gif, InnerV4());
  const auto changed = [](Bytes p, size_t at, uint8_t value) {
    p[at] = value;
    return p;
  };
  receive(gif, Bytes(good.begin(), good.end() - 1));   // truncated
  receive(gif, changed(good, 0, 0x44));                // bad_ip_header
  receive(gif, changed(good, 10, good[10] ^ 1));       // bad_outer_checksum
  receive(gre, good);                                  // unknown_protocol
  receive(gif, send(gif, changed(InnerV4(), 12, 0)));  // martian_source
  const Bytes g = send(gre, InnerV4());
  receive(gre, changed(g, 41, 1));           // bad_version
  receive(gre, changed(g, 40, 0x40));        // unsupported_flags
  receive(gre, changed(g, 1, g[1] | 0x30));  // ecn_illegal
  receive(keyed, g);                         // key_missing
  receive(gre, send(keyed, InnerV4()));      // key_unexpected
  receive(other, send(keyed, InnerV4()));    // key_mismatch
  EncapConfig sequence = gre;
  sequence.sequence = true;
  receive(sequence, g);  // out_of_order
  EncapConfig checksum = gre;
  checksum.checksum = true;
  const Bytes c = send(checksum, InnerV4());
  receive(checksum, changed(c, c.size() - 1, 0xa5));  // bad_gre_checksum
  Bytes fragment = changed(g, 6, 44);
  const Bytes header = testing::FromHex("2f00 0009 00000001");
  fragment.insert(fragment.begin() + 40, header.begin(), header.end());
  fragment[5] = static_cast<uint8_t>(fragment[5] + 8);
  receive(gre, fragment);  // reassembly_failed
  gif.ttl = std::nullopt;
  send(gif, InnerV4({.ttl = 0}));          // ttl_expired
  send(gif, InnerV4({.payload = 65500}));  // too_big
  Bytes limited = InnerV6();
  const Bytes option = testing::FromHex("11 00 04 01 00 01 01 00");
  limited[6] = 60;
  std::copy(option.begin(), option.end(), limited.begin() + 40);
  send(gif, limited);  // recursion

  using R = DropReason;
  const std::set<DropReason> all = {R::kNone,
                                    R::kTruncated,
                                    R::kBadIpHeader,
                                    R::kBadOuterChecksum,
                                    R::kBadGreChecksum,
                                    R::kBadVersion,
                                    R::kUnsupportedFlags,
                                    R::kUnknownProtocol,
                                    R::kKeyMissing,
                                    R::kKeyUnexpected,
                                    R::kKeyMismatch,
                                    R::kMartianSource,
                                    R::kEcnIllegal,
                                    R::kOutOfOrder,
                                    R::kTtlExpired,
                                    R::kRecursion,
                                    R::kTooBig,
                                    R::kReassemblyFailed};
  EXPECT_EQ(seen, all);
}

}  // namespace
}  // namespace encap
