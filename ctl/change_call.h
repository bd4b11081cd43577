// How a mutation runs: checked, on a thread of its own, logged and counted.

#ifndef CTL_CHANGE_CALL_H_
#define CTL_CHANGE_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/change_options.h"
#include "ctl/faults.h"
#include "ctl/service_context.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

// One mutation, as a service asks for it. Result is ChangeResult or
// ApplyResult.
template <typename Result>
struct Mutation {
  absl::string_view method;                  // "CreateTunnel"
  std::string name;                          // of the tunnel, as it was written
  const google::protobuf::Message& request;  // lives as long as the call
  const v1::ChangeOptions& options;          // of the request
  OptionRules rules;
  Faults faults;  // of the request so far; those of `options` are added
  // If set: looks at the rest of the request; for what takes longer. Runs where
  // `run` does, and before it.
  std::function<void(Faults&)> check;
  // Runs on a thread that may wait; not called when there are faults.
  std::function<absl::StatusOr<Result>(const CallContext&,
                                       const ChangeOptions&)>
      run;
};

// Checks access and options, runs the change on the pool, logs it, and finishes
// the call with what came of it. Never blocks. The caller's cancel and deadline
// reach the manager as stop token and steady deadline.
grpc::ServerUnaryReactor* StartChange(const ServiceContext& context,
                                      grpc::CallbackServerContext* rpc,
                                      Mutation<ChangeResult> mutation,
                                      v1::TunnelChange* response);
grpc::ServerUnaryReactor* StartChange(const ServiceContext& context,
                                      grpc::CallbackServerContext* rpc,
                                      Mutation<ApplyResult> mutation,
                                      v1::ConfigChange* response);

}  // namespace tunnel::ctl

#endif  // CTL_CHANGE_CALL_H_
