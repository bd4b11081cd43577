// EndpointKey: what makes a tunnel unique, and what a received packet is looked
// up by.
//
// "No key" and "key 0" are two keys (RFC 2890). A gif tunnel holds two entries,
// one for each protocol that it receives. In UDP the port stands for them: one
// entry, whatever the mode. A remote that is the unspecified address receives
// from any host.

#ifndef TUNNEL_ENDPOINT_ENDPOINT_KEY_H_
#define TUNNEL_ENDPOINT_ENDPOINT_KEY_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "encap/address.h"
#include "encap/encap_config.h"
#include "encap/outer_parse.h"
#include "encap/wire/udp.h"

namespace tunnel {

struct EndpointKey {
  encap::AddressPair addresses;
  std::optional<uint32_t> key;  // input key, with its presence
  uint32_t ifindex = 0;         // underlay device that it is bound to; 0: any
  uint8_t protocol = 0;         // IP protocol: 4, 41, 47 or 17
  uint16_t udp_port = 0;        // that is received on; 0: not in UDP

  friend bool operator==(const EndpointKey&, const EndpointKey&) = default;

  template <typename H>
  friend H AbslHashValue(H h, const EndpointKey& k) {
    return H::combine(std::move(h), k.addresses.local, k.addresses.remote,
                      k.key.has_value(), k.key.value_or(0), k.ifindex,
                      k.protocol, k.udp_port);
  }
};

// The keys that a tunnel with this config holds: one, or two for kGif in IP.
inline std::vector<EndpointKey> EndpointKeys(const encap::EncapConfig& config,
                                             uint32_t ifindex) {
  EndpointKey key{{config.local, config.remote}, config.input_key, ifindex, 0};
  std::vector<EndpointKey> keys;
  auto add = [&](uint8_t protocol) {
    key.protocol = protocol;
    keys.push_back(key);
  };
  if (config.transport == encap::OuterTransport::kUdp) {
    key.udp_port = encap::UdpPort(config);
    add(encap::kProtoUdp);
    return keys;
  }
  switch (config.mode) {
    case encap::Mode::kGif:
      add(encap::kProtoIpip);
      add(encap::kProtoIpv6);
      break;
    case encap::Mode::kIpip:
      add(encap::kProtoIpip);
      break;
    case encap::Mode::kSit:
    case encap::Mode::kIp6ip6:
      add(encap::kProtoIpv6);
      break;
    case encap::Mode::kGre:
    case encap::Mode::kGretap:
      add(encap::kProtoGre);
      break;
  }
  return keys;
}

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_ENDPOINT_KEY_H_
