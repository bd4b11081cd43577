// What the manager stores, as bytes and back. Pure functions.

#ifndef CTL_STORE_RECORD_H_
#define CTL_STORE_RECORD_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tunnel/config_store.h"

namespace tunnel::ctl {

// `kernel` names the running kernel and network namespace: an ifindex that was
// stored under another one comes back as 0, since it means nothing here.
std::string TunnelToBytes(const StoredTunnel& tunnel, absl::string_view kernel);
std::string DeviceToBytes(const StoredDevice& device, absl::string_view kernel);
std::string RequestToBytes(const StoredRequest& request);
std::string PendingToBytes(const StoredPending& pending,
                           absl::string_view kernel);

// Errors: DATA_LOSS for bytes that are none of these, INVALID_ARGUMENT for a
// configuration that Validate() refuses.
absl::StatusOr<StoredTunnel> TunnelFromBytes(const std::string& bytes,
                                             absl::string_view kernel);
absl::StatusOr<StoredDevice> DeviceFromBytes(const std::string& bytes,
                                             absl::string_view kernel);
absl::StatusOr<StoredRequest> RequestFromBytes(const std::string& bytes);
absl::StatusOr<StoredPending> PendingFromBytes(const std::string& bytes,
                                               absl::string_view kernel);

}  // namespace tunnel::ctl

#endif  // CTL_STORE_RECORD_H_
