// UdpPortLease: a UDP port of the transports and of the fast path for as long
// as it lives.

#ifndef TUNNEL_REWIRE_UDP_PORT_LEASE_H_
#define TUNNEL_REWIRE_UDP_PORT_LEASE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/bpf/fast_path.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

class UdpPortLease {
 public:
  // `factory` and `fast` outlive the lease. Made and destroyed by the holder of
  // the configuration lock. Errors: as TransportFactory::TakeUdpPort().
  static absl::StatusOr<std::shared_ptr<const UdpPortLease>> Take(
      TransportFactory& factory, FastPath& fast, const UdpReceivePort& port) {
    RETURN_IF_ERROR(factory.TakeUdpPort(port));
    fast.UseUdpPort(port.port);
    return std::shared_ptr<const UdpPortLease>(
        new UdpPortLease(factory, fast, port));
  }
  ~UdpPortLease() {
    fast_.LeaveUdpPort(port_.port);
    factory_.DropUdpPort(port_);
  }
  UdpPortLease(const UdpPortLease&) = delete;
  UdpPortLease& operator=(const UdpPortLease&) = delete;

  const UdpReceivePort& port() const { return port_; }

 private:
  UdpPortLease(TransportFactory& factory, FastPath& fast,
               const UdpReceivePort& port)
      : factory_(factory), fast_(fast), port_(port) {}

  TransportFactory& factory_;
  FastPath& fast_;
  const UdpReceivePort port_;
};

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_UDP_PORT_LEASE_H_
