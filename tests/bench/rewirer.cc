// Moves the remote of a tunnel back and forth at a steady rate, so that a
// measurement has the changes of a daemon beside it and as little as possible
// of the client that asks for them.
//
//   rewirer TARGET TUNNEL REMOTE REMOTE PER_SECOND
//
// TARGET is one of gRPC, as unix:PATH. Goes on until standard input ends, then
// prints {"changes": n, "seconds": x}. A change that is late is made at once.
// Exit status 1 when one fails, 2 for wrong usage.

#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "proto/tunnel/v1/tunnel_service.grpc.pb.h"

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// False when standard input has ended by then.
bool SleepUntil(Clock::time_point time) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        std::max(time - Clock::now(), Clock::duration::zero()));
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&input, 1, static_cast<int>(left.count()));
    if (ready == 0) return true;
    if (ready > 0) return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const double per_second = argc == 6 ? std::atof(argv[5]) : 0;
  if (!(per_second > 0)) {
    std::fprintf(stderr,
                 "usage: rewirer TARGET TUNNEL REMOTE REMOTE PER_SECOND\n");
    return 2;
  }
  const auto stub = tunnel::v1::TunnelService::NewStub(
      grpc::CreateChannel(argv[1], grpc::InsecureChannelCredentials()));
  tunnel::v1::UpdateTunnelRequest request;
  request.mutable_tunnel()->set_name(argv[2]);
  const Clock::time_point begin = Clock::now();
  const Seconds period(1 / per_second);
  uint64_t changes = 0;
  for (;;) {
    const auto due = std::chrono::duration_cast<Clock::duration>(
        period * static_cast<double>(changes));
    if (!SleepUntil(begin + due)) break;
    request.mutable_tunnel()->set_remote(argv[3 + ++changes % 2]);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(30));
    tunnel::v1::TunnelChange reply;
    const grpc::Status status = stub->UpdateTunnel(&context, request, &reply);
    if (!status.ok()) {
      std::fprintf(stderr, "UpdateTunnel: %s\n",
                   status.error_message().c_str());
      return 1;
    }
  }
  std::printf("{\"changes\": %llu, \"seconds\": %.3f}\n",
              static_cast<unsigned long long>(changes),
              Seconds(Clock::now() - begin).count());
}
