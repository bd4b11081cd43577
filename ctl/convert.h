// Tunnel messages to configurations and back. Pure functions.
//
// A message may come from anywhere: whatever it holds ends as a configuration
// that Validate() accepts or as one error that lists all bad fields.

#ifndef CTL_CONVERT_H_
#define CTL_CONVERT_H_

#include "absl/status/statusor.h"
#include "ctl/faults.h"
#include "proto/tunnel/v1/tunnel.pb.h"
#include "tunnel/endpoint/endpoint_config.h"
#include "tunnel/tunnel_types.h"

namespace tunnel::ctl {

// The spec of `tunnel` as a valid configuration; output-only fields are
// ignored. Errors: FIELD_INVALID, FAMILY_MISMATCH, UNKNOWN_MODE.
absl::StatusOr<EndpointConfig> ConfigFromProto(const v1::Tunnel& tunnel);

// The same for a caller that has found faults of its own: `faults` gets what is
// wrong, and the result is good only when it has stayed empty.
EndpointConfig ConfigFromProto(const v1::Tunnel& tunnel, Faults& faults);

// The spec, normalised: defaults are written out (ttl, df, ecn, admin_state),
// equal keys of both directions become `key`, a wildcard remote is "any",
// "any4" or "any6".
v1::Tunnel SpecToProto(const EndpointConfig& config);

// Spec and status.
v1::Tunnel ViewToProto(const TunnelView& view);

v1::FieldChange DifferenceToProto(const FieldDifference& difference);

}  // namespace tunnel::ctl

#endif  // CTL_CONVERT_H_
