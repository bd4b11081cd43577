// Sender: one way to put the packets of a train on the wire. One thread.

#ifndef TESTS_BENCH_PACKET_IO_SENDER_H_
#define TESTS_BENCH_PACKET_IO_SENDER_H_

#include <cstddef>
#include <memory>
#include <string>

#include "tests/bench/packet_io/packet_train.h"
#include "tests/bench/packet_io/probe.h"

namespace bench {

class Sender {
 public:
  virtual ~Sender() = default;
  // Sends the whole train; the number of packets that the kernel took.
  virtual size_t Send() = 0;
};

// "raw", as the daemon sends; "packet": AF_PACKET; "bypass": the same past the
// queueing discipline and tc (PACKET_QDISC_BYPASS); "xdp": AF_XDP in copy mode.
// In the network namespace of the caller; nullptr for any other word. `link`
// and `train` must outlive the result.
std::unique_ptr<Sender> MakeSender(const std::string& kind, const Link& link,
                                   const PacketTrain& train);

}  // namespace bench

#endif  // TESTS_BENCH_PACKET_IO_SENDER_H_
