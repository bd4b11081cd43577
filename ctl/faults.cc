#include "ctl/faults.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tunnel::ctl {

void Faults::Add(Reason reason, absl::string_view field,
                 absl::string_view description) {
  if (violations_.empty()) reason_ = reason;
  violations_.push_back({std::string(field), std::string(description)});
}

bool Faults::Has(absl::string_view field) const {
  return std::any_of(violations_.begin(), violations_.end(),
                     [&](const FieldViolation& v) { return v.field == field; });
}

void Faults::Merge(const absl::Status& status) {
  if (status.ok()) return;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail || detail->violations.empty()) {
    AddInvalid("", std::string(status.message()));
    return;
  }
  // A field may have several faults of its own: look only at those from before.
  std::vector<FieldViolation> fresh;
  for (const FieldViolation& violation : detail->violations) {
    if (!Has(violation.field)) fresh.push_back(violation);
  }
  for (const FieldViolation& violation : fresh) {
    Add(detail->reason, violation.field, violation.description);
  }
}

void Faults::MergeUnder(absl::string_view path, const Faults& part) {
  for (const FieldViolation& violation : part.violations_) {
    Add(part.reason_,
        absl::StrCat(path, violation.field.empty() ? "" : ".", violation.field),
        violation.description);
  }
}

absl::Status Faults::ToStatus() const {
  if (violations_.empty()) return absl::OkStatus();
  const std::string list =
      absl::StrJoin(violations_, "; ", [](std::string* out, const auto& v) {
        absl::StrAppend(out, v.field, v.field.empty() ? "" : ": ",
                        v.description);
      });
  const std::string message =
      violations_.size() == 1
          ? list
          : absl::StrCat(violations_.size(), " fields are wrong: ", list);
  return MakeError(reason_, message, {}, violations_);
}

}  // namespace tunnel::ctl
