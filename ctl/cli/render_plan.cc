#include "ctl/cli/render_plan.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/cli/render.h"
#include "ctl/cli/render_reply.h"

namespace tunnel::ctl::cli {
namespace {

using tunnel::v1::TunnelChange;

std::string Sign(absl::string_view sign, absl::string_view color_code,
                 bool color) {
  if (!color) return std::string(sign);
  return absl::StrCat("\033[", color_code, "m", sign, "\033[0m");
}

// What the heading of a tunnel says already.
bool IsOfHeading(absl::string_view field) {
  return field == "name" || field == "mode" || field == "local" ||
         field == "remote" || field == "key" || field == "input_key" ||
         field == "output_key";
}

std::string Heading(const TunnelChange& change) {
  return absl::StrCat(change.tunnel().name(), " ",
                      ModeText(change.tunnel().mode()), " ",
                      IdentityText(change.tunnel()));
}

std::string TunnelText(const TunnelChange& change, bool color) {
  std::string text;
  switch (change.action()) {
    case tunnel::v1::CREATED:
      text = absl::StrCat(Sign("+", "32", color), " ", Heading(change),
                          CostText("in", change), "\n");
      for (const auto& field : change.changes()) {
        if (IsOfHeading(field.field())) continue;
        absl::StrAppend(&text, "    ", field.field(), " ",
                        ValueText(field.new_value()), "\n");
      }
      return text;
    case tunnel::v1::UPDATED:
      text = absl::StrCat(Sign("~", "33", color), " ", change.tunnel().name(),
                          CostText("paused", change), "\n");
      for (const auto& field : change.changes()) {
        absl::StrAppend(&text, "    ", field.field(), " ",
                        ValueText(field.old_value()), " -> ",
                        ValueText(field.new_value()), "\n");
      }
      return text;
    case tunnel::v1::DELETED:
      return absl::StrCat(Sign("-", "31", color), " ", Heading(change),
                          CostText("in", change), "\n");
    default:
      return "";
  }
}

}  // namespace

std::string PlanText(const tunnel::v1::ConfigChange& change, bool color) {
  std::string text;
  for (const TunnelChange& tunnel : change.changes()) {
    absl::StrAppend(&text, TunnelText(tunnel, color));
  }
  return text;
}

std::string PlanSummary(const tunnel::v1::ConfigChange& change) {
  const struct {
    tunnel::v1::ChangeAction action;
    absl::string_view text;
  } kinds[] = {{tunnel::v1::CREATED, "created"},
               {tunnel::v1::UPDATED, "changed"},
               {tunnel::v1::DELETED, "deleted"}};
  std::vector<std::string> parts;
  for (const auto& kind : kinds) {
    int count = 0;
    for (const TunnelChange& tunnel : change.changes()) {
      count += tunnel.action() == kind.action ? 1 : 0;
    }
    if (count > 0) parts.push_back(absl::StrCat(count, " ", kind.text));
  }
  return parts.empty() ? "nothing to change" : absl::StrJoin(parts, ", ");
}

}  // namespace tunnel::ctl::cli
