// What all parts of packet_io_probe share.

#ifndef TESTS_BENCH_PACKET_IO_PROBE_H_
#define TESTS_BENCH_PACKET_IO_PROBE_H_

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "encap/address.h"

namespace bench {

// Prints `what` with the text of errno and ends the process.
[[noreturn]] inline void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

using MacAddress = std::array<uint8_t, 6>;

// The link between the two namespaces, as the sending end sees it.
struct Link {
  std::string device;  // its name at both ends
  encap::IpAddress local, remote;
  MacAddress local_mac{}, remote_mac{};
};

}  // namespace bench

#endif  // TESTS_BENCH_PACKET_IO_PROBE_H_
