#include "ctl/tunnel_service.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ctl/change_call.h"
#include "ctl/convert.h"
#include "ctl/convert_reply.h"
#include "ctl/update_mask.h"
#include "ctl/watch_call.h"
#include "ctl/wire_time.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

// A page token is this and the last name of the page before.
constexpr absl::string_view kPageTokenPrefix = "after:";

void CheckName(const std::string& name, Faults& faults) {
  if (name.empty()) faults.AddInvalid("name", "missing");
}

// A change that needs nothing but the name.
using NamedChange = absl::StatusOr<ChangeResult> (TunnelManager::*)(
    const CallContext&, absl::string_view, const ChangeOptions&);

template <typename Request>
grpc::ServerUnaryReactor* StartNamed(const ServiceContext& context,
                                     grpc::CallbackServerContext* rpc,
                                     absl::string_view method,
                                     const Request& request, NamedChange change,
                                     v1::TunnelChange* response) {
  Faults faults;
  CheckName(request.name(), faults);
  return StartChange(
      context, rpc,
      Mutation<ChangeResult>{
          .method = method,
          .name = request.name(),
          .request = request,
          .options = request.options(),
          .faults = std::move(faults),
          .run =
              [&manager = context.manager, &request, change](
                  const CallContext& call, const ChangeOptions& options) {
                return (manager.*change)(call, request.name(), options);
              }},
      response);
}

// What a delete that allows a missing tunnel answers when there is none.
ChangeResult NothingDeleted(const std::string& name,
                            const ChangeOptions& options) {
  ChangeResult result;
  result.tunnel.config.name = name;
  result.no_op = true;
  result.validated_only = options.validate_only;
  return result;
}

// The page that starts behind `token`, by name.
void FillPage(const TunnelList& list, absl::string_view after, size_t page_size,
              v1::ListTunnelsResponse& response) {
  const auto behind = [](absl::string_view name, const TunnelView& view) {
    return name < absl::string_view(view.config.name);
  };
  auto next = after.empty()
                  ? list.tunnels.begin()
                  : std::upper_bound(list.tunnels.begin(), list.tunnels.end(),
                                     after, behind);
  while (next != list.tunnels.end() &&
         (page_size == 0 ||
          static_cast<size_t>(response.tunnels_size()) < page_size)) {
    *response.add_tunnels() = ViewToProto(*next++);
  }
  if (next != list.tunnels.end()) {
    response.set_next_page_token(
        absl::StrCat(kPageTokenPrefix, std::prev(next)->config.name));
  }
}

}  // namespace

grpc::ServerUnaryReactor* TunnelServiceImpl::CreateTunnel(
    grpc::CallbackServerContext* rpc, const v1::CreateTunnelRequest* request,
    v1::TunnelChange* response) {
  Faults faults;
  EndpointConfig config = ConfigFromProto(request->tunnel(), faults);
  return StartChange(
      context_, rpc,
      Mutation<ChangeResult>{
          .method = "CreateTunnel",
          .name = request->tunnel().name(),
          .request = *request,
          .options = request->options(),
          .rules = {.if_match = false},
          .faults = std::move(faults),
          .run =
              [this, config = std::move(config)](const CallContext& call,
                                                 const ChangeOptions& options) {
                return context_.manager.CreateTunnel(call, config, options);
              }},
      response);
}

grpc::ServerUnaryReactor* TunnelServiceImpl::GetTunnel(
    grpc::CallbackServerContext* rpc, const v1::GetTunnelRequest* request,
    v1::Tunnel* response) {
  Faults faults;
  CheckName(request->name(), faults);
  if (!faults.empty()) return FinishNow(rpc, faults.ToStatus());
  const absl::StatusOr<TunnelView> view = context_.manager.Get(request->name());
  if (view.ok()) *response = ViewToProto(*view);
  return FinishNow(rpc, view.status());
}

grpc::ServerUnaryReactor* TunnelServiceImpl::ListTunnels(
    grpc::CallbackServerContext* rpc, const v1::ListTunnelsRequest* request,
    v1::ListTunnelsResponse* response) {
  Faults faults;
  absl::string_view after = request->page_token();
  if (request->page_size() < 0) {
    faults.AddInvalid("page_size", absl::StrCat(request->page_size(),
                                                "; want 0 (all) or more"));
  }
  if (!after.empty() && !absl::ConsumePrefix(&after, kPageTokenPrefix)) {
    faults.AddInvalid("page_token", "not one that this service has given out");
  }
  if (!faults.empty()) return FinishNow(rpc, faults.ToStatus());
  const TunnelList list = context_.manager.List();
  response->set_epoch(list.epoch);
  response->set_revision(list.revision);
  response->set_etag(list.etag);
  FillPage(list, after, request->page_size(), *response);
  return FinishNow(rpc, absl::OkStatus());
}

