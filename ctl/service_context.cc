#include "ctl/service_context.h"

#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "ctl/rpc_cancel.h"
#include "ctl/status_map.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

constexpr size_t kMaxNameInLog = 32;  // bytes

}  // namespace

CallContext MakeCallContext(const ServiceContext& context,
                            const grpc::CallbackServerContext& rpc,
                            absl::string_view method, absl::string_view name) {
  const PeerDirectory::Peer peer = context.peers.Find(rpc.peer());
  CallContext call;
  call.deadline = SteadyDeadline(rpc.raw_deadline());
  call.uid = peer.uid;
  call.pid = peer.pid;
  call.operation =
      absl::StrCat(method, name.empty() ? "" : " ",
                   absl::CHexEscape(name.substr(0, kMaxNameInLog)));
  return call;
}

absl::Status CheckMayChange(const ServiceContext& context,
                            absl::string_view method) {
  if (context.access == Access::kFull) return absl::OkStatus();
  return MakeError(Reason::kReadOnlyClient,
                   absl::StrCat(method, ": this client may only read"),
                   {{"method", std::string(method)}});
}

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* rpc,
                                    const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = rpc->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace tunnel::ctl
