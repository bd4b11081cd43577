// JSON text, written piece by piece, and proto3 JSON of messages.

#ifndef CTL_CLI_JSON_H_
#define CTL_CLI_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace tunnel::ctl::cli {

// Writes one JSON value. The caller keeps the order of the grammar: in an
// object each value follows a Key(), and each Begin has its End.
class JsonWriter {
 public:
  // `pretty` puts each member on a line of its own, indented by one space a
  // level; else everything is on one line.
  explicit JsonWriter(bool pretty) : pretty_(pretty) {}

  JsonWriter& BeginObject() { return Begin('{'); }
  JsonWriter& EndObject() { return End('}'); }
  JsonWriter& BeginArray() { return Begin('['); }
  JsonWriter& EndArray() { return End(']'); }
  JsonWriter& Key(absl::string_view name);
  // UTF-8 text; bytes that are no UTF-8 become U+FFFD.
  JsonWriter& String(absl::string_view text);
  JsonWriter& Number(uint64_t value);
  // With three digits behind the point; a finite number.
  JsonWriter& Decimal(double value);
  JsonWriter& Bool(bool value);
  // Proto3 JSON with the field names of the .proto: fields at their default are
  // left out, 64-bit numbers are strings.
  JsonWriter& Message(const google::protobuf::Message& message);

  std::string Take() { return std::move(text_); }

 private:
  JsonWriter& Begin(char bracket);
  JsonWriter& End(char bracket);
  void StartValue();
  void NewLine();

  const bool pretty_;
  std::string text_;
  std::vector<bool> has_members_;  // one a level
  bool after_key_ = false;
};

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_JSON_H_
