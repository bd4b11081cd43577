#include "tunnel/path/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/clock.h"
#include "tunnel/base/cpu.h"
#include "tunnel/base/error.h"
#include "tunnel/base/log.h"
#include "tunnel/base/status_macros.h"

namespace tunnel {
namespace {

// epoll tags: the eventfd, the timer, the hand-offs, then the sockets; a larger
// tag is a QueueContext*.
constexpr uint64_t kWakeTag = 0;
constexpr uint64_t kTimerTag = 1;
constexpr uint64_t kHandoffTag = 2;
constexpr uint64_t kFirstSocketTag = 3;
constexpr uint64_t kLastSocketTag = 63;

// A socket that gives as many packets at once is polled until it has none, and
// not watched meanwhile, as a driver leaves interrupts off while NAPI polls a
// network card: for each packet the kernel then need not look for whom to tell.
constexpr size_t kPollPackets = 4;

// The kernel is asked for its drop count once in so many wake-ups: a system
// call.
constexpr uint64_t kDropPollMask = 255;

void NameAndPin(size_t index, int cpu) {
  SetThreadName(absl::StrCat("tunnel-w", index));
  if (const absl::Status pinned = PinThread(cpu); !pinned.ok()) {
    LogWarning("worker is not pinned",
               {{"worker", absl::StrCat(index)},
                {"cause", std::string(pinned.message())}});
  }
}

}  // namespace

Worker::Worker(size_t index, int cpu, const EndpointTable& table,
               Qsbr::Reader& reader, HandoffLanes& lanes,
               std::unique_ptr<Transport> transport,
               std::chrono::nanoseconds busy_poll)
    : index_(index),
      cpu_(cpu),
      busy_poll_(busy_poll),
      transport_(std::move(transport)),
      output_(index, table, reader, *transport_, counters_),
      input_(index, table, reader, *transport_, lanes, counters_),
      error_input_(index, table, reader, *transport_, counters_) {}

Worker::~Worker() { Stop(); }

absl::Status Worker::Start() {
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_ || !wake_ || !waiting_.Open()) {
    return MakeError(Reason::kFdLimit,
                     "worker: no file descriptor left for epoll");
  }
  sockets_ = transport_->receive_fds();
  receive_fds_ = sockets_.size();
  for (const int fd : transport_->error_fds()) sockets_.push_back(fd);
  bool watched = Watch(wake_.get(), kWakeTag) &&
                 Watch(waiting_.fd(), kTimerTag) &&
                 Watch(input_.handoff().bell_fd(), kHandoffTag);
  for (size_t i = 0; watched && i < sockets_.size(); ++i)
    watched = Watch(sockets_[i], kFirstSocketTag + i);
  if (!watched) {
    return MakeError(Reason::kFdLimit,
                     absl::StrCat("worker: epoll_ctl failed, errno ", errno));
  }
  {
    const MutexLock lock(mu_);
    running_ = true;
  }
  thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

bool Worker::Watch(int fd, uint64_t tag) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  stop_.store(true,
              std::memory_order_release);  // pairs with the load in Loop() [W1]
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  thread_.join();
}

double Worker::busy_seconds() {
  clockid_t clock;
  timespec time{};
  const MutexLock lock(mu_);
  if (!running_ ||
      ::pthread_getcpuclockid(thread_.native_handle(), &clock) != 0 ||
      ::clock_gettime(clock, &time) != 0) {
    return 0;
  }
  return static_cast<double>(time.tv_sec) +
         static_cast<double>(time.tv_nsec) * 1e-9;
}

