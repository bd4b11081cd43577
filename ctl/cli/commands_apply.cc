#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "ctl/cli/change_call.h"
#include "ctl/cli/commands.h"
#include "ctl/cli/config_input.h"
#include "ctl/cli/duration.h"
#include "ctl/cli/json.h"
#include "ctl/cli/outcome.h"
#include "ctl/cli/render_lock.h"
#include "ctl/cli/render_plan.h"
#include "ctl/cli/render_reply.h"
#include "ctl/cli/request.h"
#include "ctl/cli/unheard.h"

namespace tunnel::ctl::cli {
namespace {

int PrintChange(Session& session, const v1::ConfigChange& change) {
  return session.Print(session.json() ? MessageJson(change, session.pretty())
                                      : PlanText(change, session.color()));
}

void HintPending(Session& session, const v1::PendingApply& pending) {
  session.Hint(absl::StrCat(
      PendingText(pending),
      " unless it is confirmed\n  keep it: tunnelctl confirm ", pending.id(),
      "\n  go back now: tunnelctl revert ", pending.id()));
}

int ReportApply(Session& session, const v1::ConfigChange& change) {
  const int exit_code = PrintChange(session, change);
  if (change.replayed()) session.Hint(kReplayed);
  std::string summary = PlanSummary(change);
  if (change.validated_only()) {
    summary = absl::StrCat("dry run: ", summary);
  } else if (!change.no_op() && change.has_lock_hold()) {
    absl::StrAppend(&summary, " in ",
                    DurationText(FromProto(change.lock_hold())));
  }
  session.Hint(summary);
  if (change.has_pending()) HintPending(session, change.pending());
  return exit_code;
}

// The end of an apply that was ended on this side: says what became of it.
int ReportUnheard(Session& session, const v1::ApplyConfigRequest& request,
                  CallError error) {
  const std::string why = DescribeEnd(&error);
  if (request.options().validate_only()) return session.Fail(error);
  v1::ConfigChange change;
  switch (FindApplyOutcome(session.client(), request, &change)) {
    case Outcome::kNotMade:
      return session.Fail(error);
    case Outcome::kMade:
      session.Hint(absl::StrCat("tunnelctl: ", why,
                                " after the commit: the change was made"));
      if (change.has_pending()) HintPending(session, change.pending());
      return session.json() ? PrintChange(session, change) : kExitOk;
    case Outcome::kUnknown:
      error.message = why + "; whether the change was made is not known";
      error.next_step =
          "see what is left to do with 'tunnelctl diff -f FILE', and "
          "'tunnelctl lock show'";
      return session.Fail(error);
  }
  return kExitFailure;
}

// Asks the daemon what `request` would change.
CallError Plan(Session& session, v1::ApplyConfigRequest request,
               v1::ConfigChange* change) {
  request.mutable_options()->set_validate_only(true);
  return CallOnce(session, std::move(request), &Client::Apply, change);
}

// Whether the daemon was not there for this client to ask, so that the file
// alone could be checked.
bool CanNotAsk(const CallError& error) {
  return error.reason == "DAEMON_UNREACHABLE" ||
         error.reason == "SOCKET_PERMISSION" ||
         error.reason == "READ_ONLY_CLIENT" || error.reason == "APPLY_PENDING";
}

// `plan` is that of the daemon; nullptr when it was not asked, for `why`.
int ReportValid(Session& session, const ConfigFile& file,
                const v1::ConfigChange* plan, const std::string& why) {
  if (session.json()) {
    JsonWriter json(session.pretty());
    json.BeginObject();
    json.Key("file").String(file.name);
    json.Key("tunnels").Number(file.tunnels.size());
    json.Key("checked_by_daemon").Bool(plan != nullptr);
    if (plan != nullptr) json.Key("plan").Message(*plan);
    json.EndObject();
    return session.Print(json.Take() + "\n");
  }
  return session.Print(absl::StrCat(
      file.name, ": valid, ", file.tunnels.size(),
      file.tunnels.size() == 1 ? " tunnel; " : " tunnels; ",
      plan != nullptr
          ? absl::StrCat("the daemon agrees (", PlanSummary(*plan), ")")
          : absl::StrCat("the file alone was checked (", why, ")"),
      "\n"));
}

std::string IdOf(const Invocation& invocation) {
  return invocation.operands.empty() ? "" : invocation.operands.front();
}

// The end of confirm and revert.
int FailOnPending(Session& session, CallError error) {
  if (EndedByUs(error)) {
    const std::string why = DescribeEnd(&error);
    error.message = why + "; whether it was done is not known";
    error.next_step = "see 'tunnelctl lock show'";
  } else if (error.reason == "INVALID_STATE") {
    error.next_step = "'tunnelctl lock show' tells what awaits confirmation";
  } else if (error.reason == "DAEMON_UNREACHABLE") {
    error.next_step =
        "when the daemon is back, 'tunnelctl lock show' tells whether it still "
        "awaits confirmation";
  }
  return session.Fail(std::move(error));
}

}  // namespace

int RunApply(Session& session) {
  ConfigFile file;
  CallError error = ReadConfigInput(session.invocation(), &file);
  if (error.ok()) error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  const v1::ApplyConfigRequest request =
      ApplyRequest(session.invocation(), file);
  v1::ConfigChange change;
  error = CallOnce(session, request, &Client::Apply, &change);
  if (error.ok()) return ReportApply(session, change);
  if (EndedByUs(error)) return ReportUnheard(session, request, error);
  if (error.reason == "DAEMON_UNREACHABLE") {
    error.next_step = UnknownOutcomeText(error);
  }
  LocateError(file, &error);
  return session.Fail(error);
}

int RunDiff(Session& session) {
  ConfigFile file;
  CallError error = ReadConfigInput(session.invocation(), &file);
  if (error.ok()) error = session.Connect();
  v1::ConfigChange change;
  if (error.ok()) {
    error = Plan(session, ApplyRequest(session.invocation(), file), &change);
    LocateError(file, &error);
  }
  if (!error.ok()) return session.Fail(error);
  const int exit_code = PrintChange(session, change);
  if (exit_code != kExitOk) return exit_code;
  return change.no_op() ? kExitOk : kExitFailure;
}

int RunValidate(Session& session) {
  ConfigFile file;
  CallError error = ReadConfigInput(session.invocation(), &file);
  if (!error.ok()) return session.Fail(error);
  if (session.invocation().Has("offline")) {
    return ReportValid(session, file, nullptr, "--offline");
  }
  error = session.Connect();
  v1::ConfigChange plan;
  if (error.ok()) {
    error = Plan(session, ApplyRequest(session.invocation(), file), &plan);
  }
  if (error.ok()) return ReportValid(session, file, &plan, "");
  if (CanNotAsk(error)) {
    return ReportValid(session, file, nullptr, error.message);
  }
  LocateError(file, &error);
  return session.Fail(error);
}

int RunConfirm(Session& session) {
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::ConfirmApplyRequest request;
  request.set_id(IdOf(session.invocation()));
  v1::ConfigChange change;
  error = session.client().Confirm(request, session.limits(), &change);
  if (!error.ok()) return FailOnPending(session, error);
  return session.Print(session.json() ? MessageJson(change, session.pretty())
                                      : "confirmed\n");
}

int RunRevert(Session& session) {
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::RevertApplyRequest request;
  FillRequest(session.invocation(), &request);
  request.set_id(IdOf(session.invocation()));
  v1::ConfigChange change;
  error = CallOnce(session, request, &Client::Revert, &change);
  if (!error.ok()) return FailOnPending(session, error);
  return ReportApply(session, change);
}

}  // namespace tunnel::ctl::cli
