#include "ctl/apply_request.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ctl/convert.h"
#include "ctl/text/suggest.h"
#include "ctl/update_mask.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

using Configs = TunnelManager::Configs;

absl::Status NotThere(absl::string_view field, const std::string& name,
                      const Configs& configs) {
  std::vector<absl::string_view> known;
  for (const auto& [other, config] : configs) known.push_back(other);
  return MakeError(
      Reason::kTunnelNotFound,
      absl::StrCat(field, ": no tunnel is named \"", absl::CHexEscape(name),
                   "\"", DidYouMean(name, known)),
      {{"name", name},
       {"field", std::string(field)},
       {"closest", Nearest(name, known)}});
}

absl::Status Taken(absl::string_view field, const std::string& name) {
  return MakeError(
      Reason::kNameInUse,
      absl::StrCat(field, ": a tunnel named \"", name, "\" is there"),
      {{"name", name}, {"field", std::string(field)}});
}

// OK unless `tunnel` was read with another etag than it has now (AIP-154).
absl::Status CheckEtag(absl::string_view field, const v1::Tunnel& tunnel,
                       const Configs& current) {
  if (tunnel.etag().empty()) return absl::OkStatus();
  const auto found = current.find(tunnel.name());
  const std::string etag =
      found == current.end() ? std::string() : Etag(found->second);
  if (etag == tunnel.etag()) return absl::OkStatus();
  return MakeError(
      Reason::kEtagMismatch,
      absl::StrCat(field, ": wanted tunnel \"", tunnel.name(), "\" with etag ",
                   tunnel.etag(), ", ",
                   etag.empty() ? "there is none" : "it has " + etag,
                   "; read it again and repeat"),
      {{"name", tunnel.name()},
       {"field", std::string(field)},
       {"etag", etag},
       {"wanted", tunnel.etag()}});
}

// One run over the steps. Bad fields are gathered from all of them; of the
// errors that depend on what is there, the first one counts.
class Steps {
 public:
  explicit Steps(const Configs& current) : configs_(current) {}

  void Take(absl::string_view path, const v1::ConfigOperation& operation) {
    switch (operation.operation_case()) {
      case v1::ConfigOperation::kCreate:
        return Create(absl::StrCat(path, ".create"), operation.create());
      case v1::ConfigOperation::kUpdate:
        return Update(absl::StrCat(path, ".update"), operation.update());
      case v1::ConfigOperation::kDelete:
        return Delete(absl::StrCat(path, ".delete"), operation.delete_());
      case v1::ConfigOperation::OPERATION_NOT_SET:
        faults_.AddInvalid(path, "empty; want create, update or delete");
    }
  }

  absl::StatusOr<Configs> Result() && {
    if (!faults_.empty()) return faults_.ToStatus();
    if (!conflict_.ok()) return conflict_;
    return std::move(configs_);
  }

 private:
  void Create(const std::string& path, const v1::Tunnel& tunnel) {
    Faults faults;
    EndpointConfig config = ConfigFromProto(tunnel, faults);
    faults_.MergeUnder(path, faults);
    if (!faults.empty()) return;
    Conflict(CheckEtag(path, tunnel, configs_));
    const auto [at, added] = configs_.try_emplace(tunnel.name());
    if (!added) return Conflict(Taken(path, tunnel.name()));
    at->second = std::move(config);
  }

  void Update(const std::string& path, const v1::UpdateOperation& update) {
    const v1::Tunnel& tunnel = update.tunnel();
    if (tunnel.name().empty()) {
      faults_.AddInvalid(absl::StrCat(path, ".tunnel.name"), "missing");
      return;
    }
    Conflict(CheckEtag(path, tunnel, configs_));
    const auto found = configs_.find(tunnel.name());
    if (found == configs_.end()) {
      return Conflict(NotThere(path, tunnel.name(), configs_));
    }
    absl::StatusOr<EndpointConfig> config =
        ApplyUpdate(found->second, tunnel, update.update_mask());
    if (config.ok()) {
      found->second = *std::move(config);
      return;
    }
    const std::optional<ErrorDetail> detail = GetErrorDetail(config.status());
    if (!detail || detail->violations.empty()) return Conflict(config.status());
    for (const FieldViolation& violation : detail->violations) {
      const char* part = violation.field == "update_mask" ? "." : ".tunnel.";
      faults_.Add(detail->reason, absl::StrCat(path, part, violation.field),
                  violation.description);
    }
  }

