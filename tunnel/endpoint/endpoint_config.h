// EndpointConfig: the desired state of one tunnel, as an operator states it.
//
// A plain value. The manager alone turns it into devices, sockets and table
// entries.

#ifndef TUNNEL_ENDPOINT_ENDPOINT_CONFIG_H_
#define TUNNEL_ENDPOINT_ENDPOINT_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "encap/encap_config.h"

namespace tunnel {

// What carries the packets: worker threads behind the TUN device, or the
// kernel's programs below it (tunnel/bpf).
enum class DatapathMode : uint8_t {
  kAuto,  // as the daemon is told to
  kUser,
  kBpf,  // the kernel, as long as nothing around the tunnel is against it
};

// Whether the worker that an inner flow belongs to writes what was received,
// whichever worker has received it.
enum class Steering : uint8_t {
  kAuto,  // where the receive sockets can not spread the flows: Steers()
  kOn,
  kOff,
};

struct EndpointConfig {
  std::string name;          // interface name, 1 to 15 bytes
  encap::EncapConfig encap;  // mode, addresses, keys, ttl, ...
  // Not empty: the local address is the first global one of this interface, of
  // the family of encap.remote, and encap.local is no address.
  std::string local_device;
  std::optional<uint32_t> mtu;  // bytes; nullopt: from the underlay route
  std::string underlay_device;  // "" : any
  uint32_t fwmark = 0;          // 0: none
  std::vector<encap::IpPrefix> addresses;
  uint32_t queues = 0;      // workers that share the output; 0: all
  uint32_t txqueuelen = 0;  // packets; 0: the kernel's default
  // What the output is held to: bits a second of what is read from the device;
  // 0: nothing. Then one worker has the whole output of the tunnel.
  uint64_t rate = 0;
  uint32_t burst = 0;  // bytes that go at once; 0: what `rate` is for 10 ms
  Steering steering = Steering::kAuto;
  bool admin_up = true;
  DatapathMode datapath = DatapathMode::kAuto;
  std::map<std::string, std::string> labels;

  friend bool operator==(const EndpointConfig&,
                         const EndpointConfig&) = default;
};

// What `local` is as text: the address, or "dev:eth0".
std::string LocalText(const EndpointConfig& config);

// What `remote` is as text: the address; of a wildcard "any", which takes the
// family of the local address, or with a local_device "any4" or "any6".
std::string RemoteText(const EndpointConfig& config);

// "auto", "user" or "bpf".
absl::string_view DatapathText(DatapathMode mode);

// Why the kernel's programs carry no tunnel with these fields, in one clause
// ("checksum is on"); empty where they may.
std::string WhyNeverBpf(const EndpointConfig& config);

// What `steering` comes to. The kernel spreads packets of protocol 4, 41 and 47
// over the workers by the inner flow, those in UDP by the outer one; so kAuto
// is on for a tunnel in UDP with a fixed source port, as its peer is taken to
// have one too.
bool Steers(const EndpointConfig& config);

// Limits that Validate() enforces and the documentation states.
inline constexpr size_t kMaxNameLength = 15;
inline constexpr uint32_t kMinMtuV4 = 68;  // RFC 791
inline constexpr uint32_t kMinMtuV6 =
    1280;  // RFC 8200 5; wherever IPv6 is carried
inline constexpr uint32_t kMaxMtu = 65535;
inline constexpr uint32_t kMaxQueues = 256;
inline constexpr uint32_t kMaxTxQueueLen = 65536;  // packets
inline constexpr uint64_t kMinRate = 8'000;        // bits a second
inline constexpr uint64_t kMaxRate = 1'000'000'000'000;
inline constexpr uint32_t kMinBurst = 1500;  // bytes
inline constexpr uint32_t kMaxBurst = 1u << 30;
inline constexpr uint32_t kMinDefaultBurst = 16384;  // where none is given
inline constexpr size_t kMaxAddresses = 64;
inline constexpr size_t kMaxLabels = 64;
inline constexpr size_t kMaxLabelBytes = 256;  // key plus value

// OK, or one error that lists all bad fields at once (FIELD_INVALID,
// FAMILY_MISMATCH or UNKNOWN_MODE, whichever is met first: name, then what
// encap::Validate() finds, then the rest in the order above).
//   name             A-Z a-z 0-9 _ . -; not ".", "..", nor "all" or "default",
//                    which the kernel keeps for itself
//   mtu              from kMinMtuV6 where the mode carries IPv6 alone or an
//                    address is IPv6, else from kMinMtuV4
//   local_device, underlay_device
//                    any name of an interface, but not the tunnel itself; an
//                    address and an interface as local are one too many
//   burst            not without a rate
//   addresses        unicast, each once, of a family that the mode carries
//   datapath         not kBpf where WhyNeverBpf() tells something
//   labels           keys of A-Z a-z 0-9 _ . - /; values UTF-8 without control
//                    characters
absl::Status Validate(const EndpointConfig& config);

// config.burst, or what stands for 0: 10 ms at the rate, and no less than
// kMinDefaultBurst. Bytes.
uint32_t EffectiveBurst(const EndpointConfig& config);

// Version of the spec, `"` quoted, equal exactly for equal configs of one name.
std::string Etag(const EndpointConfig& config);

// Version of many configs, given their etags in the order of their names.
std::string EtagOfAll(const std::vector<std::string>& etags);

// One field that differs. Values in the words of the command line: "gre",
// "inherit", "auto", "true"; "none" for what is absent; lists joined by ",".
// `key` stands for both keys where each config has one key for both directions.
struct FieldDifference {
  std::string field;  // name in the API
  std::string old_value;
  std::string new_value;
};
std::vector<FieldDifference> Diff(const EndpointConfig& from,
                                  const EndpointConfig& to);

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_ENDPOINT_CONFIG_H_
