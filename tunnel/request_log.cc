#include "tunnel/request_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel {

absl::StatusOr<const ApplyResult*> RequestLog::Find(
    const ConfigSection&, const std::string& id,
    const std::string& fingerprint) const {
  const auto it = by_id_.find(id);
  if (it == by_id_.end()) return nullptr;
  if (it->second.fingerprint == fingerprint) return &it->second.result;
  return MakeError(
      Reason::kFieldInvalid,
      absl::StrCat("request_id ", id,
                   " belongs to another request that was committed; use a new "
                   "one for each request"),
      {{"request_id", id}},
      {{"options.request_id", "was used for another request"}});
}

void RequestLog::Add(const ConfigSection&, StoredRequest request) {
  std::string id = request.id;
  if (!by_id_.emplace(id, std::move(request)).second) return;
  order_.push_back(std::move(id));
  if (order_.size() <= capacity_) return;
  by_id_.erase(order_.front());
  order_.pop_front();
}

}  // namespace tunnel