void Worker::Post(Verb verb, QueueContext* queue) {
  bool wake = false;
  {
    const MutexLock lock(mu_);
    if (!running_) {
      Execute({verb, queue});  // no thread: the caller is alone with the queues
      return;
    }
    wake = mailbox_.empty();  // else it is woken for what is there already
    mailbox_.push_back({verb, queue});
    ++posted_;
  }
  if (!wake) return;
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

void Worker::WaitDone() {
  const MutexLock lock(mu_);
  const uint64_t until = posted_;
  while (executed_ < until) done_.Wait(mu_);
}

void Worker::Loop() {
  NameAndPin(index_, cpu_);
  std::array<epoll_event, 64> events;
  uint64_t rounds = 0;
  // Pairs with the store in Stop() [W1].
  while (!stop_.load(std::memory_order_acquire)) {
    const int n = Wait(events);
    if (n < 0) continue;  // EINTR
    if (polled_ == 0) counters_.wakeups.Add(1);
    if ((++rounds & kDropPollMask) == 0) ReadSocketDrops();
    bool commands = false;
    for (int i = 0; i < n; ++i) {
      const uint64_t tag = events[i].data.u64;
      if (tag == kWakeTag) {
        commands = true;
      } else if (tag == kTimerTag) {
        EndWaits();
      } else if (tag == kHandoffTag) {
        input_.handoff().ClearBell();
        counters_.calls(Syscall::kWake).Add(1);
      } else if (tag <= kLastSocketTag) {
        ServeSocket(tag - kFirstSocketTag);
      } else {
        Serve(*reinterpret_cast<QueueContext*>(tag));
      }
    }
    if (polled_ != 0) PollSockets();
    input_.RunHandoffs();
    // After the round: none of its events can refer to a queue that goes now.
    if (commands) RunCommands();
  }
  RunCommands();
  const MutexLock lock(mu_);
  running_ = false;
  for (const Command& command : mailbox_) Execute(command);
  executed_ += mailbox_.size();
  mailbox_.clear();
  done_.NotifyAll();
}

// Commands come as events too, and no ReadSection is open here: neither they
// nor a grace period waits for the polling.
int Worker::Wait(std::span<epoll_event> events) noexcept {
  const bool at_once = input_.handoff().PrepareSleep() || polled_ != 0;
  const int n = Ask(events, at_once);
  input_.handoff().Awake();
  return n == 0 && !at_once ? -1 : n;
}

int Worker::Ask(std::span<epoll_event> events, bool at_once) noexcept {
  const auto ask = [&](int timeout_ms) {
    counters_.calls(Syscall::kPoll).Add(1);
    return ::epoll_wait(epoll_.get(), events.data(),
                        static_cast<int>(events.size()), timeout_ms);
  };
  if (at_once) return ask(0);
  if (busy_poll_.count() != 0) {
    const SteadyTime begin = SteadyNow();
    do {
      const int n = ask(0);
      if (n != 0) return n;
    } while (Since(begin) < busy_poll_);
  }
  return ask(-1);
}

void Worker::RunCommands() {
  uint64_t count;
  (void)!::read(wake_.get(), &count, sizeof count);
  counters_.calls(Syscall::kOther).Add(1);
  ReadSocketDrops();
  std::vector<Command> commands;
  {
    const MutexLock lock(mu_);
    commands.swap(mailbox_);
  }
  for (const Command& command : commands) Execute(command);
  const MutexLock lock(mu_);
  executed_ += commands.size();
  done_.NotifyAll();
}

void Worker::Execute(const Command& command) {
  QueueContext& queue = *command.queue;
  switch (command.verb) {
    case Verb::kAdd:
      queue.gone = false;
      queue.parked = true;
      Arm(queue, true);
      break;
    case Verb::kRemove:
      waiting_.Remove(queue);
      Arm(queue, false);
      break;
    case Verb::kUnpark:
      // Its rate may be another one now: it is looked at again.
      waiting_.Remove(queue);
      Arm(queue, true);
      break;
  }
}

// A parked queue is out of the epoll set, not only masked: a device that goes
// meanwhile is reported as an error however the mask is, again and again.
void Worker::Arm(QueueContext& queue, bool readable) {
  if (queue.gone || queue.parked == !readable) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = reinterpret_cast<uint64_t>(&queue);
  const int verb = readable ? EPOLL_CTL_ADD : EPOLL_CTL_DEL;
  counters_.calls(Syscall::kOther).Add(1);
  queue.gone = ::epoll_ctl(epoll_.get(), verb, queue.queue->fd(), &event) != 0;
  queue.parked = !readable;
}

void Worker::ReadSocketDrops() {
  counters_.calls(Syscall::kOther).Add(receive_fds_);
  counters_.socket_drops.Set(transport_->receive_drops());
}

void Worker::ServeSocket(size_t socket) {
  if (socket >= receive_fds_) return error_input_.Run(socket - receive_fds_);
  if (input_.Run(socket) < kPollPackets) return;
  counters_.calls(Syscall::kOther).Add(1);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, sockets_[socket], nullptr) == 0)
    polled_ |= uint64_t{1} << socket;
}

void Worker::PollSockets() {
  for (size_t socket = 0; socket < receive_fds_; ++socket) {
    const uint64_t bit = uint64_t{1} << socket;
    if ((polled_ & bit) == 0 || input_.Run(socket) != 0) continue;
    counters_.calls(Syscall::kOther).Add(1);
    // What has come since is an event. Without memory to watch it, go on.
    if (Watch(sockets_[socket], kFirstSocketTag + socket)) polled_ &= ~bit;
  }
}

void Worker::EndWaits() {
  counters_.calls(Syscall::kOther).Add(1);  // the timer, set once more
  while (QueueContext* queue = waiting_.TakeDue(SteadyNs())) Arm(*queue, true);
}

void Worker::Serve(QueueContext& queue) {
  if (queue.gone) return;
  switch (output_.Run(queue)) {
    case Output::Result::kDone:
      break;
    case Output::Result::kPaused:
      // Else the readable queue would wake the worker again at once.
      Arm(queue, false);
      break;
    case Output::Result::kWait:
      Arm(queue, false);
      counters_.calls(Syscall::kOther).Add(1);
      waiting_.Add(queue, SteadyNs() + queue.wait_ns);
      break;
    case Output::Result::kGone:
      Arm(queue, false);
      queue.gone = true;
      break;
  }
}

}  // namespace tunnel
