#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "ctl/config_file/document.h"

namespace tunnel::ctl {
namespace {

constexpr int kMaxDepth = 32;
constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";

// The code point as UTF-8.
void AppendUtf8(uint32_t code, std::string* out) {
  if (code < 0x80) {
    out->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out->push_back(static_cast<char>(0xc0 | code >> 6));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | code >> 12));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else {
    out->push_back(static_cast<char>(0xf0 | code >> 18));
    out->push_back(static_cast<char>(0x80 | (code >> 12 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3f)));
    out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

class JsonReader {
 public:
  JsonReader(absl::string_view text, SyntaxError* error)
      : text_(text), error_(error) {}

  bool ReadAll(Value* value) {
    if (!Read(value, 0)) return false;
    SkipSpace();
    return text_.empty() || Fail("expected the end of the file");
  }

 private:
  // The next character; '\0' at the end.
  char Next() const { return text_.empty() ? '\0' : text_.front(); }

  void Skip(size_t bytes) {
    for (const char c : text_.substr(0, bytes)) {
      if (c == '\n') {
        ++at_.line;
        at_.column = 1;
      } else if ((c & 0xc0) != 0x80) {  // counts characters, not bytes
        ++at_.column;
      }
    }
    text_.remove_prefix(bytes);
  }

  void SkipSpace() {
    while (Next() == ' ' || Next() == '\t' || Next() == '\n' ||
           Next() == '\r') {
      Skip(1);
    }
  }

  bool Take(char c) {
    SkipSpace();
    if (Next() != c || text_.empty()) return false;
    Skip(1);
    return true;
  }

  bool Fail(absl::string_view message) { return FailAt(at_, message); }

  bool FailAt(Position at, absl::string_view message) {
    error_->at = at;
    error_->message = std::string(message);
    return false;
  }

  bool Expected(absl::string_view what) {
    if (text_.empty()) {
      return Fail(absl::StrCat("expected ", what, " but the file ends"));
    }
    const std::string next =
        Next() == '"' ? "\"" : absl::CHexEscape(text_.substr(0, 1));
    return Fail(absl::StrCat("expected ", what, ", got '", next, "'"));
  }

  bool Read(Value* value, int depth) {
    SkipSpace();
    value->at = at_;
    if (depth > kMaxDepth) return Fail("nested too deeply");
    switch (Next()) {
      case '{':
        return ReadObject(value, depth);
      case '[':
        return ReadArray(value, depth);
      case '"':
        value->kind = Value::Kind::kText;
        return ReadText(&value->text);
      default:
        return ReadScalar(value);
    }
  }

  bool ReadObject(Value* value, int depth) {
    value->kind = Value::Kind::kTable;
    Skip(1);
    if (Take('}')) return true;
    do {
      SkipSpace();
      Member member;
      member.at = at_;
      if (Next() != '"') return Expected("a name in quotes");
      if (!ReadText(&member.name)) return false;
      if (FindMember(*value, member.name) != nullptr) {
        return FailAt(member.at,
                      absl::StrCat("'", member.name, "' is given twice"));
      }
      if (!Take(':')) return Expected("':'");
      if (!Read(&member.value, depth + 1)) return false;
      value->members.push_back(std::move(member));
    } while (Take(','));
    return Take('}') || Expected("',' or '}'");
  }

  bool ReadArray(Value* value, int depth) {
    value->kind = Value::Kind::kList;
    Skip(1);
    if (Take(']')) return true;
    do {
      value->items.emplace_back();
      if (!Read(&value->items.back(), depth + 1)) return false;
    } while (Take(','));
    return Take(']') || Expected("',' or ']'");
  }

  // A number, true, false or null.
  bool ReadScalar(Value* value) {
    size_t length = 0;
    while (length < text_.size() &&
           (absl::ascii_isalnum(text_[length]) || text_[length] == '-' ||
            text_[length] == '+' || text_[length] == '.')) {
      ++length;
    }
    const absl::string_view word = text_.substr(0, length);
    if (word == "true" || word == "false") {
      value->kind = Value::Kind::kBoolean;
      value->boolean = word == "true";
    } else if (word == "null") {
      value->kind = Value::Kind::kNull;
    } else if (!ReadNumber(word, value)) {
      return Expected("a value");
    }
    Skip(length);
    return true;
  }

  static bool ReadNumber(absl::string_view word, Value* value) {
    const absl::string_view digits =
        word.substr(!word.empty() && word.front() == '-' ? 1 : 0);
    if (digits.empty() || !absl::ascii_isdigit(digits.front())) return false;
    if (digits.size() > 1 && digits[0] == '0' && absl::ascii_isdigit(digits[1]))
      return false;
    value->kind = Value::Kind::kInteger;
    if (absl::SimpleAtoi(word, &value->integer)) return true;
    double fraction = 0;
    value->kind = Value::Kind::kOther;
    return absl::SimpleAtod(word, &fraction);
  }

  bool ReadText(std::string* out) {
    Skip(1);
    while (!text_.empty() && Next() != '"') {
      if (static_cast<unsigned char>(Next()) < 0x20) {
        return Fail("a control character in a text");
      }
      if (Next() == '\\') {
        if (!ReadEscape(out)) return false;
      } else {
        out->push_back(Next());
        Skip(1);
      }
    }
    return Take('"') || Fail("a text without its closing quote");
  }

  bool ReadEscape(std::string* out) {
    constexpr absl::string_view kNames = "\"\\/bfnrt";
    constexpr absl::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char name = text_.size() > 1 ? text_[1] : '\0';
    const size_t index = kNames.find(name);
    if (index != absl::string_view::npos) {
      out->push_back(kMeanings[index]);
      Skip(2);
      return true;
    }
    uint32_t code = 0;
    if (!ReadUnit(&code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
      uint32_t low = 0;
      if (!ReadUnit(&low)) return false;
      if (low < 0xdc00 || low > 0xdfff) return Fail("half a surrogate pair");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
      return Fail("half a surrogate pair");
    }
    AppendUtf8(code, out);
    return true;
  }

  // "\uXXXX".
  bool ReadUnit(uint32_t* code) {
    const std::string digits(
        text_.substr(0, 6).substr(std::min<size_t>(2, text_.size())));
    if (text_.substr(0, 2) != "\\u" || digits.size() != 4 ||
        !absl::SimpleHexAtoi(digits, code)) {
      return Fail("an escape that JSON does not have");
    }
    for (const char digit : digits) {
      if (!absl::ascii_isxdigit(static_cast<unsigned char>(digit))) {
        return Fail("an escape that JSON does not have");
      }
    }
    Skip(6);
    return true;
  }

  absl::string_view text_;
  SyntaxError* const error_;
  Position at_{1, 1};
};

}  // namespace

bool ParseJson(absl::string_view text, Value* document, SyntaxError* error) {
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
    text.remove_prefix(kByteOrderMark.size());
  }
  return JsonReader(text, error).ReadAll(document);
}

}  // namespace tunnel::ctl
