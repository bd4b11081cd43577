// Receiver: one way to take the packets of a train off the wire. One thread.

#ifndef TESTS_BENCH_PACKET_IO_RECEIVER_H_
#define TESTS_BENCH_PACKET_IO_RECEIVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "tests/bench/packet_io/packet_train.h"

namespace bench {

struct Tally {
  uint64_t packets = 0;  // of the train, each one in what was merged
  uint64_t frames = 0;   // what they came in
  uint64_t strange = 0;  // frames that are nothing of the train
};

class Receiver {
 public:
  virtual ~Receiver() = default;
  // Becomes readable when packets wait.
  virtual int fd() const = 0;
  // Takes a batch of what waits, at most; false when nothing does.
  virtual bool Receive(Tally& tally) = 0;
};

// "packet", as the daemon receives; "xdp" and "xdp-generic": AF_XDP in copy
// mode behind a program in the driver or behind it. In the network namespace of
// the caller; nullptr for any other word. `train` must outlive the result.
std::unique_ptr<Receiver> MakeReceiver(const std::string& kind,
                                       const std::string& device,
                                       const PacketTrain& train);

}  // namespace bench

#endif  // TESTS_BENCH_PACKET_IO_RECEIVER_H_
