#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ctl/cli/commands.h"
#include "ctl/cli/render.h"
#include "ctl/cli/render_lock.h"
#include "ctl/cli/render_reply.h"
#include "ctl/config_file/toml_writer.h"

namespace tunnel::ctl::cli {
namespace {

constexpr int kPageSize = 1000;

// All tunnels, page by page.
CallError ListAll(Session& session, std::vector<v1::Tunnel>* tunnels) {
  v1::ListTunnelsRequest request;
  request.set_page_size(kPageSize);
  do {
    v1::ListTunnelsResponse page;
    const CallError error =
        session.client().List(request, session.limits(), &page);
    if (!error.ok()) return error;
    for (v1::Tunnel& tunnel : *page.mutable_tunnels()) {
      tunnels->push_back(std::move(tunnel));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return CallError();
}

std::string Rendered(Session& session, const std::vector<v1::Tunnel>& tunnels) {
  const Setting* output = session.invocation().Find("output");
  if (output != nullptr && output->text == "name") return NamesText(tunnels);
  if (output != nullptr && output->text == "toml") return TomlText(tunnels);
  if (session.json()) return TunnelsJson(tunnels, session.pretty());
  if (session.invocation().Has("details")) {
    return DetailsText(tunnels, session.color());
  }
  return TableText(tunnels, session.color());
}

// Reads "REV" or "EPOCH:REV". False when it is neither.
bool ReadSince(const std::string& text, v1::WatchTunnelsRequest* request) {
  const size_t colon = text.rfind(':');
  uint64_t revision = 0;
  if (!absl::SimpleAtoi(
          colon == std::string::npos ? text : text.substr(colon + 1),
          &revision)) {
    return false;
  }
  request->set_since_revision(revision);
  if (colon != std::string::npos) request->set_epoch(text.substr(0, colon));
  return true;
}

// A revision means nothing without its epoch: that of the daemon's present run.
CallError AddEpoch(Session& session, v1::WatchTunnelsRequest* request) {
  v1::ListTunnelsRequest list;
  list.set_page_size(1);
  v1::ListTunnelsResponse page;
  const CallError error = session.client().List(list, session.limits(), &page);
  if (error.ok()) request->set_epoch(page.epoch());
  return error;
}

}  // namespace

int RunShow(Session& session) {
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  const std::vector<std::string>& names = session.invocation().operands;
  std::vector<v1::Tunnel> tunnels;
  int exit_code = kExitOk;
  if (names.empty()) {
    error = ListAll(session, &tunnels);
    if (!error.ok()) return session.Fail(error);
  }
  for (const std::string& name : names) {
    v1::GetTunnelRequest request;
    request.set_name(name);
    v1::Tunnel tunnel;
    error = session.client().Get(request, session.limits(), &tunnel);
    if (error.ok()) {
      tunnels.push_back(std::move(tunnel));
    } else {
      // The others are shown all the same, unless no call can succeed.
      const int failure = session.Fail(error);
      if (exit_code == kExitOk) exit_code = failure;
      if (error.code != kCodeNotFound) return exit_code;
    }
  }
  if (names.empty() && tunnels.empty()) {
    session.Hint("no tunnels; 'tunnelctl help create' shows how to make one");
  }
  const int printed = session.Print(Rendered(session, tunnels));
  return exit_code != kExitOk ? exit_code : printed;
}

int RunStats(Session& session) {
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::GetStatsRequest request;
  for (const std::string& name : session.invocation().operands) {
    request.add_names(name);
  }
  v1::GetStatsResponse stats;
  error = session.client().GetStats(request, session.limits(), &stats);
  if (!error.ok()) return session.Fail(error);
  if (stats.tunnels().empty()) session.Hint("no tunnels");
  const bool details = session.invocation().Has("details");
  return session.Print(session.json()
                           ? StatsJson(stats, details, session.pretty())
                           : StatsText(stats, details));
}

int RunMetrics(Session& session) {
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::GetMetricsResponse metrics;
  error = session.client().GetMetrics({}, session.limits(), &metrics);
  if (!error.ok()) return session.Fail(error);
  return session.Print(session.json() ? MessageJson(metrics, session.pretty())
                                      : metrics.text());
}

int RunLockShow(Session& session) {
  CallError error = session.Connect();
  if (!error.ok()) return session.Fail(error);
  v1::ConfigLockState lock;
  error = session.client().GetLock({}, session.limits(), &lock);
  if (!error.ok()) return session.Fail(error);
  return session.Print(session.json() ? MessageJson(lock, session.pretty())
                                      : LockText(lock));
}

int RunWatch(Session& session) {
  v1::WatchTunnelsRequest request;
  for (const std::string& name : session.invocation().operands) {
    request.add_names(name);
  }
  const Setting* since = session.invocation().Find("since");
  if (since != nullptr && !ReadSince(since->text, &request)) {
    return session.Fail(
        UsageError(absl::StrCat("--since '", since->text,
                                "' is not a revision or EPOCH:REVISION"),
                   "see 'tunnelctl help watch'"));
  }
  CallError error = session.Connect();
  if (error.ok() && since != nullptr && request.epoch().empty()) {
    error = AddEpoch(session, &request);
  }
  if (!error.ok()) return session.Fail(error);
  int exit_code = kExitOk;
  const auto print = [&](const v1::WatchTunnelsResponse& event) {
    const std::string text = session.json()
                                 ? MessageJson(event, session.pretty())
                                 : EventText(event, session.color());
    if (text.empty()) return !session.out().ReaderGone();
    exit_code = session.Print(text);
    return exit_code == kExitOk && !session.out().ReaderGone();
  };
  error = session.client().Watch(request, session.limits(), print);
  return error.ok() ? exit_code : session.Fail(error);
}

}  // namespace tunnel::ctl::cli
