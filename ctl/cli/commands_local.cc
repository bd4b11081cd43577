#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/cli/commands.h"
#include "ctl/cli/completion.h"
#include "ctl/cli/explain.h"
#include "ctl/cli/help.h"
#include "ctl/cli/json.h"
#include "ctl/text/suggest.h"
#include "ctl/version.h"

namespace tunnel::ctl::cli {
namespace {

constexpr absl::string_view kApiVersion = "tunnel.v1";

}  // namespace

int RunHelp(Session& session) {
  const std::vector<std::string>& words = session.invocation().operands;
  if (words.empty()) return session.Print(GeneralHelp());
  const std::string name = absl::StrJoin(words, " ");
  const CommandInfo* command = FindCommand(name);
  if (command != nullptr) return session.Print(CommandHelp(*command));
  std::string text;
  std::vector<absl::string_view> names;
  for (const CommandInfo& info : Commands()) {
    names.push_back(info.name);
    // `help lock`: all commands that begin so.
    if (info.name.size() > name.size() && info.name[name.size()] == ' ' &&
        info.name.substr(0, name.size()) == name) {
      absl::StrAppend(&text, text.empty() ? "" : "\n", CommandHelp(info));
    }
  }
  if (!text.empty()) return session.Print(text);
  return session.Fail(UsageError(
      absl::StrCat("unknown command '", name, "'", DidYouMean(name, names)),
      "'tunnelctl help' lists the commands"));
}

int RunVersion(Session& session) {
  if (!session.json()) {
    return session.Print(
        absl::StrCat("tunnelctl ", kVersion, " (API ", kApiVersion, ")\n"));
  }
  JsonWriter json(session.pretty());
  json.BeginObject();
  json.Key("version").String(kVersion);
  json.Key("api").String(kApiVersion);
  json.EndObject();
  return session.Print(json.Take() + "\n");
}

int RunCompletion(Session& session) {
  const std::string& shell = session.invocation().operands.front();
  if (shell == "bash") return session.Print(BashCompletion());
  return session.Fail(
      UsageError(absl::StrCat("no completion for shell '", shell, "'"),
                 "the shell that is known is bash"));
}

int RunExplain(Session& session) {
  std::vector<Explanation> found;
  std::string text;
  if (session.invocation().operands.empty()) {
    found = AllExplanations();
    for (const Explanation& explanation : found) {
      absl::StrAppend(&text, explanation.reason, "  ", explanation.text, "\n");
    }
  } else {
    const std::string& reason = session.invocation().operands.front();
    Explanation explanation;
    std::string nearest;
    if (!Explain(reason, &explanation, &nearest)) {
      return session.Fail(UsageError(
          absl::StrCat("unknown reason '", reason, "'",
                       nearest.empty()
                           ? ""
                           : absl::StrCat("; did you mean '", nearest, "'?")),
          "'tunnelctl explain' lists the reasons"));
    }
    text = ExplanationText(explanation);
    found.push_back(explanation);
  }
  if (session.json()) text = ExplanationJson(found, session.pretty());
  return session.Print(text);
}

}  // namespace tunnel::ctl::cli
