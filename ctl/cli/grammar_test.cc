#include "ctl/cli/grammar.h"

#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// The request that a command fills; nullptr for those that fill none.
const Descriptor* RequestOf(Verb verb) {
  switch (verb) {
    case Verb::kCreate:
      return v1::CreateTunnelRequest::descriptor();
    case Verb::kSet:
    case Verb::kUp:
    case Verb::kDown:
      return v1::UpdateTunnelRequest::descriptor();
    case Verb::kDelete:
      return v1::DeleteTunnelRequest::descriptor();
    case Verb::kPause:
      return v1::PauseTunnelRequest::descriptor();
    case Verb::kResume:
      return v1::ResumeTunnelRequest::descriptor();
    case Verb::kDetach:
      return v1::DetachEndpointRequest::descriptor();
    case Verb::kAttach:
      return v1::AttachEndpointRequest::descriptor();
    case Verb::kApply:
    case Verb::kDiff:
    case Verb::kValidate:
      return v1::ApplyConfigRequest::descriptor();
    case Verb::kRevert:
      return v1::RevertApplyRequest::descriptor();
    default:
      return nullptr;
  }
}

const FieldDescriptor* FieldOf(const Descriptor* message,
                               absl::string_view path) {
  const FieldDescriptor* field = nullptr;
  for (absl::string_view name : absl::StrSplit(path, '.')) {
    if (message == nullptr) return nullptr;
    field = message->FindFieldByName(std::string(name));
    if (field == nullptr) return nullptr;
    message = field->message_type();
  }
  return field;
}

bool FitsKind(const WordInfo& word, const FieldDescriptor& field) {
  switch (word.kind) {
    case ValueKind::kSwitch:
      return field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL;
    case ValueKind::kConstant:
    case ValueKind::kEnum:
      return field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM;
    case ValueKind::kText:
      return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
             !field.is_repeated();
    case ValueKind::kList:
      return field.cpp_type() == FieldDescriptor::CPPTYPE_STRING &&
             field.is_repeated();
    case ValueKind::kNumber:
    case ValueKind::kKey:
      return field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32;
    case ValueKind::kRate:
      return field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
    case ValueKind::kSize:
      return field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32;
    case ValueKind::kDuration:
      return field.message_type() != nullptr &&
             field.message_type()->full_name() == "google.protobuf.Duration";
    case ValueKind::kLabel:
    case ValueKind::kLabelKey:
      return field.is_map();
    case ValueKind::kUnset:
      return true;
    case ValueKind::kChoice:
      return false;
  }
  return false;
}

TEST(Grammar, CommandsStandInTheOrderOfTheirVerbs) {
  for (size_t i = 0; i < Commands().size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(Commands()[i].verb), i) << Commands()[i].name;
  }
}

TEST(Grammar, EveryFieldPathNamesAFieldOfItsKindInEachRequest) {
  for (const WordInfo& word : Words()) {
    if (word.field.empty()) continue;
    int commands = 0;
    for (const CommandInfo& command : Commands()) {
      if (!Takes(command, word)) continue;
      ++commands;
      const Descriptor* request = RequestOf(command.verb);
      ASSERT_NE(request, nullptr) << word.name << " of " << command.name;
      const FieldDescriptor* field = FieldOf(request, word.field);
      ASSERT_NE(field, nullptr) << word.field << " of " << command.name;
      EXPECT_TRUE(FitsKind(word, *field)) << word.name;
      if (word.keyword_field.empty()) continue;
      const FieldDescriptor* keyword = FieldOf(request, word.keyword_field);
      ASSERT_NE(keyword, nullptr) << word.keyword_field;
      EXPECT_EQ(keyword->cpp_type(), FieldDescriptor::CPPTYPE_BOOL);
    }
    EXPECT_GT(commands, 0) << word.name;
  }
}

TEST(Grammar, EveryChoiceNamesAnEnumeratorAndEveryEnumeratorIsAChoice) {
  for (const WordInfo& word : Words()) {
    if (word.kind != ValueKind::kEnum) continue;
    const auto* type =
        FieldOf(v1::CreateTunnelRequest::descriptor(), word.field)->enum_type();
    for (absl::string_view choice : Choices(word)) {
      EXPECT_NE(type->FindValueByName(absl::StrCat(
                    word.enum_prefix, absl::AsciiStrToUpper(choice))),
                nullptr)
          << word.name << " " << choice;
    }
    // Less the one for "not given".
    EXPECT_EQ(Choices(word).size(),
              static_cast<size_t>(type->value_count() - 1))
        << word.name;
  }
}

// A field of the schema that no word can set can not be used from the shell.
TEST(Grammar, EveryFieldOfTheSpecHasAWord) {
  std::set<std::string> words;
  for (const WordInfo& word : Words()) {
    words.insert(std::string(word.field));
    words.insert(std::string(word.keyword_field));
  }
  const Descriptor* tunnel = v1::Tunnel::descriptor();
  for (int i = 0; i < tunnel->field_count(); ++i) {
    const FieldDescriptor* field = tunnel->field(i);
    if (field->number() >= 40 || field->name() == "name") continue;
    EXPECT_TRUE(words.contains("tunnel." + field->name())) << field->name();
  }
}

TEST(Grammar, EveryMutationTakesTheOptionsOfChanges) {
  for (const CommandInfo& command : Commands()) {
    if (!IsMutation(command.verb)) continue;
    EXPECT_NE(FindWord(command, "wait"), nullptr) << command.name;
    if (command.verb == Verb::kConfirm) continue;  // has nothing to check first
    EXPECT_NE(FindWord(command, "request-id"), nullptr) << command.name;
    EXPECT_NE(FindWord(command, "dry-run"), nullptr) << command.name;
    EXPECT_NE(FindWord(command, "lock-timeout"), nullptr) << command.name;
    EXPECT_EQ(FindWord(command, "if-match") != nullptr,
              command.verb != Verb::kCreate)
        << command.name;
  }
}

TEST(Grammar, NoCommandHasTwoWordsOfOneName) {
  for (const CommandInfo& command : Commands()) {
    std::set<std::string> names;
    std::set<char> flags;
    for (const WordInfo& word : Words()) {
      if (!Takes(command, word)) continue;
      EXPECT_TRUE(names.insert(std::string(word.name)).second) << word.name;
      if (word.short_flag == 0) continue;
      EXPECT_TRUE(flags.insert(word.short_flag).second) << word.short_flag;
    }
  }
}

// The parser looks for the command before it knows whose flags stand before it.
TEST(Grammar, FlagsOfOneSpellingAgreeOnTheirValue) {
  for (const WordInfo& a : Words()) {
    for (const WordInfo& b : Words()) {
      const bool same = a.name == b.name ||
                        (a.short_flag != 0 && a.short_flag == b.short_flag);
      if (same && a.flag_only && b.flag_only) {
        EXPECT_EQ(WantsValue(a), WantsValue(b)) << a.name;
      }
    }
  }
}

TEST(Grammar, AliasesFindTheirCommand) {
  EXPECT_EQ(FindCommand("add"), FindCommand("create"));
  EXPECT_EQ(FindCommand("del"), FindCommand("delete"));
  EXPECT_EQ(FindCommand("list"), FindCommand("show"));
  EXPECT_EQ(FindCommand(""), nullptr);
  EXPECT_EQ(FindCommand("aplly"), nullptr);
}

}  // namespace
}  // namespace tunnel::ctl::cli
