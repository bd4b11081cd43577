// Document: what TOML and JSON have in common, with the place of everything.

#ifndef CTL_CONFIG_FILE_DOCUMENT_H_
#define CTL_CONFIG_FILE_DOCUMENT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tunnel::ctl {

// Where something begins, both from 1, columns in characters. Line 0 is no
// place.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;

  friend bool operator==(const Position&, const Position&) = default;
  friend bool operator<(const Position& a, const Position& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
  }
};

struct Member;

struct Value {
  enum class Kind : uint8_t {
    kNull,
    kText,
    kInteger,
    kBoolean,
    kList,
    kTable,
    kOther,  // floating point, dates: nothing of ours has such a value
  };

  Kind kind = Kind::kNull;
  Position at;
  std::string text;  // UTF-8
  int64_t integer = 0;
  bool boolean = false;
  std::vector<Value> items;     // kList
  std::vector<Member> members;  // kTable; every name once
};

struct Member {
  Position at;  // of the name
  std::string name;
  Value value;
};

// "a number", "a list"; for messages.
absl::string_view KindText(Value::Kind kind);

// The member of this name; nullptr when there is none or `table` is no table.
const Value* FindMember(const Value& table, absl::string_view name);

// Where and why a text could not be read.
struct SyntaxError {
  Position at;
  std::string message;
};

// Each reads all of `text` into a table (JSON: or a list). False with the first
// error. A byte order mark is passed over.
bool ParseToml(absl::string_view text, Value* document, SyntaxError* error);
// RFC 8259, and no name twice in one object. At most 32 levels.
bool ParseJson(absl::string_view text, Value* document, SyntaxError* error);

}  // namespace tunnel::ctl

#endif  // CTL_CONFIG_FILE_DOCUMENT_H_
