// Platform: what a TunnelManager needs from the machine. LinuxPlatform is the
// real one; tests bring devices and wires in memory.

#ifndef TUNNEL_PLATFORM_H_
#define TUNNEL_PLATFORM_H_

#include "tunnel/bpf/fast_path.h"
#include "tunnel/netlink/link_control.h"
#include "tunnel/tun/tun_device.h"
#include "tunnel/underlay/transport.h"

namespace tunnel {

struct Platform {
  TunFactory& tun;
  TransportFactory& transport;
  LinkControl& links;
  FastPath* fast = nullptr;  // nullptr: the workers carry all packets
};

}  // namespace tunnel

#endif  // TUNNEL_PLATFORM_H_
