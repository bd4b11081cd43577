#include "ctl/cli/json.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/type_resolver_util.h"

namespace tunnel::ctl::cli {
namespace {

// Length in bytes of the well-formed UTF-8 sequence at the start of `text`
// (RFC 3629); 0 when there is none.
size_t Utf8Length(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
    if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogates
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) > 0x8f) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void AppendEscaped(std::string* out, char c) {
  switch (c) {
    case '"':
      out->append("\\\"");
      return;
    case '\\':
      out->append("\\\\");
      return;
    case '\n':
      out->append("\\n");
      return;
    case '\t':
      out->append("\\t");
      return;
    case '\r':
      out->append("\\r");
      return;
    default:
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
        absl::StrAppendFormat(out, "\\u%04x", static_cast<unsigned>(c));
      } else {
        out->push_back(c);
      }
  }
}

// Proto3 JSON by way of the wire form, in which maps can be put in the order of
// their keys: the same message always gives the same text.
bool ToJson(const google::protobuf::Message& message, bool pretty,
            std::string* json) {
  namespace util = google::protobuf::util;
  static util::TypeResolver* const resolver =
      util::NewTypeResolverForDescriptorPool(
          "type.googleapis.com",
          google::protobuf::DescriptorPool::generated_pool());
  std::string wire;
  {
    google::protobuf::io::StringOutputStream stream(&wire);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    if (!message.SerializeToCodedStream(&coded)) return false;
  }
  util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = pretty;
  return util::BinaryToJsonString(
             resolver,
             "type.googleapis.com/" + message.GetDescriptor()->full_name(),
             wire, json, options)
      .ok();
}

}  // namespace

JsonWriter& JsonWriter::Begin(char bracket) {
  StartValue();
  text_.push_back(bracket);
  has_members_.push_back(false);
  return *this;
}

JsonWriter& JsonWriter::End(char bracket) {
  const bool had_members = has_members_.back();
  has_members_.pop_back();
  if (had_members) NewLine();
  text_.push_back(bracket);
  return *this;
}

JsonWriter& JsonWriter::Key(absl::string_view name) {
  String(name);
  text_.append(pretty_ ? ": " : ":");
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::String(absl::string_view text) {
  StartValue();
  text_.push_back('"');
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (length == 0) {
      text_.append("\\ufffd");
    } else if (length == 1) {
      AppendEscaped(&text_, text.front());
    } else {
      text_.append(text.data(), length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  text_.push_back('"');
  return *this;
}

JsonWriter& JsonWriter::Number(uint64_t value) {
  StartValue();
  absl::StrAppend(&text_, value);
  return *this;
}

JsonWriter& JsonWriter::Decimal(double value) {
  StartValue();
  absl::StrAppendFormat(&text_, "%.3f", value);
  return *this;
}

JsonWriter& JsonWriter::Bool(bool value) {
  StartValue();
  text_.append(value ? "true" : "false");
  return *this;
}

JsonWriter& JsonWriter::Message(const google::protobuf::Message& message) {
  StartValue();
  std::string json;
  // Fails only for a malformed Any or Timestamp; the object is then empty.
  if (!ToJson(message, pretty_, &json)) json = "{}";
  absl::string_view rest = absl::StripSuffix(json, "\n");
  const std::string indent(has_members_.size(), ' ');
  for (size_t end; (end = rest.find('\n')) != absl::string_view::npos;) {
    absl::StrAppend(&text_, rest.substr(0, end + 1), indent);
    rest.remove_prefix(end + 1);
  }
  absl::StrAppend(&text_, rest);
  return *this;
}

void JsonWriter::StartValue() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (has_members_.empty()) return;
  if (has_members_.back()) text_.push_back(',');
  has_members_.back() = true;
  NewLine();
}

void JsonWriter::NewLine() {
  if (!pretty_) return;
  text_.push_back('\n');
  text_.append(has_members_.size(), ' ');
}

}  // namespace tunnel::ctl::cli
