// A call that changes something, made once even if its reply is lost.

#ifndef CTL_CLI_CHANGE_CALL_H_
#define CTL_CLI_CHANGE_CALL_H_

#include "ctl/cli/interrupt.h"
#include "ctl/cli/request_id.h"
#include "ctl/cli/session.h"

namespace tunnel::ctl::cli {

// Makes the call with a request id: that of the command line, else a new one.
// When the connection breaks, the same request is sent once more to the daemon
// that comes back, which answers with the first outcome if there was one. An
// error DAEMON_UNREACHABLE has the id in its metadata `request_id`.
template <typename Request, typename Reply>
CallError CallOnce(Session& session, Request request,
                   Client::Method<Request, Reply> method, Reply* reply) {
  const bool dry_run = request.options().validate_only();
  if (!dry_run && request.options().request_id().empty()) {
    request.mutable_options()->set_request_id(NewRequestId());
  }
  CallError error =
      (session.client().*method)(request, session.limits(), reply);
  if (error.reason != "DAEMON_UNREACHABLE" || Interrupt::Get().seen()) {
    return error;
  }
  if (session.Reconnect()) {
    reply->Clear();
    error = (session.client().*method)(request, session.limits(), reply);
  }
  if (error.reason == "DAEMON_UNREACHABLE" && !dry_run) {
    error.metadata["request_id"] = request.options().request_id();
  }
  return error;
}

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_CHANGE_CALL_H_
