#include "ctl/cli/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/time/clock.h"

extern char** environ;

namespace tunnel::ctl::cli {
namespace {

// Where Bazel puts the program for a test.
std::string ProgramPath() {
  const char* root = std::getenv("TEST_SRCDIR");
  return std::string(root == nullptr ? "." : root) +
         "/tunneld/ctl/cli/tunnelctl";
}

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& string : strings) {
    pointers.push_back(const_cast<char*>(string.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// Appends what is there. False at the end.
bool ReadSome(int fd, std::string* text) {
  char buffer[4096];
  const ssize_t size = read(fd, buffer, sizeof(buffer));
  if (size > 0) text->append(buffer, static_cast<size_t>(size));
  return size > 0 || (size < 0 && (errno == EINTR || errno == EAGAIN));
}

void CloseFd(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

}  // namespace

Subprocess::Subprocess(const std::vector<std::string>& args,
                       const std::vector<std::string>& environment) {
  std::vector<std::string> argv = {ProgramPath()};
  argv.insert(argv.end(), args.begin(), args.end());
  std::vector<std::string> variables = environment;
  for (char** at = environ; *at != nullptr; ++at) {
    if (!absl::StartsWith(*at, "TUNNELCTL_TARGET=") &&
        !absl::StartsWith(*at, "NO_COLOR=")) {
      variables.emplace_back(*at);
    }
  }
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) std::abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  const int failed =
      posix_spawn(&pid_, argv[0].c_str(), &actions, nullptr,
                  Pointers(argv).data(), Pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(err[1]);
  out_ = out[0];
  err_ = err[0];
  if (failed != 0) std::abort();
}

Subprocess::~Subprocess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  CloseFd(&out_);
  CloseFd(&err_);
}

void Subprocess::Signal(int signal) { kill(pid_, signal); }

void Subprocess::CloseStdout() { CloseFd(&out_); }

bool Subprocess::Pump(absl::Time end) {
  pollfd wait[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  const int64_t left = absl::ToInt64Milliseconds(end - absl::Now());
  poll(wait, 2, static_cast<int>(std::max<int64_t>(left, 0)));
  if (wait[0].revents != 0 && !ReadSome(out_, &result_.out)) CloseFd(&out_);
  if (wait[1].revents != 0 && !ReadSome(err_, &result_.err)) CloseFd(&err_);
  return out_ >= 0 || err_ >= 0;
}

bool Subprocess::ReadUntil(const std::string& text) {
  const absl::Time end = absl::Now() + absl::Seconds(10);
  while (!absl::StrContains(result_.out, text)) {
    if (absl::Now() >= end || !Pump(end)) {
      return absl::StrContains(result_.out, text);
    }
  }
  return true;
}

ProcessResult Subprocess::Wait(absl::Duration patience) {
  const absl::Time end = absl::Now() + patience;
  while (absl::Now() < end && Pump(end)) {
  }
  int status = 0;
  pid_t reaped = 0;
  while ((reaped = waitpid(pid_, &status, WNOHANG)) == 0 && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  if (reaped == pid_) {
    pid_ = -1;
    result_.exit_code =
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return result_;
}

ProcessResult RunProcess(const std::vector<std::string>& args,
                         const std::vector<std::string>& environment) {
  return Subprocess(args, environment).Wait();
}

}  // namespace tunnel::ctl::cli
