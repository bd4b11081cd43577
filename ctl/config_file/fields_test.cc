#include "ctl/config_file/fields.h"

#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/tunnel/v1/tunnel.pb.h"

namespace tunnel::ctl {
namespace {

using google::protobuf::FieldDescriptor;

constexpr int kFirstStatusField = 40;

const FieldDescriptor* Find(absl::string_view name) {
  return v1::Tunnel::descriptor()->FindFieldByName(std::string(name));
}

TEST(Fields, EachHasAFieldOfItsKind) {
  for (const FieldInfo& info : Fields()) {
    const FieldDescriptor* field = Find(info.field);
    ASSERT_NE(field, nullptr) << info.field;
    EXPECT_LT(field->number(), kFirstStatusField) << info.field;
    switch (info.kind) {
      case FieldKind::kText:
        EXPECT_EQ(field->type(), FieldDescriptor::TYPE_STRING);
        break;
      case FieldKind::kTexts:
        EXPECT_EQ(field->type(), FieldDescriptor::TYPE_STRING);
        EXPECT_TRUE(field->is_repeated());
        break;
      case FieldKind::kNumber:
      case FieldKind::kKey:
        EXPECT_EQ(field->type(), FieldDescriptor::TYPE_UINT32) << info.name;
        break;
      case FieldKind::kRate:
        EXPECT_EQ(field->type(), FieldDescriptor::TYPE_UINT64) << info.name;
        break;
      case FieldKind::kSize:
        EXPECT_EQ(field->type(), FieldDescriptor::TYPE_UINT32) << info.name;
        break;
      case FieldKind::kSwitch:
        EXPECT_EQ(field->type(), FieldDescriptor::TYPE_BOOL) << info.name;
        break;
      case FieldKind::kUp:
        EXPECT_EQ(info.field, "admin_state");
        break;
      case FieldKind::kEnum:
        ASSERT_EQ(field->type(), FieldDescriptor::TYPE_ENUM) << info.name;
        for (absl::string_view choice : absl::StrSplit(info.value, '|')) {
          EXPECT_NE(field->enum_type()->FindValueByName(absl::StrCat(
                        info.enum_prefix, absl::AsciiStrToUpper(choice))),
                    nullptr)
              << choice;
        }
        break;
      case FieldKind::kLabels:
        EXPECT_TRUE(field->is_map());
    }
    if (!info.keyword_field.empty()) {
      ASSERT_NE(Find(info.keyword_field), nullptr);
      EXPECT_EQ(Find(info.keyword_field)->type(), FieldDescriptor::TYPE_BOOL);
    }
  }
}

TEST(Fields, EveryFieldOfTheSpecHasAWordOfItsName) {
  for (int i = 0; i < v1::Tunnel::descriptor()->field_count(); ++i) {
    const FieldDescriptor* field = v1::Tunnel::descriptor()->field(i);
    if (field->number() >= kFirstStatusField) continue;
    const FieldInfo* info = FindField(field->name());
    ASSERT_NE(info, nullptr) << field->name();
    EXPECT_EQ(info->name, field->name());
    EXPECT_EQ(info->field, field->name());
  }
}

TEST(Fields, NoWordStandsTwice) {
  std::set<std::string> words;
  for (const FieldInfo& info : Fields()) {
    EXPECT_TRUE(words.insert(std::string(info.name)).second) << info.name;
    if (info.alias.empty()) continue;
    EXPECT_TRUE(words.insert(std::string(info.alias)).second) << info.alias;
  }
}

TEST(Documentation, HasTheRowOfEveryWordAndNoOther) {
  std::ifstream in("docs/config_file.md");
  ASSERT_TRUE(in.is_open());
  std::stringstream text;
  text << in.rdbuf();
  size_t rows = 0;
  for (const FieldInfo& info : Fields()) {
    EXPECT_THAT(text.str(),
                ::testing::HasSubstr(DocumentationRow(info) + "\n"));
  }
  for (absl::string_view line : absl::StrSplit(text.str(), '\n')) {
    rows += absl::StartsWith(line, "| `") ? 1 : 0;
  }
  EXPECT_EQ(rows, Fields().size() + 1) << "and the one of prune";
}

}  // namespace
}  // namespace tunnel::ctl
