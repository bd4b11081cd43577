// LinuxTransportTest: a LinuxTransport on a wire inside a namespace of its own,
// and the packets to send over it.

#ifndef TUNNEL_UNDERLAY_LINUX_TRANSPORT_FOR_TEST_H_
#define TUNNEL_UNDERLAY_LINUX_TRANSPORT_FOR_TEST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "encap/address.h"
#include "tunnel/netlink/netns_for_test.h"
#include "tunnel/underlay/linux_transport.h"

namespace tunnel {

using Bytes = std::vector<uint8_t>;

encap::IpAddress Address(const std::string& text);

// An outer header of `protocol` in front of `payload`; the kernel fills in what
// IP_HDRINCL leaves to it.
Bytes Outer(const std::string& local, const std::string& remote,
            uint8_t protocol, const Bytes& payload);

// GRE with key 42, and an inner IPv4 UDP packet whose source port is `flow`,
// with `text` bytes.
Bytes GreWithKey(uint16_t flow, size_t text = 32);

// Fails unless `got` is `want`, but for the IPv4 fields that the kernel fills
// in.
void ExpectSamePacket(const Bytes& got, Bytes want);

struct Received {
  size_t worker;
  Bytes bytes;
  uint32_t ifindex;
};

class LinuxTransportTest : public NetnsTest {
 protected:
  explicit LinuxTransportTest(
      const LinuxTransportFactory::Options& options = {})
      : factory_(options) {}

  void Open(size_t workers);

  // A veth pair in this namespace; packets to 10.0.0.2 and fd00::2 leave by va
  // (10.0.0.1, fd00::1) and come in by vb.
  void MakeWire();
  // The queue of va holds two or three packets, and hardly any leaves.
  static void ThrottleWire();
  void Neighbour(const std::string& address, const std::string& device,
                 const std::string& other);

  // By worker 0.
  encap::DropReason Send(Bytes bytes, const SendRoute& route);
  encap::DropReason SendTo(const std::string& remote, Bytes bytes);

  // Waits until `n` packets have come in, and a little longer for more.
  std::vector<Received> Receive(size_t n);

  LinuxTransportFactory factory_;
  std::vector<std::unique_ptr<Transport>> workers_;

 private:
  void ReceiveFrom(size_t worker, size_t index, std::vector<Received>& all);
};

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_LINUX_TRANSPORT_FOR_TEST_H_
