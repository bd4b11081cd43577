// Measures ways to send and to receive GRE packets between two network
// namespaces.
//
//   packet_io_probe SEND_NS RECEIVE_NS SEND_CPU RECEIVE_CPU DEVICE LOCAL REMOTE
//                   SENDER RECEIVER INNER SIZE MS
//
// The namespaces are paths (/run/netns/...), joined by DEVICE, which has this
// name in both; LOCAL and REMOTE are its IPv4 addresses. SENDER is raw,
// packet, bypass or xdp, RECEIVER packet, xdp or xdp-generic, INNER udp or tcp,
// SIZE the bytes of a packet with its outer IP header. Sends for MS as fast as
// the receiver takes it, with few packets under way, and prints one JSON
// object:
//   {"pps": received a second, "lost": packets, "per_frame": packets in what
//    the receiver got at once (more than 1 when they were merged),
//    "cpu_ns": [sending CPU, receiving CPU] a packet, all that ran there}
// Exit status 1 when nothing gets through, 2 for wrong usage.

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "tests/bench/packet_io/packet_train.h"
#include "tests/bench/packet_io/probe.h"
#include "tests/bench/packet_io/receiver.h"
#include "tests/bench/packet_io/sender.h"

namespace bench {
namespace {

// Packets under way: less than the 256 that a veth device holds for the other
// CPU.
constexpr uint64_t kWindow = 192;
constexpr double kGivenUp = 0.05;  // seconds without progress

struct Place {
  std::string name_space;
  int cpu = 0;
};

struct Options {
  Place send, receive;
  Link link;
  std::string sender, receiver;
  Inner inner = Inner::kUdp;
  size_t size = 0;
  double seconds = 0;
};

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) * 1e-9;
}

void SleepUs(long microseconds) {
  const timespec time{0, microseconds * 1000};
  nanosleep(&time, nullptr);
}

// Moves the calling thread there.
void Settle(const Place& place) {
  const int fd = open(place.name_space.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) Die(place.name_space.c_str());
  close(fd);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(place.cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) Die("sched_setaffinity");
  prctl(PR_SET_TIMERSLACK, 1);
}

MacAddress MacOf(const Place& place, const std::string& device) {
  MacAddress mac;
  std::thread([&] {
    Settle(place);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq request{};
    device.copy(request.ifr_name, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0) Die(device.c_str());
    close(fd);
    std::memcpy(mac.data(), request.ifr_hwaddr.sa_data, mac.size());
  }).join();
  return mac;
}

// Nanoseconds that a CPU has been busy: user, nice, system, irq, softirq.
double BusyNs(int cpu) {
  std::ifstream stat("/proc/stat");
  const std::string wanted = "cpu" + std::to_string(cpu);
  std::string line, name;
  while (stat >> name && name != wanted) std::getline(stat, line);
  std::array<double, 7> ticks{};
  for (double& field : ticks) stat >> field;
  const double busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6];
  return busy * 1e9 / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// A thread that receives, and what it has.
class Receiving {
 public:
  Receiving(const Options& options, const PacketTrain& train)
      : thread_([this, &options, &train] {
          Settle(options.receive);
          const auto receiver =
              MakeReceiver(options.receiver, options.link.device, train);
          // Pairs with the wait in the constructor: the socket is bound.
          ready_.store(true, std::memory_order_release);
          Run(*receiver);
        }) {
    while (!ready_.load(std::memory_order_acquire)) SleepUs(100);
  }
  ~Receiving() {
    stop_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

  uint64_t packets() const { return packets_.load(std::memory_order_relaxed); }
  uint64_t frames() const { return frames_.load(std::memory_order_relaxed); }

 private:
  void Run(Receiver& receiver) {
    Tally tally;
    pollfd waiting{receiver.fd(), POLLIN, 0};
    while (!stop_.load(std::memory_order_relaxed)) {
      poll(&waiting, 1, 20);
      while (receiver.Receive(tally)) {
        // This thread alone writes them.
        packets_.store(tally.packets, std::memory_order_relaxed);
        frames_.store(tally.frames, std::memory_order_relaxed);
      }
    }
    if (tally.strange > 0) {
      std::fprintf(stderr, "%" PRIu64 " frames are none of the train\n",
                   tally.strange);
    }
  }

  std::atomic<bool> ready_{false};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<uint64_t> packets_{0};
  std::atomic<uint64_t> frames_{0};
  alignas(64) std::thread thread_;
};

class Sending {
 public:
  Sending(Sender& sender, const Receiving& receiving)
      : sender_(sender), receiving_(receiving) {}

