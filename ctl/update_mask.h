// Update masks (AIP-134): which fields of a patch go into the current tunnel.

#ifndef CTL_UPDATE_MASK_H_
#define CTL_UPDATE_MASK_H_

#include <google/protobuf/field_mask.pb.h>

#include "absl/status/statusor.h"
#include "proto/tunnel/v1/tunnel.pb.h"
#include "tunnel/endpoint/endpoint_config.h"

namespace tunnel::ctl {

// `current` with the fields of `patch` that `mask` names. Pure.
//   no mask     the populated fields of `patch`
//   "*"         the whole spec; must stand alone
//   a field     its value; its default when it is not set in `patch`
//   labels.KEY  that label; removed when `patch` does not have it
// "key" stands for both directions: it replaces input_key and output_key, which
// a mask may then set again. "ttl" and "ttl_inherit" are one choice. The name
// and output-only fields are ignored (AIP-203).
// Errors: FIELD_INVALID, with every unknown path and every bad field; those of
// Validate().
absl::StatusOr<EndpointConfig> ApplyUpdate(
    const EndpointConfig& current, const v1::Tunnel& patch,
    const google::protobuf::FieldMask& mask);

}  // namespace tunnel::ctl

#endif  // CTL_UPDATE_MASK_H_
