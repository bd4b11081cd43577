// ErrorInput: what ICMP errors about outer packets do, for the worker that gets
// them.
//
//   Transport::ReceiveErrors -> ParseIcmpError -> SenderIndex::Find
//     -> PathState::Learn -> RelayOuterError -> InnerReply
//
// Anybody can send an error: one whose quote is not what a tunnel sends changes
// nothing. One ReadSection for a batch. No lock, no allocation, no atomic
// read-modify-write. One thread, in the process.

#ifndef TUNNEL_PATH_ERROR_INPUT_H_
#define TUNNEL_PATH_ERROR_INPUT_H_

#include <cstddef>
#include <cstdint>

#include "encap/icmp_quote.h"
#include "tunnel/endpoint/endpoint_table.h"
#include "tunnel/path/inner_reply.h"
#include "tunnel/stats/counters.h"
#include "tunnel/sync/qsbr.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class ErrorInput {
 public:
  // All references must outlive the object and belong to worker `worker`.
  ErrorInput(size_t worker, const EndpointTable& table, Qsbr::Reader& reader,
             Transport& transport, WorkerCountersOwned& counters)
      : worker_(worker),
        table_(table),
        reader_(reader),
        transport_(transport),
        counters_(counters),
        reply_(counters.calls(Syscall::kWrite)) {}

  // Handles one batch of what waits at transport.error_fds()[index].
  void Run(size_t index) noexcept;

 private:
  void Handle(const IncomingError& incoming, uint64_t now_ns) noexcept;
  // Tells the sender of the packet inside, where the quote shows it.
  void Relay(const Variant& variant, const encap::OuterError& error,
             uint64_t now_ns) noexcept;

  const size_t worker_;
  const EndpointTable& table_;
  Qsbr::Reader& reader_;
  Transport& transport_;
  WorkerCountersOwned& counters_;
  InnerReply reply_;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_ERROR_INPUT_H_