  uint64_t sent() const { return sent_; }
  uint64_t lost() const { return lost_; }

  void RunUntil(double end) {
    while (Now() < end) {
      sent_ += sender_.Send();
      WaitForRoom(kWindow - PacketTrain::kPackets);
    }
    WaitForRoom(0);
  }

 private:
  // Until at most `under_way` are; those that do not come are lost.
  void WaitForRoom(uint64_t under_way) {
    uint64_t seen = receiving_.packets();
    for (double quiet = Now(); sent_ - lost_ > seen + under_way;) {
      SleepUs(20);
      const uint64_t count = receiving_.packets();
      if (count != seen) quiet = Now();
      seen = count;
      if (Now() - quiet > kGivenUp) lost_ = sent_ - seen;
    }
  }

  Sender& sender_;
  const Receiving& receiving_;
  uint64_t sent_ = 0;
  uint64_t lost_ = 0;
};

int Measure(const Options& options) {
  const PacketTrain train(options.link, options.inner, options.size);
  Receiving receiving(options, train);
  Settle(options.send);
  const auto sender = MakeSender(options.sender, options.link, train);
  Sending sending(*sender, receiving);
  sending.RunUntil(Now() + 0.1);  // neighbours, caches
  const uint64_t packets = receiving.packets();
  const uint64_t frames = receiving.frames();
  const uint64_t lost = sending.lost();
  const std::array<double, 2> busy{BusyNs(options.send.cpu),
                                   BusyNs(options.receive.cpu)};
  const double begin = Now();
  sending.RunUntil(begin + options.seconds);
  const double took = Now() - begin;
  const double n = static_cast<double>(receiving.packets() - packets);
  if (n == 0) return 1;
  std::printf("{\"pps\": %.0f, \"lost\": %" PRIu64
              ", \"per_frame\": %.2f, \"cpu_ns\": [%.0f, %.0f]}\n",
              n / took, sending.lost() - lost,
              n / static_cast<double>(receiving.frames() - frames),
              (BusyNs(options.send.cpu) - busy[0]) / n,
              (BusyNs(options.receive.cpu) - busy[1]) / n);
  return 0;
}

bool OneOf(const std::string& word, std::initializer_list<const char*> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool Parse(char** words, Options& options) {
  options.send = {words[1], std::atoi(words[3])};
  options.receive = {words[2], std::atoi(words[4])};
  options.link.device = words[5];
  const auto local = encap::IpAddress::Parse(words[6]);
  const auto remote = encap::IpAddress::Parse(words[7]);
  options.sender = words[8];
  options.receiver = words[9];
  options.inner = words[10] == std::string("tcp") ? Inner::kTcp : Inner::kUdp;
  options.size = std::strtoul(words[11], nullptr, 10);
  options.seconds = std::atof(words[12]) / 1000;
  if (!local || !remote || !local->is_v4() || !remote->is_v4()) return false;
  options.link.local = *local;
  options.link.remote = *remote;
  return OneOf(options.sender, {"raw", "packet", "bypass", "xdp"}) &&
         OneOf(options.receiver, {"packet", "xdp", "xdp-generic"}) &&
         OneOf(words[10], {"udp", "tcp"}) &&
         options.size >= PacketTrain::kMinSize &&
         options.size <= PacketTrain::kMaxSize && options.seconds > 0;
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  bench::Options options;
  if (argc != 13 || !bench::Parse(argv, options)) {
    std::fprintf(stderr,
                 "usage: packet_io_probe SEND_NS RECEIVE_NS SEND_CPU "
                 "RECEIVE_CPU DEVICE LOCAL REMOTE raw|packet|bypass|xdp "
                 "packet|xdp|xdp-generic udp|tcp SIZE MS\n");
    return 2;
  }
  options.link.local_mac = bench::MacOf(options.send, options.link.device);
  options.link.remote_mac = bench::MacOf(options.receive, options.link.device);
  return bench::Measure(options);
}
