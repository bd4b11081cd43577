// Interrupt: Ctrl-C. The first one cancels the call in flight, the second ends
// the program at once.

#ifndef CTL_CLI_INTERRUPT_H_
#define CTL_CLI_INTERRUPT_H_

#include <atomic>
#include <functional>
#include <mutex>

namespace tunnel::ctl::cli {

// One for the whole program, alive until its end: the thread that it starts
// waits for SIGINT and is never joined.
class Interrupt {
 public:
  // Blocks SIGINT in this thread and in all that it starts later, so make it
  // before any other thread.
  static Interrupt& Get();

  // Until Disarm(), the first SIGINT calls `cancel`, on another thread; when
  // one has come before, at once. `cancel` must not call Arm() or Disarm().
  void Arm(std::function<void()> cancel);
  void Disarm();

  // True once a SIGINT has come.
  bool seen() const {
    return seen_.load(std::memory_order_acquire);  // pairs with Loop
  }

 private:
  Interrupt();
  [[noreturn]] void Loop();

  std::atomic<bool> seen_{false};
  std::mutex mu_;
  std::function<void()> cancel_;  // guarded by mu_; empty when not armed
};

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_INTERRUPT_H_
