// RequestLog: the outcomes of calls with a request_id, so that a repetition
// gets the first one. Read and written by the holder of the configuration lock
// alone.

#ifndef TUNNEL_REQUEST_LOG_H_
#define TUNNEL_REQUEST_LOG_H_

#include <cstddef>
#include <deque>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "tunnel/config_store.h"
#include "tunnel/sync/config_lock.h"

namespace tunnel {

class RequestLog {
 public:
  // Keeps the last `capacity` outcomes.
  explicit RequestLog(size_t capacity = kMaxStoredRequests)
      : capacity_(capacity) {}

  // The outcome of `id`, or nullptr. FIELD_INVALID when it belongs to a request
  // with another fingerprint.
  absl::StatusOr<const ApplyResult*> Find(const ConfigSection&,
                                          const std::string& id,
                                          const std::string& fingerprint) const;
  // The id must be new.
  void Add(const ConfigSection&, StoredRequest request);

 private:
  const size_t capacity_;
  std::map<std::string, StoredRequest> by_id_;
  std::deque<std::string> order_;  // oldest first
};

}  // namespace tunnel

#endif  // TUNNEL_REQUEST_LOG_H_
