// Between the values of the C interface and those of C++.

#ifndef ENCAP_C_CONVERT_H_
#define ENCAP_C_CONVERT_H_

#include <optional>

#include "encap/c/encap.h"
#include "encap/encap_config.h"
#include "encap/outer_parse.h"
#include "encap/packet.h"
#include "encap/reassembly.h"

namespace encap::c {

// ENCAP_TOO_NEW or ENCAP_INVALID (a number that stands for nothing); what the
// fields say together is for Validate().
encap_status ToConfig(const encap_config& from, EncapConfig& to);
// The same, and Validate().
encap_status ToValidConfig(const encap_config& from, EncapConfig& to);

// nullopt for an impossible family.
std::optional<IpAddress> ToAddress(const encap_address& from) noexcept;
encap_address FromAddress(const IpAddress& from) noexcept;

PacketBuffer ToPacket(const encap_packet& from) noexcept;
// Writes the extent and the hint of `from`, which is in the same storage.
void Update(const PacketBuffer& from, encap_packet& to) noexcept;

OuterInfo ToOuter(const encap_outer& from) noexcept;
encap_outer FromOuter(const OuterInfo& from) noexcept;

ParseOptions ToParseOptions(uint32_t flags) noexcept;
// ENCAP_TOO_NEW.
encap_status ToReassemblyOptions(const encap_reassembly_options& from,
                                 ReassemblyOptions& to);

}  // namespace encap::c

#endif  // ENCAP_C_CONVERT_H_
