#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ctl/cli/change_call.h"
#include "ctl/cli/commands.h"
#include "ctl/cli/interrupt.h"
#include "ctl/cli/outcome.h"
#include "ctl/cli/render_reply.h"
#include "ctl/cli/request.h"
#include "ctl/cli/unheard.h"

namespace tunnel::ctl::cli {
namespace {

template <typename Request>
CallError CallByName(Session& session, const std::string& name,
                     Client::Method<Request, v1::TunnelChange> method,
                     v1::TunnelChange* change) {
  Request request;
  FillRequest(session.invocation(), &request);
  request.set_name(name);
  return CallOnce(session, std::move(request), method, change);
}

CallError Mutate(Session& session, const std::string& name,
                 v1::TunnelChange* change) {
  const Invocation& invocation = session.invocation();
  switch (session.verb()) {
    case Verb::kCreate:
      return CallOnce(session, CreateRequest(invocation), &Client::Create,
                      change);
    case Verb::kSet:
      return CallOnce(session, UpdateRequest(invocation), &Client::Update,
                      change);
    case Verb::kUp:
      return CallOnce(session, AdminStateRequest(invocation, v1::ADMIN_UP),
                      &Client::Update, change);
    case Verb::kDown:
      return CallOnce(session, AdminStateRequest(invocation, v1::ADMIN_DOWN),
                      &Client::Update, change);
    case Verb::kDelete:
      return CallByName(session, name, &Client::Delete, change);
    case Verb::kPause:
      return CallByName(session, name, &Client::Pause, change);
    case Verb::kResume:
      return CallByName(session, name, &Client::Resume, change);
    case Verb::kDetach:
      return CallByName(session, name, &Client::Detach, change);
    default:
      return CallByName(session, name, &Client::Attach, change);
  }
}

int ReportChange(Session& session, const std::string& name,
                 v1::TunnelChange change) {
  if (change.tunnel().name().empty()) change.mutable_tunnel()->set_name(name);
  if (change.replayed()) session.Hint(kReplayed);
  return session.Print(session.json() ? MessageJson(change, session.pretty())
                                      : ChangeText(session.verb(), change));
}

// The end of a call that was ended on this side: says what became of the
// change.
int ReportUnheard(Session& session, const std::string& name, absl::Time start,
                  CallError error) {
  const std::string why = DescribeEnd(&error);
  if (session.invocation().Has("dry-run")) return session.Fail(error);
  v1::TunnelChange change;
  switch (FindOutcome(session.client(), session.verb(), name, start,
                      change.mutable_tunnel())) {
    case Outcome::kNotMade:
      return session.Fail(error);
    case Outcome::kMade:
      session.Hint(absl::StrCat("tunnelctl: ", why,
                                " after the commit: the change was made"));
      return ReportChange(session, name, std::move(change));
    case Outcome::kUnknown:
      error.message = why + "; whether the change was made is not known";
      error.next_step = absl::StrCat("see 'tunnelctl show ", name, "'");
      return session.Fail(error);
  }
  return kExitFailure;
}

int MutateOne(Session& session, const std::string& name) {
  const absl::Time start = absl::Now();
  v1::TunnelChange change;
  CallError error = Mutate(session, name, &change);
  if (error.ok()) return ReportChange(session, name, std::move(change));
  if (EndedByUs(error)) return ReportUnheard(session, name, start, error);
  if (error.reason == "DAEMON_UNREACHABLE") {
    error.next_step = UnknownOutcomeText(error);
  }
  return session.Fail(error);
}

// What the table can not say about a command line.
CallError CheckMutation(const Invocation& invocation) {
  const Verb verb = invocation.command->verb;
  if (verb == Verb::kSet &&
      UpdateRequest(invocation).update_mask().paths().empty()) {
    return UsageError("'set' needs at least one word to change",
                      "see 'tunnelctl help set'");
  }
  if (verb == Verb::kDelete && invocation.operands.size() > 1) {
    for (const char* word : {"if-match", "request-id"}) {
      if (!invocation.Has(word)) continue;
      return UsageError(absl::StrCat("--", word, " is of one tunnel"),
                        "delete one tunnel a call");
    }
  }
  return CallError();
}

}  // namespace

int RunMutation(Session& session) {
  CallError error = CheckMutation(session.invocation());
  if (error.ok()) error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  int exit_code = kExitOk;
  for (const std::string& name : session.invocation().operands) {
    const int result = MutateOne(session, name);
    if (exit_code == kExitOk) exit_code = result;
    // The next one would fail alike.
    if (result == kExitInterrupted || result == kExitUnavailable) break;
    if (Interrupt::Get().seen()) break;
  }
  return exit_code;
}

int RunLockInterrupt(Session& session) {
  const std::string& id = session.invocation().operands.front();
  uint64_t number = 0;
  if (!absl::SimpleAtoi(id, &number)) {
    return session.Fail(UsageError(absl::StrCat("'", id, "' is not an ID"),
                                   "'tunnelctl lock show' prints the IDs"));
  }
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::InterruptConfigLockRequest request;
  request.set_id(number);
  v1::InterruptConfigLockResponse reply;
  error = session.client().InterruptLock(request, session.limits(), &reply);
  if (!error.ok()) return session.Fail(error);
  return session.Print(session.json()
                           ? MessageJson(reply, session.pretty())
                           : absl::StrCat("interrupted ", number, "\n"));
}

int RunResizeHandoff(Session& session) {
  const std::string& packets = session.invocation().operands.front();
  v1::ResizeHandoffRequest request;
  uint32_t number = 0;
  if (!absl::SimpleAtoi(packets, &number)) {
    return session.Fail(
        UsageError(absl::StrCat("'", packets, "' is not a number of packets"),
                   "see 'tunnelctl help resize-handoff'"));
  }
  request.set_packets(number);
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::ResizeHandoffResponse reply;
  error = session.client().ResizeHandoff(request, session.limits(), &reply);
  if (!error.ok()) return session.Fail(error);
  return session.Print(
      session.json() ? MessageJson(reply, session.pretty())
                     : absl::StrCat("each ring holds ", reply.packets(),
                                    " packets, ", reply.before(), " before\n"));
}

}  // namespace tunnel::ctl::cli
