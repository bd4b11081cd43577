// Measures a path between two network namespaces with UDP datagrams.
//
//   udp_probe rate SEND_NS RECEIVE_NS SEND_CPU RECEIVE_CPU ADDRESS SIZE STEP_MS
//   udp_probe rtt  SEND_NS RECEIVE_NS SEND_CPU RECEIVE_CPU ADDRESS SIZE MS
//
// The namespaces are paths (/run/netns/...), ADDRESS is one of RECEIVE_NS, SIZE
// is the UDP payload in bytes. Prints one JSON object.
//   rate  the highest rate of which less than 1 % is lost, found by doubling
//         and bisection in steps of STEP_MS:
//         {"pps": delivered a second, "steps": n}
//   rtt   ping-pong for MS:
//         {"p50_us": x, "p99_us": x, "count": n, "lost": n}
// Exit status 1 when nothing gets through, 2 for wrong usage.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kPort = 5301;
constexpr size_t kMaxSize = 2048;
constexpr int kBatch = 32;
constexpr double kMostLost = 0.01;
constexpr double kFirstRate = 16000;   // packets a second
constexpr double kLowestRate = 100;    // below this nothing works
constexpr double kHighestRate = 64e6;  // no sender gets there
constexpr double kPrecision = 1.04;    // where the bisection ends

double Now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}

void SleepUs(long microseconds) {
  const timespec time{0, microseconds * 1000};
  nanosleep(&time, nullptr);
}

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Options {
  std::string send_ns, receive_ns;
  int send_cpu = 0, receive_cpu = 0;
  sockaddr_storage target{};
  socklen_t target_length = 0;
  size_t size = 0;
  double seconds = 0;
};

// Moves the calling thread to a namespace and a CPU.
void Settle(const std::string& name_space, int cpu) {
  const int fd = open(name_space.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) Die(name_space.c_str());
  close(fd);
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) Die("sched_setaffinity");
  prctl(PR_SET_TIMERSLACK, 1);
}

