// A tunnel router in one file: packets of an inner interface go through a GRE
// tunnel out of an outer one, and back. AF_PACKET in, encap, AF_PACKET out.
//
//   router INNER_IF INNER_MAC INNER_ADDRESS OUTER_IF OUTER_MAC LOCAL REMOTE KEY
//
// INNER_MAC and OUTER_MAC are those of the next hops; INNER_ADDRESS is that of
// this router towards the inner hosts, in whose name it answers a packet that
// is too big. A router of yours has a neighbour table and routes instead.
//
// It does what RFC 2003, 2784 and 4459 ask of a tunnel end that forwards: the
// inner TTL is counted down, a packet that the path does not carry is cut or
// its sender told, outer fragments are put together.

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "encap/batch.h"
#include "encap/checksum.h"
#include "encap/fragment.h"
#include "encap/icmp_error.h"
#include "encap/reassembly.h"
#include "encap/size_policy.h"
#include "encap/token_bucket.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace {

constexpr size_t kBatch = 32;
constexpr size_t kBufferLen = encap::kMaxEncapHeadroom + 65536;

volatile std::sig_atomic_t stopping = 0;

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

// One interface, as IP packets: the kernel takes off and puts on the Ethernet
// header (SOCK_DGRAM).
class Port {
 public:
  Port(const char* interface, const char* next_hop_mac) {
    fd_ = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK, htons(ETH_P_ALL));
    if (fd_ < 0) Fail("socket: CAP_NET_RAW is needed");
    to_.sll_family = AF_PACKET;
    to_.sll_protocol = htons(ETH_P_ALL);
    to_.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    if (to_.sll_ifindex == 0) Fail(interface);
    if (bind(fd_, reinterpret_cast<sockaddr*>(&to_), sizeof(to_)) != 0) {
      Fail("bind");
    }
    ifreq request = {};
    std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
    if (ioctl(fd_, SIOCGIFMTU, &request) != 0) Fail("SIOCGIFMTU");
    mtu_ = static_cast<uint32_t>(request.ifr_mtu);
    to_.sll_halen = 6;
    unsigned mac[6];
    if (std::sscanf(next_hop_mac, "%x:%x:%x:%x:%x:%x", mac, mac + 1, mac + 2,
                    mac + 3, mac + 4, mac + 5) != 6) {
      std::fprintf(stderr, "%s is no MAC address\n", next_hop_mac);
      std::exit(2);
    }
    for (int i = 0; i < 6; ++i) to_.sll_addr[i] = static_cast<uint8_t>(mac[i]);
  }

  int fd() const { return fd_; }
  uint32_t mtu() const { return mtu_; }

  // The next IP packet for this host, behind the headroom of `buffer`; false
  // when there is none. Own frames and those for others are passed over.
  bool Receive(std::vector<uint8_t>& buffer, encap::PacketBuffer& packet) {
    while (true) {
      sockaddr_ll from;
      socklen_t from_len = sizeof(from);
      const ssize_t size =
          recvfrom(fd_, buffer.data() + encap::kMaxEncapHeadroom,
                   buffer.size() - encap::kMaxEncapHeadroom, 0,
                   reinterpret_cast<sockaddr*>(&from), &from_len);
      if (size < 0) return false;
      const int type = ntohs(from.sll_protocol);
      if (from.sll_pkttype != PACKET_HOST ||
          (type != ETH_P_IP && type != ETH_P_IPV6)) {
        continue;
      }
      packet = encap::PacketBuffer(buffer, encap::kMaxEncapHeadroom,
                                   static_cast<size_t>(size));
      return true;
    }
  }

  void Send(std::span<const uint8_t> packet) {
    to_.sll_protocol = htons(packet[0] >> 4 == 4 ? ETH_P_IP : ETH_P_IPV6);
    if (sendto(fd_, packet.data(), packet.size(), 0,
               reinterpret_cast<sockaddr*>(&to_), sizeof(to_)) < 0) {
      std::perror("send");  // counted and dropped by a router of yours
    }
  }

 private:
  int fd_ = -1;
  uint32_t mtu_ = 0;
  sockaddr_ll to_ = {};
};

