#include <toml++/toml.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "ctl/config_file/document.h"

namespace tunnel::ctl {
namespace {

Position ToPosition(const toml::source_region& region) {
  return {static_cast<uint32_t>(region.begin.line),
          static_cast<uint32_t>(region.begin.column)};
}

// toml++ has refused deep nesting before (TOML_MAX_NESTED_VALUES).
Value Convert(const toml::node& node) {
  Value value;
  value.at = ToPosition(node.source());
  value.kind = Value::Kind::kOther;
  if (const auto* text = node.as_string()) {
    value.kind = Value::Kind::kText;
    value.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    value.kind = Value::Kind::kInteger;
    value.integer = integer->get();
  } else if (const auto* boolean = node.as_boolean()) {
    value.kind = Value::Kind::kBoolean;
    value.boolean = boolean->get();
  } else if (const auto* list = node.as_array()) {
    value.kind = Value::Kind::kList;
    for (const toml::node& item : *list) value.items.push_back(Convert(item));
  } else if (const auto* table = node.as_table()) {
    value.kind = Value::Kind::kTable;
    for (const auto& [key, item] : *table) {
      value.members.push_back(
          {ToPosition(key.source()), std::string(key.str()), Convert(item)});
    }
    // The library keeps the order of the names, not that of the file.
    std::stable_sort(
        value.members.begin(), value.members.end(),
        [](const Member& a, const Member& b) { return a.at < b.at; });
  }
  return value;
}

}  // namespace

// The one place with exceptions: those of the library end here.
bool ParseToml(absl::string_view text, Value* document, SyntaxError* error) {
  try {
    *document =
        Convert(toml::parse(std::string_view(text.data(), text.size())));
    return true;
  } catch (const toml::parse_error& problem) {
    error->at = ToPosition(problem.source());
    error->message = std::string(problem.description());
    return false;
  }
}

}  // namespace tunnel::ctl
