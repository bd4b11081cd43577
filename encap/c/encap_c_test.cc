#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "encap/c/encap.h"
#include "encap/c/values_for_test.h"
#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/packets_for_test.h"
#include "encap/reassembly.h"

namespace encap {
namespace {

using testing::Address;
using testing::Buffer;
using testing::Bytes;
using testing::BytesOf;
using testing::GreConfig;
using testing::PeerOf;

TEST(EncapCTest, DoesWhatTheFunctionsInCxxDo) {
  encap_config config = GreConfig();
  config.sequence = 1;
  encap_encapsulator* encapsulator = nullptr;
  ASSERT_EQ(encap_encapsulator_create(&config, &encapsulator), ENCAP_OK);
  const encap_config peer = PeerOf(config);
  encap_decapsulator* decapsulator = nullptr;
  ASSERT_EQ(encap_decapsulator_create(&peer, &decapsulator), ENCAP_OK);

  EncapConfig reference = testing::Config(Mode::kGre, IpFamily::kV4);
  reference.input_key = reference.output_key = 42;
  reference.sequence = true;
  const Encapsulator cxx(reference);
  OutputState cxx_state;
  encap_output_state output = {0, 1, 0};
  encap_input_state input = {};
  for (size_t size : {40, 41, 300}) {
    const Bytes inner = testing::InnerV4({.tos = 0xb9, .payload = size});
    Buffer buffer(inner);
    ASSERT_EQ(encap_encapsulate(encapsulator, &buffer.packet, &output),
              ENCAP_NOT_DROPPED);
    testing::OwnedPacket expected(inner);
    ASSERT_EQ(cxx.Encapsulate(*expected, cxx_state), DropReason::kNone);
    EXPECT_EQ(BytesOf(buffer.packet), expected.bytes());

    encap_outer outer;
    const uint8_t* at = buffer.packet.storage + buffer.packet.offset;
    ASSERT_EQ(encap_parse_outer(at, buffer.packet.length, 0, &outer), 0);
    EXPECT_EQ(outer.protocol, 47);
    EXPECT_EQ(outer.key, 42u);
    EXPECT_EQ(outer.has_sequence, 1);
    const encap_packet again = buffer.packet;
    ASSERT_EQ(encap_decapsulate(decapsulator, &buffer.packet, &outer, &input),
              0);
    EXPECT_EQ(BytesOf(buffer.packet), inner);
    encap_packet copy = again;
    EXPECT_STREQ(
        encap_drop_name(encap_decapsulate(decapsulator, &copy, &outer, &input)),
        "out_of_order");
  }
  EXPECT_EQ(output.next_sequence, 3u);
  EXPECT_EQ(input.last_sequence, 2u);
  encap_encapsulator_destroy(encapsulator);
  encap_decapsulator_destroy(decapsulator);
}

TEST(EncapCTest, UdpIsReadWhereItIsAskedFor) {
  encap_config config = GreConfig();
  config.transport = ENCAP_OVER_UDP;
  encap_encapsulator* encapsulator = nullptr;
  ASSERT_EQ(encap_encapsulator_create(&config, &encapsulator), ENCAP_OK);
  Buffer buffer(testing::InnerV6());
  encap_output_state output = {};
  ASSERT_EQ(encap_encapsulate(encapsulator, &buffer.packet, &output), 0);
  const uint8_t* at = buffer.packet.storage + buffer.packet.offset;
  encap_outer outer;
  EXPECT_STREQ(
      encap_drop_name(encap_parse_outer(at, buffer.packet.length, 0, &outer)),
      "unknown_protocol");
  ASSERT_EQ(
      encap_parse_outer(at, buffer.packet.length, ENCAP_PARSE_UDP, &outer), 0);
  EXPECT_EQ(outer.udp_port, 4754);
  Bytes damaged(at, at + buffer.packet.length);
  damaged[10] ^= 1;
  EXPECT_STREQ(encap_drop_name(encap_parse_outer(damaged.data(), damaged.size(),
                                                 ENCAP_PARSE_UDP, &outer)),
               "bad_outer_checksum");
  EXPECT_EQ(encap_parse_outer(damaged.data(), damaged.size(),
                              ENCAP_PARSE_UDP | ENCAP_PARSE_CHECKED, &outer),
            0);
  encap_encapsulator_destroy(encapsulator);
}

TEST(EncapCTest, ManyPacketsOfManyTunnelsAtOnce) {
  constexpr size_t kCount = 100;
  encap_config configs[2] = {GreConfig(), GreConfig()};
  configs[1].input_key = configs[1].output_key = 43;
  encap_map* map = nullptr;
  ASSERT_EQ(encap_map_create(&map), ENCAP_OK);
  encap_decapsulator* decapsulator = nullptr;
  const encap_config peer = PeerOf(configs[0]);
  ASSERT_EQ(encap_decapsulator_create(&peer, &decapsulator), ENCAP_OK);
  encap_input_state state = {};
  const encap_input_tunnel tunnels[] = {{decapsulator, &state},
                                        {nullptr, nullptr}};
  uint32_t holder = 77;
  for (uint32_t i = 0; i < 2; ++i) {
    const encap_config p = PeerOf(configs[i]);
    EXPECT_EQ(encap_map_insert(map, &p, i, &holder), ENCAP_OK);
  }
  EXPECT_EQ(encap_map_insert(map, &peer, 5, &holder), ENCAP_IN_USE);
  EXPECT_EQ(holder, 0u);

  std::vector<Buffer> buffers;
  std::vector<encap_packet> packets;
  for (size_t i = 0; i < kCount; ++i) {
    buffers.emplace_back(testing::InnerV4({.payload = 20 + i}));
  }
  for (Buffer& buffer : buffers) packets.push_back(buffer.packet);
  packets[3].length = 10;
  encap_encapsulator* encapsulator = nullptr;
  ASSERT_EQ(encap_encapsulator_create(&configs[0], &encapsulator), ENCAP_OK);
  encap_output_state output = {};
  std::vector<encap_drop> drops(kCount, 99);
  EXPECT_EQ(encap_encapsulate_batch(encapsulator, packets.data(), kCount,
                                    &output, drops.data()),
            kCount - 1);
  EXPECT_STREQ(encap_drop_name(drops[3]), "truncated");
  EXPECT_EQ(std::count(drops.begin(), drops.end(), 0), ptrdiff_t{kCount - 1});
  encap_encapsulator_destroy(encapsulator);
  ASSERT_EQ(encap_encapsulator_create(&configs[1], &encapsulator), ENCAP_OK);
  packets[7] = buffers[7].packet;
  EXPECT_EQ(encap_encapsulate(encapsulator, &packets[7], &output), 0);

  std::vector<encap_input_result> results(kCount);
  EXPECT_EQ(encap_decapsulate_batch(map, tunnels, 2, 0, packets.data(), kCount,
                                    results.data()),
            kCount - 2);
  EXPECT_EQ(results[3].tunnel, ENCAP_NO_TUNNEL);
  EXPECT_STREQ(encap_drop_name(results[7].drop), "down");
  EXPECT_EQ(results[7].tunnel, 1u);
  EXPECT_EQ(results[99].tunnel, 0u);
  EXPECT_EQ(BytesOf(packets[99]), testing::InnerV4({.payload = 119}));

  encap_map* copy = nullptr;
  ASSERT_EQ(encap_map_copy(map, &copy), ENCAP_OK);
  EXPECT_EQ(encap_map_erase(copy, &peer, 0), ENCAP_OK);
  EXPECT_EQ(encap_map_erase(copy, &peer, 0), ENCAP_NOT_FOUND);
  encap_outer outer = {};
  outer.local = peer.local;
  outer.remote = peer.remote;
  outer.protocol = 47;
  outer.has_key = 1;
  outer.key = 42;
  uint32_t tunnel = 9;
  EXPECT_EQ(encap_map_find(map, &outer, &tunnel), 0);
  EXPECT_EQ(tunnel, 0u);
  EXPECT_STREQ(encap_drop_name(encap_map_find(copy, &outer, &tunnel)),
               "key_mismatch");
  encap_encapsulator_destroy(encapsulator);
  encap_decapsulator_destroy(decapsulator);
  encap_map_destroy(map);
  encap_map_destroy(copy);
}

TEST(EncapCTest, FragmentsAreJoined) {
  encap_reassembly_options options;
  encap_reassembly_options_init(&options, sizeof(options));
  EXPECT_EQ(options.max_packets, ReassemblyOptions().max_packets);
  options.timeout_ns = 100;
  encap_reassembler* reassembler = nullptr;
  options.reserved = 1;
  EXPECT_EQ(encap_reassembler_create(&options, &reassembler), ENCAP_INVALID);
  options.reserved = 0;
  ASSERT_EQ(encap_reassembler_create(&options, &reassembler), ENCAP_OK);
  const Bytes whole = testing::InnerV4({.dont_fragment = false, .payload = 32});
  Bytes parts[2] = {{whole.begin(), whole.begin() + 36},
                    {whole.begin(), whole.begin() + 20}};
  parts[1].insert(parts[1].end(), whole.begin() + 36, whole.end());
  for (size_t i = 0; i < 2; ++i) {
    parts[i][3] = 36;
    parts[i][6] = i == 0 ? 0x20 : 0;
    parts[i][7] = i == 0 ? 0 : 2;
    parts[i][10] = parts[i][11] = 0;
    const uint16_t checksum = encap_checksum(parts[i].data(), 20);
    std::memcpy(parts[i].data() + 10, &checksum, 2);
  }
  Buffer first(parts[0]);
  Buffer second(parts[1]);
  Buffer alone(whole);
  EXPECT_EQ(encap_reassembler_add(reassembler, &alone.packet, 0), ENCAP_WHOLE);
  EXPECT_EQ(encap_reassembler_add(reassembler, &first.packet, 0), ENCAP_HELD);
  EXPECT_EQ(encap_reassembler_add(reassembler, &second.packet, 99),
            ENCAP_COMPLETE);
  EXPECT_EQ(BytesOf(second.packet), whole);
  EXPECT_EQ(second.packet.offset, size_t{ENCAP_HEADROOM});
  EXPECT_EQ(encap_reassembler_add(reassembler, &first.packet, 200), ENCAP_HELD);
  encap_reassembler_expire(reassembler, 300);
  EXPECT_EQ(encap_reassembler_dropped(reassembler), 1u);
  encap_reassembler_destroy(reassembler);
  ASSERT_EQ(encap_reassembler_create(nullptr, &reassembler), ENCAP_OK);
  encap_reassembler_destroy(reassembler);
}

// A Fragmentation Needed about the packet, as a router would send it.
Bytes TooBig(const Bytes& packet, uint8_t mtu_high) {
  Bytes message = {3, 4, 0, 0, 0, 0, mtu_high, 0};
  message.insert(message.end(), packet.begin(), packet.begin() + 40);
  const uint16_t checksum = encap_checksum(message.data(), message.size());
  std::memcpy(message.data() + 2, &checksum, 2);
  return message;
}

TEST(EncapCTest, PathMtuIsLearnedFromOwnPacketsAlone) {
  encap_config config = GreConfig();
  encap_path_mtu* path = nullptr;
  ASSERT_EQ(encap_path_mtu_create(&config, 1500, &path), ENCAP_OK);
  encap_encapsulator* encapsulator = nullptr;
  ASSERT_EQ(encap_encapsulator_create(&config, &encapsulator), ENCAP_OK);
  Buffer buffer(testing::InnerV4({.payload = 1400}));
  uint32_t mtu = 0;
  EXPECT_EQ(encap_judge_size(encapsulator, &buffer.packet, 1500, &mtu),
            ENCAP_SEND);
  EXPECT_EQ(encap_judge_size(encapsulator, &buffer.packet, 1280, nullptr),
            ENCAP_REFUSE);
  EXPECT_EQ(encap_judge_size(encapsulator, &buffer.packet, 1280, &mtu),
            ENCAP_REFUSE);
  EXPECT_EQ(mtu, 1280u - 28);
  uint8_t error[1280];
  const encap_address source = Address("10.1.0.254");
  const size_t size = encap_compose_icmp_error(
      ENCAP_ICMP_TOO_BIG, mtu, buffer.packet.storage + buffer.packet.offset,
      buffer.packet.length, &source, error, sizeof(error));
  ASSERT_GE(size, 56u);
  EXPECT_EQ(error[9], 1);   // ICMP
  EXPECT_EQ(error[20], 3);  // Fragmentation Needed
  EXPECT_EQ(error[26] << 8 | error[27], 1252);
  EXPECT_EQ(encap_compose_icmp_error(7, mtu, error, size, &source, error, 1280),
            0u);

  encap_output_state output = {};
  ASSERT_EQ(encap_encapsulate(encapsulator, &buffer.packet, &output), 0);
  Bytes mine = TooBig(BytesOf(buffer.packet), 5);
  Bytes strange = BytesOf(buffer.packet);
  strange[19] ^= 1;
  strange = TooBig(strange, 4);
  EXPECT_EQ(encap_path_mtu_learn(path, strange.data(), strange.size(), 1), 0);
  EXPECT_EQ(encap_path_mtu_learn(path, mine.data(), mine.size(), 1), 1);
  EXPECT_EQ(encap_path_mtu_value(path), 1280u);
  EXPECT_EQ(encap_path_mtu_age(path, 2), 0);
  EXPECT_EQ(encap_path_mtu_age(path, 601'000'000'000), 1);
  EXPECT_EQ(encap_path_mtu_value(path), 1500u);
  encap_path_mtu_destroy(path);
  encap_encapsulator_destroy(encapsulator);
}

TEST(EncapCTest, FlowHashIsThatOfTheInnerFlow) {
  const Bytes a = testing::InnerV4({.payload = 32});
  const Bytes b = testing::InnerV4({.tos = 4, .payload = 64});
  EXPECT_EQ(encap_flow_hash(a.data(), a.size(), 1),
            encap_flow_hash(b.data(), b.size(), 1));
  EXPECT_NE(encap_flow_hash(a.data(), a.size(), 1),
            encap_flow_hash(a.data(), a.size(), 2));
}

}  // namespace
}  // namespace encap
