// A valid EncapConfig out of two bytes of fuzz input.

#ifndef TESTS_FUZZ_FUZZ_CONFIG_H_
#define TESTS_FUZZ_FUZZ_CONFIG_H_

#include <cstdint>

#include "encap/encap_config.h"

namespace encap::fuzz {

// `mode`: bits 0 to 2 mode, bit 3 IPv6 outer, bit 4 input key, bit 5 output
// key, bit 6 checksum, bit 7 sequence (ignored where the mode has none).
// `policy`: bit 0 ttl inherit, bit 1 tos fixed, bits 2 and 3 df, bit 4 ecn, bit
// 5 in UDP, bit 6 without its checksum, or over IPv6 an encapsulation limit,
// bit 7 allowed sources of one prefix. Both keys are 42. Between 192.0.2.1 and
// .2 or 2001:db8::1 and ::2.
EncapConfig ConfigFromBytes(uint8_t mode, uint8_t policy);

// Ends the process with the name of the property that does not hold.
void Require(bool holds, const char* property);

}  // namespace encap::fuzz

#endif  // TESTS_FUZZ_FUZZ_CONFIG_H_
