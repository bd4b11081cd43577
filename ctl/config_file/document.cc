#include "ctl/config_file/document.h"

namespace tunnel::ctl {

absl::string_view KindText(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kText:
      return "a text";
    case Value::Kind::kInteger:
      return "a number";
    case Value::Kind::kBoolean:
      return "true or false";
    case Value::Kind::kList:
      return "a list";
    case Value::Kind::kTable:
      return "a table";
    case Value::Kind::kOther:
      return "a fraction or a date";
  }
  return "";
}

const Value* FindMember(const Value& table, absl::string_view name) {
  for (const Member& member : table.members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

}  // namespace tunnel::ctl