  void Delete(const std::string& path, const std::string& name) {
    if (name.empty()) {
      faults_.AddInvalid(path, "missing name");
    } else if (configs_.erase(name) == 0) {
      Conflict(NotThere(path, name, configs_));
    }
  }

  void Conflict(absl::Status status) {
    if (conflict_.ok()) conflict_ = std::move(status);
  }

  Configs configs_;
  Faults faults_;
  absl::Status conflict_;
};

void CheckForm(const v1::ApplyConfigRequest& request, Faults& faults) {
  const bool state = request.tunnels_size() > 0;
  const bool steps = request.operations_size() > 0;
  if (steps && state) {
    faults.AddInvalid("operations", "given beside tunnels; want one of them");
  } else if (steps && request.prune()) {
    faults.AddInvalid("prune", "goes with tunnels, not with operations");
  } else if (!steps && !state && !request.prune()) {
    faults.AddInvalid("tunnels",
                      "empty; want tunnels or operations, or prune to delete "
                      "every tunnel");
  }
}

void CheckNames(const v1::ApplyConfigRequest& request, Faults& faults) {
  std::map<absl::string_view, int> first;
  for (int i = 0; i < request.tunnels_size(); ++i) {
    const std::string& name = request.tunnels(i).name();
    const auto [at, fresh] = first.emplace(name, i);
    if (fresh || name.empty()) continue;
    faults.AddInvalid(
        absl::StrCat("tunnels[", i, "].name"),
        absl::StrCat("\"", absl::CHexEscape(name), "\" is tunnels[", at->second,
                     "] too; want each name once"));
  }
}

std::string TunnelPath(int i) { return absl::StrCat("tunnels[", i, "]"); }

}  // namespace

ApplyRequest::ApplyRequest(const v1::ApplyConfigRequest& request,
                           const Configs& current, Faults& faults)
    : request_(request) {
  CheckForm(request, faults);
  CheckNames(request, faults);
  desired_.reserve(request.tunnels_size());
  for (int i = 0; i < request.tunnels_size(); ++i) {
    Faults part;
    desired_.push_back(ConfigFromProto(request.tunnels(i), part));
    faults.MergeUnder(TunnelPath(i), part);
  }
  if (request.operations_size() == 0) return;
  const absl::Status status = EditSteps(current).status();
  if (absl::IsInvalidArgument(status)) faults.Merge(status);
}

absl::StatusOr<Configs> ApplyRequest::Edit(const Configs& current) const {
  return request_.operations_size() > 0 ? EditSteps(current)
                                        : EditState(current);
}

absl::StatusOr<Configs> ApplyRequest::EditState(const Configs& current) const {
  Configs next;
  if (!request_.prune()) next = current;
  for (size_t i = 0; i < desired_.size(); ++i) {
    const int index = static_cast<int>(i);
    RETURN_IF_ERROR(
        CheckEtag(TunnelPath(index), request_.tunnels(index), current));
    next.insert_or_assign(desired_[i].name, desired_[i]);
  }
  return next;
}

absl::StatusOr<Configs> ApplyRequest::EditSteps(const Configs& current) const {
  Steps steps(current);
  for (int i = 0; i < request_.operations_size(); ++i) {
    steps.Take(absl::StrCat("operations[", i, "]"), request_.operations(i));
  }
  return std::move(steps).Result();
}

std::string ApplyRequest::PathOf(const std::string& name) const {
  for (int i = 0; i < request_.tunnels_size(); ++i) {
    if (request_.tunnels(i).name() == name) return TunnelPath(i);
  }
  // Of several steps for one tunnel the last one has the final say.
  for (int i = request_.operations_size() - 1; i >= 0; --i) {
    const v1::ConfigOperation& operation = request_.operations(i);
    if (operation.create().name() == name) {
      return absl::StrCat("operations[", i, "].create");
    }
    if (operation.update().tunnel().name() == name) {
      return absl::StrCat("operations[", i, "].update.tunnel");
    }
  }
  return "";
}

absl::Status ApplyRequest::Locate(const absl::Status& status) const {
  std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail || detail->violations.empty()) return status;
  const auto name = detail->metadata.find("name");
  if (name == detail->metadata.end()) return status;
  const std::string path = PathOf(name->second);
  if (path.empty()) return status;
  for (FieldViolation& violation : detail->violations) {
    violation.field = absl::StrCat(path, ".", violation.field);
  }
  return MakeError(detail->reason, status.message(), detail->metadata,
                   std::move(detail->violations));
}

}  // namespace tunnel::ctl
