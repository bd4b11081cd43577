// Faults: all that is wrong with one request, for one answer.

#ifndef CTL_FAULTS_H_
#define CTL_FAULTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {

// Not thread-safe.
class Faults {
 public:
  // `field` as in the API. The reason of the first fault is that of the answer.
  void Add(Reason reason, absl::string_view field,
           absl::string_view description);
  void AddInvalid(absl::string_view field, absl::string_view description) {
    Add(Reason::kFieldInvalid, field, description);
  }

  // Takes over the violations of an INVALID_ARGUMENT, less those of fields that
  // are known as bad already: they follow from the first fault. OK adds
  // nothing.
  void Merge(const absl::Status& status);

  // Takes over all of `part`, which looked at the part of the request that
  // `path` names: its "ttl" becomes "tunnels[3].ttl", its "" the path itself.
  void MergeUnder(absl::string_view path, const Faults& part);

  bool empty() const { return violations_.empty(); }

  // OK when there is none, else one INVALID_ARGUMENT with all of them.
  absl::Status ToStatus() const;

 private:
  bool Has(absl::string_view field) const;

  Reason reason_ = Reason::kFieldInvalid;
  std::vector<FieldViolation> violations_;
};

}  // namespace tunnel::ctl

#endif  // CTL_FAULTS_H_