int Open(const Options& options, bool receiver) {
  const int fd = socket(options.target.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) Die("socket");
  const int size = receiver ? 4 << 20 : 1 << 20;
  setsockopt(fd, SOL_SOCKET, receiver ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &size,
             sizeof(size));
  const timeval timeout{0, receiver ? 50000 : 200000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  const auto* address = reinterpret_cast<const sockaddr*>(&options.target);
  const int done = receiver ? bind(fd, address, options.target_length)
                            : connect(fd, address, options.target_length);
  if (done != 0) Die(receiver ? "bind" : "connect");
  return fd;
}

// A thread in the receiving namespace: counts the datagrams of the current
// step, or sends each one back.
class Receiver {
 public:
  Receiver(const Options& options, bool echo)
      : thread_([this, options, echo] {
          Settle(options.receive_ns, options.receive_cpu);
          const int fd = Open(options, true);
          // Pairs with the wait in the constructor: the socket is bound.
          ready_.store(true, std::memory_order_release);
          echo ? Echo(fd) : Count(fd);
          close(fd);
        }) {
    while (!ready_.load(std::memory_order_acquire)) SleepUs(100);
  }
  ~Receiver() {
    stop_.store(true, std::memory_order_relaxed);
    thread_.join();
  }

  // Datagrams of this step from now on; those of others are not counted.
  void Begin(uint32_t step) {
    step_.store(step, std::memory_order_relaxed);
    begun_ = count_.load(std::memory_order_relaxed);
  }
  uint64_t count() const {
    return count_.load(std::memory_order_relaxed) - begun_;
  }

 private:
  bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  void Count(int fd) {
    static char data[kBatch][kMaxSize];
    mmsghdr messages[kBatch] = {};
    iovec vectors[kBatch];
    for (int i = 0; i < kBatch; ++i) {
      vectors[i] = {data[i], kMaxSize};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (!stopped()) {
      const int n = recvmmsg(fd, messages, kBatch, MSG_WAITFORONE, nullptr);
      const uint32_t step = step_.load(std::memory_order_relaxed);
      uint64_t counted = 0;
      for (int i = 0; i < n; ++i) {
        counted += std::memcmp(data[i], &step, sizeof(step)) == 0;
      }
      // This thread alone writes it.
      count_.store(count_.load(std::memory_order_relaxed) + counted,
                   std::memory_order_relaxed);
    }
  }

  void Echo(int fd) {
    char data[kMaxSize];
    while (!stopped()) {
      sockaddr_storage from;
      socklen_t length = sizeof(from);
      const ssize_t n = recvfrom(fd, data, sizeof(data), 0,
                                 reinterpret_cast<sockaddr*>(&from), &length);
      if (n > 0) {
        sendto(fd, data, n, 0, reinterpret_cast<sockaddr*>(&from), length);
      }
    }
  }

  std::atomic<bool> ready_{false};
  std::atomic<bool> stop_{false};
  std::atomic<uint32_t> step_{0};
  alignas(64) std::atomic<uint64_t> count_{0};
  alignas(64) uint64_t begun_ = 0;  // of the sending thread
  std::thread thread_;
};

struct StepResult {
  double asked = 0;      // packets a second
  double sent = 0;       // the same, as it came out
  double delivered = 0;  // the same
  bool kept = false;     // less than kMostLost is gone
};

class RateSearch {
 public:
  RateSearch(const Options& options, int fd, Receiver& receiver)
      : options_(options), fd_(fd), receiver_(receiver) {}

  // The best delivered rate; 0 when nothing gets through.
  double Run() {
    Step(1000);  // neighbours, caches
    double low = 0;
    double high = 0;
    double rate = kFirstRate;
    while (rate >= kLowestRate && rate <= kHighestRate) {
      const double before = best_;
      const StepResult result = StepTwice(rate);
      if (result.kept) {
        low = rate;
        if (SenderIsLimit(result) && best_ < kPrecision * before) return best_;
        if (high > 0) break;
        rate *= 2;
      } else {
        high = rate;
        if (low > 0) break;
        rate /= 2;
      }
    }
    while (low > 0 && high / low > kPrecision) {
      const double middle = std::sqrt(low * high);
      const StepResult result = StepTwice(middle);
      (result.kept ? low : high) = middle;
    }
    return best_;
  }

  uint32_t steps() const { return steps_; }

 private:
  static bool SenderIsLimit(const StepResult& result) {
    return result.sent < 0.95 * result.asked;
  }

  // One hiccup of the machine is no verdict.
  StepResult StepTwice(double rate) {
    StepResult result = Step(rate);
    if (!result.kept) result = Step(rate);
    if (result.kept) best_ = std::max(best_, result.delivered);
    return result;
  }

  StepResult Step(double rate) {
    const uint32_t step = ++steps_;
    receiver_.Begin(step);
    const double begin = Now();
    const uint64_t sent = Send(step, rate, begin);
    const double took = Now() - begin;
    const uint64_t received = Drain(sent);
    StepResult result;
    result.asked = rate;
    result.sent = sent / took;
    result.delivered = received / took;
    result.kept = sent > 0 && sent - received <= kMostLost * sent;
    return result;
  }

  uint64_t Send(uint32_t step, double rate, double begin) {
    char data[kMaxSize] = {};
    std::memcpy(data, &step, sizeof(step));
    iovec vector{data, options_.size};
    mmsghdr messages[kBatch] = {};
    for (mmsghdr& message : messages) {
      message.msg_hdr.msg_iov = &vector;
      message.msg_hdr.msg_iovlen = 1;
    }
    uint64_t sent = 0;
    for (;;) {
      const double elapsed = Now() - begin;
      if (elapsed >= options_.seconds) return sent;
      const double due = elapsed * rate - static_cast<double>(sent);
      if (due < 1) {
        SleepUs(20);
        continue;
      }
      const int n =
          sendmmsg(fd_, messages,
                   static_cast<unsigned>(std::min<double>(due, kBatch)), 0);
      sent += n > 0 ? n : 1;  // one that is refused is one that is lost
    }
  }

  // Waits for what is under way; the datagrams of this step that have arrived.
  uint64_t Drain(uint64_t sent) {
    uint64_t seen = receiver_.count();
    for (double quiet = Now(); seen < sent && Now() - quiet < 0.03;) {
      SleepUs(1000);
      const uint64_t count = receiver_.count();
      if (count != seen) quiet = Now();
      seen = count;
    }
    return std::min(seen, sent);
  }

  const Options& options_;
  const int fd_;
  Receiver& receiver_;
  uint32_t steps_ = 0;
  double best_ = 0;
};

int Rate(const Options& options) {
  Receiver receiver(options, false);
  Settle(options.send_ns, options.send_cpu);
  const int fd = Open(options, false);
  RateSearch search(options, fd, receiver);
  const double best = search.Run();
  std::printf("{\"pps\": %.0f, \"steps\": %u}\n", best, search.steps());
  return best > 0 ? 0 : 1;
}

// Times round trips until the time is over; `lost` counts those without answer.
std::vector<double> PingPong(const Options& options, int fd, uint64_t& lost) {
  std::vector<double> trips;
  std::array<char, kMaxSize> data{};
  uint32_t number = 0;
  const double begin = Now();
  while (Now() - begin < options.seconds) {
    ++number;
    std::memcpy(data.data(), &number, sizeof(number));
    const double sent = Now();
    send(fd, data.data(), options.size, 0);
    uint32_t answer = 0;
    ssize_t n;
    do {  // a late answer to an earlier one is none
      n = recv(fd, data.data(), data.size(), 0);
      std::memcpy(&answer, data.data(), sizeof(answer));
    } while (n > 0 && answer != number);
    if (n > 0) {
      trips.push_back((Now() - sent) * 1e6);
    } else {
      ++lost;
    }
  }
  return trips;
}

int RoundTrip(const Options& options) {
  Receiver receiver(options, true);
  Settle(options.send_ns, options.send_cpu);
  const int fd = Open(options, false);
  uint64_t lost = 0;
  Options warm_up = options;
  warm_up.seconds = 0.02;
  PingPong(warm_up, fd, lost);
  lost = 0;
  std::vector<double> trips = PingPong(options, fd, lost);
  if (trips.empty()) return 1;
  std::sort(trips.begin(), trips.end());
  std::printf(
      "{\"p50_us\": %.1f, \"p99_us\": %.1f, \"count\": %zu, \"lost\": %llu}\n",
      trips[trips.size() / 2], trips[trips.size() * 99 / 100], trips.size(),
      static_cast<unsigned long long>(lost));
  return 0;
}

bool Parse(char** words, Options& options) {
  options.send_ns = words[2];
  options.receive_ns = words[3];
  options.send_cpu = std::atoi(words[4]);
  options.receive_cpu = std::atoi(words[5]);
  options.size = std::strtoul(words[7], nullptr, 10);
  options.seconds = std::atof(words[8]) / 1000;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&options.target);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&options.target);
  if (inet_pton(AF_INET, words[6], &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(kPort);
    options.target_length = sizeof(*v4);
  } else if (inet_pton(AF_INET6, words[6], &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(kPort);
    options.target_length = sizeof(*v6);
  }
  return options.target_length > 0 && options.size >= sizeof(uint32_t) &&
         options.size <= kMaxSize && options.seconds > 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc == 9 ? argv[1] : "";
  Options options;
  if ((verb == "rate" || verb == "rtt") && Parse(argv, options)) {
    return verb == "rate" ? Rate(options) : RoundTrip(options);
  }
  std::fprintf(stderr,
               "usage: udp_probe rate|rtt SEND_NS RECEIVE_NS SEND_CPU "
               "RECEIVE_CPU ADDRESS SIZE MS\n");
  return 2;
}