grpc::ServerUnaryReactor* TunnelServiceImpl::UpdateTunnel(
    grpc::CallbackServerContext* rpc, const v1::UpdateTunnelRequest* request,
    v1::TunnelChange* response) {
  Faults faults;
  CheckName(request->tunnel().name(), faults);
  // The etag may stand in the resource, as it was read (AIP-154).
  const std::string& etag = request->tunnel().etag();
  const std::string& if_match = request->options().if_match();
  if (!etag.empty() && !if_match.empty() && etag != if_match) {
    faults.AddInvalid("options.if_match", "differs from tunnel.etag");
  }
  const auto run = [this, request](const CallContext& call,
                                   const ChangeOptions& given) {
    ChangeOptions options = given;
    if (options.if_match.empty()) options.if_match = request->tunnel().etag();
    return context_.manager.UpdateTunnel(
        call, request->tunnel().name(),
        [request](const EndpointConfig& current) {
          return ApplyUpdate(current, request->tunnel(),
                             request->update_mask());
        },
        options);
  };
  return StartChange(context_, rpc,
                     Mutation<ChangeResult>{.method = "UpdateTunnel",
                                            .name = request->tunnel().name(),
                                            .request = *request,
                                            .options = request->options(),
                                            .rules = {.overlap = true},
                                            .faults = std::move(faults),
                                            .run = run},
                     response);
}

grpc::ServerUnaryReactor* TunnelServiceImpl::DeleteTunnel(
    grpc::CallbackServerContext* rpc, const v1::DeleteTunnelRequest* request,
    v1::TunnelChange* response) {
  Faults faults;
  CheckName(request->name(), faults);
  const auto run =
      [this, request](
          const CallContext& call,
          const ChangeOptions& options) -> absl::StatusOr<ChangeResult> {
    auto result = context_.manager.DeleteTunnel(call, request->name(), options);
    if (request->allow_missing() &&
        GetReason(result.status()) == Reason::kTunnelNotFound) {
      return NothingDeleted(request->name(), options);
    }
    return result;
  };
  return StartChange(context_, rpc,
                     Mutation<ChangeResult>{.method = "DeleteTunnel",
                                            .name = request->name(),
                                            .request = *request,
                                            .options = request->options(),
                                            .faults = std::move(faults),
                                            .run = run},
                     response);
}

grpc::ServerUnaryReactor* TunnelServiceImpl::PauseTunnel(
    grpc::CallbackServerContext* rpc, const v1::PauseTunnelRequest* request,
    v1::TunnelChange* response) {
  Faults faults;
  CheckName(request->name(), faults);
  std::optional<std::chrono::milliseconds> max;
  if (request->has_max_duration()) {
    max = DurationFromProto("max_duration", request->max_duration(), faults);
    if (max && max->count() == 0) {
      faults.AddInvalid("max_duration", "0; want more, or absent for no limit");
    }
  }
  const auto run = [this, request, max](const CallContext& call,
                                        const ChangeOptions& options) {
    return context_.manager.Pause(call, request->name(), options, max);
  };
  return StartChange(context_, rpc,
                     Mutation<ChangeResult>{.method = "PauseTunnel",
                                            .name = request->name(),
                                            .request = *request,
                                            .options = request->options(),
                                            .faults = std::move(faults),
                                            .run = run},
                     response);
}

grpc::ServerUnaryReactor* TunnelServiceImpl::ResumeTunnel(
    grpc::CallbackServerContext* rpc, const v1::ResumeTunnelRequest* request,
    v1::TunnelChange* response) {
  return StartNamed(context_, rpc, "ResumeTunnel", *request,
                    &TunnelManager::Resume, response);
}

grpc::ServerUnaryReactor* TunnelServiceImpl::DetachEndpoint(
    grpc::CallbackServerContext* rpc, const v1::DetachEndpointRequest* request,
    v1::TunnelChange* response) {
  return StartNamed(context_, rpc, "DetachEndpoint", *request,
                    &TunnelManager::Detach, response);
}

grpc::ServerUnaryReactor* TunnelServiceImpl::AttachEndpoint(
    grpc::CallbackServerContext* rpc, const v1::AttachEndpointRequest* request,
    v1::TunnelChange* response) {
  return StartNamed(context_, rpc, "AttachEndpoint", *request,
                    &TunnelManager::Attach, response);
}

grpc::ServerWriteReactor<v1::WatchTunnelsResponse>*
TunnelServiceImpl::WatchTunnels(grpc::CallbackServerContext*,
                                const v1::WatchTunnelsRequest* request) {
  return StartWatch(context_, *request);
}

}  // namespace tunnel::ctl