// Counts down the TTL or hop limit; false when the packet has come to its end.
bool Forward(encap::PacketBuffer& packet) {
  if (packet.size() >= 20 && packet.data()[0] >> 4 == 4) {
    encap::Ipv4Header ip(packet.data());
    if (ip.ttl() <= 1) return false;
    uint8_t* word = packet.data() + encap::Ipv4Header::kTtl;
    const encap::Be16 before = encap::LoadBe16(word);
    ip.set_ttl(static_cast<uint8_t>(ip.ttl() - 1));
    ip.set_checksum(
        encap::UpdateChecksum(ip.checksum(), before, encap::LoadBe16(word)));
    return true;
  }
  if (packet.size() < 40 || packet.data()[0] >> 4 != 6) return false;
  encap::Ipv6Header ip(packet.data());
  if (ip.hop_limit() <= 1) return false;
  ip.set_hop_limit(static_cast<uint8_t>(ip.hop_limit() - 1));
  return true;
}

class Router {
 public:
  Router(const encap::EncapConfig& config, const encap::IpAddress& address,
         Port inner, Port outer)
      : encapsulator_(config),
        decapsulator_(config),
        sizes_(config),
        address_(address),
        inner_(inner),
        outer_(outer) {
    map_.Insert(config, 0);  // tunnel 0 is tunnels_[0]
    for (auto& buffer : buffers_) buffer.resize(kBufferLen);
  }

  void Run() {
    pollfd polled[] = {{inner_.fd(), POLLIN, 0}, {outer_.fd(), POLLIN, 0}};
    while (!stopping) {
      if (poll(polled, 2, 1000) < 0) continue;
      if (polled[0].revents) InnerToOuter();
      if (polled[1].revents) OuterToInner();
      reassembler_.Expire(NowNs());
    }
    PrintDrops();
  }

 private:
  void InnerToOuter() {
    size_t count = 0;
    for (size_t i = 0; i < kBatch; ++i) {
      encap::PacketBuffer& packet = packets_[count];
      if (!inner_.Receive(buffers_[count], packet)) break;
      if (!Forward(packet)) {
        Count(encap::DropReason::kTtlExpired);
        continue;
      }
      const encap::SizeVerdict verdict = sizes_.Judge(packet, outer_.mtu());
      if (verdict.action == encap::SizeAction::kSend) {
        ++count;
      } else {
        SendLarge(packet, verdict);
      }
    }
    encap::EncapsulateBatch(encapsulator_, {packets_.data(), count}, output_,
                            reasons_);
    for (size_t i = 0; i < count; ++i) {
      Count(reasons_[i]);
      if (reasons_[i] == encap::DropReason::kNone) {
        outer_.Send(packets_[i].bytes());
      }
    }
  }

  // What does not fit is cut in front of the tunnel or behind its entry, or
  // its sender is told the size that fits.
  void SendLarge(encap::PacketBuffer& packet, encap::SizeVerdict verdict) {
    encap::FragmentOptions options{.mtu = verdict.mtu};
    if (verdict.action == encap::SizeAction::kRefuse) {
      Count(encap::DropReason::kTooBig);
      return Answer(packet, verdict.mtu);
    }
    const bool cut_outer = verdict.action == encap::SizeAction::kFragmentOuter;
    if (cut_outer) {
      const auto reason = encapsulator_.Encapsulate(packet, output_);
      Count(reason);
      if (reason != encap::DropReason::kNone) return;
      options.ignore_dont_fragment = true;
      options.identification = ++fragment_id_;
    }
    encap::Fragmenter cut;
    if (encap::Fragmenter::Start(packet.bytes(), options, cut) !=
        encap::DropReason::kNone) {
      return Count(encap::DropReason::kTooBig);
    }
    const std::span<uint8_t> room(fragment_);
    while (const size_t size =
               cut.Next(room.subspan(encap::kMaxEncapHeadroom))) {
      encap::PacketBuffer piece(room, encap::kMaxEncapHeadroom, size);
      if (!cut_outer) {
        const auto reason = encapsulator_.Encapsulate(piece, output_);
        Count(reason);
        if (reason != encap::DropReason::kNone) continue;
      }
      outer_.Send(piece.bytes());
    }
  }

