#include "ctl/cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <thread>
#include <utility>

#include "ctl/cli/errors.h"

namespace tunnel::ctl::cli {
namespace {

sigset_t InterruptSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

Interrupt& Interrupt::Get() {
  static Interrupt* const interrupt = new Interrupt();
  return *interrupt;
}

Interrupt::Interrupt() {
  // A shell starts background jobs with SIGINT ignored, and what is ignored
  // never reaches sigwait(); one that is sent here is meant for us.
  signal(SIGINT, SIG_DFL);
  const sigset_t signals = InterruptSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([this] { Loop(); }).detach();
}

void Interrupt::Arm(std::function<void()> cancel) {
  const std::lock_guard<std::mutex> lock(mu_);
  cancel_ = std::move(cancel);
  if (seen()) cancel_();
}

void Interrupt::Disarm() {
  const std::lock_guard<std::mutex> lock(mu_);
  cancel_ = nullptr;
}

void Interrupt::Loop() {
  const sigset_t signals = InterruptSignals();
  while (true) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    // The second one: whatever is in flight is left to the daemon.
    if (seen()) _exit(kExitInterrupted);
    const std::lock_guard<std::mutex> lock(mu_);
    seen_.store(true, std::memory_order_release);  // pairs with seen()
    if (cancel_) cancel_();
  }
}

}  // namespace tunnel::ctl::cli
