// The fast path below the TUN devices: GRE without options or with a key, and
// IP in IP, over IPv4 and IPv6, and both in UDP without a checksum over IPv4.
// tunneld_encap stands at the egress of a
// tunnel's device, tunneld_decap at the ingress of an underlay device.
//
// Whatever is not as usual goes on (TC_ACT_UNSPEC): to other programs and
// filters of the hook, and then to the user path, which is the reference and
// judges it. So nothing is dropped here but what a helper has spoiled.
//
// An element of a hash gives a slot number, the slot an immutable record. A
// hash element may be reused while a program holds it; the record tells whether
// it is the right one.

#include "tunnel/bpf/decap.bpf.h"
#include "tunnel/bpf/encap.bpf.h"