  void Answer(const encap::PacketBuffer& packet, uint32_t mtu) {
    if (!answers_.Take(NowNs())) return;
    std::array<uint8_t, encap::kMaxIcmpErrorV6> error;
    const size_t size =
        encap::ComposeIcmpError({encap::InnerError::Kind::kTooBig, mtu},
                                packet.bytes(), address_, error);
    if (size != 0) inner_.Send({error.data(), size});
  }

  void OuterToInner() {
    size_t count = 0;
    for (size_t i = 0; i < kBatch; ++i) {
      encap::PacketBuffer& packet = packets_[count];
      if (!outer_.Receive(buffers_[count], packet)) break;
      switch (reassembler_.Add(packet, NowNs())) {
        case encap::ReassemblyVerdict::kWhole:
          ++count;
          break;
        case encap::ReassemblyVerdict::kComplete:
          // In storage of the reassembler until its next call: not in a batch.
          Deliver({&packet, 1});
          break;
        case encap::ReassemblyVerdict::kHeld:
          break;
        case encap::ReassemblyVerdict::kDropped:
          Count(encap::DropReason::kReassemblyFailed);
          break;
      }
    }
    Deliver({packets_.data(), count});
  }

  void Deliver(std::span<encap::PacketBuffer> packets) {
    const encap::InputTunnel tunnel{&decapsulator_, &input_};
    encap::DecapsulateBatch(map_, {&tunnel, 1}, encap::ParseOptions(), packets,
                            results_);
    for (size_t i = 0; i < packets.size(); ++i) {
      Count(results_[i].reason);
      if (results_[i].reason != encap::DropReason::kNone) continue;
      if (Forward(packets[i])) {
        inner_.Send(packets[i].bytes());
      } else {
        Count(encap::DropReason::kTtlExpired);
      }
    }
  }

  void Count(encap::DropReason reason) {
    ++counts_[static_cast<size_t>(reason)];
  }

  void PrintDrops() const {
    for (size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] == 0) continue;
      std::printf("%s %llu\n", encap::kDropReasonInfo[i].name.data(),
                  static_cast<unsigned long long>(counts_[i]));
    }
  }

  const encap::Encapsulator encapsulator_;
  const encap::Decapsulator decapsulator_;
  const encap::SizePolicy sizes_;
  const encap::IpAddress address_;
  Port inner_;
  Port outer_;
  encap::EndpointMap map_;
  encap::OutputState output_;
  encap::InputState input_;
  encap::Reassembler reassembler_;
  encap::TokenBucket answers_{/*rate=*/100, /*burst=*/10};
  uint32_t fragment_id_ = 0;
  std::array<std::vector<uint8_t>, kBatch> buffers_;
  std::array<encap::PacketBuffer, kBatch> packets_;
  std::array<encap::DropReason, kBatch> reasons_;
  std::array<encap::InputResult, kBatch> results_;
  std::array<uint8_t, kBufferLen> fragment_;
  std::array<uint64_t, encap::kDropReasonCount> counts_{};
};

encap::IpAddress Address(const char* text) {
  const auto address = encap::IpAddress::Parse(text);
  if (!address) {
    std::fprintf(stderr, "%s is no address\n", text);
    std::exit(2);
  }
  return *address;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9) {
    std::fprintf(stderr,
                 "usage: router INNER_IF INNER_MAC INNER_ADDRESS OUTER_IF "
                 "OUTER_MAC LOCAL REMOTE KEY\n");
    return 2;
  }
  encap::EncapConfig config;
  config.mode = encap::Mode::kGre;
  config.local = Address(argv[6]);
  config.remote = Address(argv[7]);
  config.input_key = config.output_key =
      static_cast<uint32_t>(std::strtoul(argv[8], nullptr, 0));
  for (const encap::FieldError& error : encap::Validate(config)) {
    std::fprintf(stderr, "%s: %s\n", error.field.c_str(),
                 error.message.c_str());
    return 2;
  }
  for (const int number : {SIGTERM, SIGINT}) {
    std::signal(number, [](int) { stopping = 1; });
  }
  static Router router(config, Address(argv[3]), Port(argv[1], argv[2]),
                       Port(argv[4], argv[5]));
  std::puts("ready");
  std::fflush(stdout);
  router.Run();
}
