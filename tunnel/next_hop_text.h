// NextHopText: where the packets of a tunnel go on the link, for people.

#ifndef TUNNEL_NEXT_HOP_TEXT_H_
#define TUNNEL_NEXT_HOP_TEXT_H_

#include <string>

#include "tunnel/tunnel_types.h"

namespace tunnel {

// "52:54:00:12:34:56 dev eth0"; empty while the kernel finds the way for each
// packet, or carries them all. In the network namespace of the tunnels.
std::string NextHopText(const TunnelView& view);

}  // namespace tunnel

#endif  // TUNNEL_NEXT_HOP_TEXT_H_
