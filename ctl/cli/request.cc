#include "ctl/cli/request.h"

#include <cstdlib>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "ctl/cli/duration.h"

namespace tunnel::ctl::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr absl::string_view kTunnelPrefix = "tunnel.";

// The message that holds the last field of `path`, and that field.
Message* Resolve(Message* message, absl::string_view path,
                 const FieldDescriptor** field) {
  const std::vector<std::string> parts = absl::StrSplit(path, '.');
  for (size_t i = 0;; ++i) {
    *field = message->GetDescriptor()->FindFieldByName(parts[i]);
    if (*field == nullptr) std::abort();
    if (i + 1 == parts.size()) return message;
    message = message->GetReflection()->MutableMessage(message, *field);
  }
}

// `field` is that of the keyword where it stands in for the number and has one.
void SetNumber(const Setting& setting, Message* message,
               const FieldDescriptor* field) {
  const google::protobuf::Reflection& fields = *message->GetReflection();
  if (setting.keyword) {
    if (!setting.word->keyword_field.empty())
      fields.SetBool(message, field, true);
    return;
  }
  switch (setting.word->kind) {
    case ValueKind::kRate:
      return fields.SetUInt64(message, field, setting.quantity);
    case ValueKind::kSize:
      return fields.SetUInt32(message, field,
                              static_cast<uint32_t>(setting.quantity));
    default:
      return fields.SetUInt32(message, field, setting.number);
  }
}

void Apply(const Setting& setting, Message* request) {
  const WordInfo& word = *setting.word;
  const bool other_field = setting.keyword && !word.keyword_field.empty();
  const FieldDescriptor* field = nullptr;
  Message* message =
      Resolve(request, other_field ? word.keyword_field : word.field, &field);
  const google::protobuf::Reflection& fields = *message->GetReflection();
  switch (word.kind) {
    case ValueKind::kSwitch:
      fields.SetBool(message, field, true);
      break;
    case ValueKind::kConstant:
      fields.SetEnumValue(message, field, word.constant);
      break;
    case ValueKind::kEnum:
      fields.SetEnumValue(message, field, static_cast<int>(setting.number));
      break;
    case ValueKind::kText:
      fields.SetString(message, field, setting.text);
      break;
    case ValueKind::kList:
      fields.AddString(message, field, setting.text);
      break;
    case ValueKind::kNumber:
    case ValueKind::kKey:
    case ValueKind::kRate:
    case ValueKind::kSize:
      SetNumber(setting, message, field);
      break;
    case ValueKind::kDuration:
      fields.MutableMessage(message, field)
          ->CopyFrom(ToProto(setting.duration));
      break;
    case ValueKind::kUnset:
    case ValueKind::kChoice:
    case ValueKind::kLabel:
    case ValueKind::kLabelKey:
      break;
  }
}

void SetLabels(const Invocation& invocation, tunnel::v1::Tunnel* tunnel) {
  for (const Setting& setting : invocation.settings) {
    if (setting.word->kind == ValueKind::kLabel) {
      (*tunnel->mutable_labels())[setting.label_key] = setting.label_value;
    }
  }
}

}  // namespace

void FillRequest(const Invocation& invocation, Message* request) {
  for (const Setting& setting : invocation.settings) {
    if (!setting.word->field.empty()) Apply(setting, request);
  }
}

tunnel::v1::CreateTunnelRequest CreateRequest(const Invocation& invocation) {
  tunnel::v1::CreateTunnelRequest request;
  FillRequest(invocation, &request);
  SetLabels(invocation, request.mutable_tunnel());
  request.mutable_tunnel()->set_name(invocation.operands.front());
  return request;
}

tunnel::v1::UpdateTunnelRequest UpdateRequest(const Invocation& invocation) {
  tunnel::v1::UpdateTunnelRequest request;
  FillRequest(invocation, &request);
  request.mutable_tunnel()->set_name(invocation.operands.front());
  SetLabels(invocation, request.mutable_tunnel());
  google::protobuf::FieldMask* mask = request.mutable_update_mask();
  for (const Setting& setting : invocation.settings) {
    const WordInfo& word = *setting.word;
    if (!absl::StartsWith(word.field, kTunnelPrefix)) continue;
    const bool other_field = setting.keyword && !word.keyword_field.empty();
    const std::string field(absl::StripPrefix(
        other_field ? word.keyword_field : word.field, kTunnelPrefix));
    if (!setting.label_key.empty()) {
      mask->add_paths(absl::StrCat(field, ".", setting.label_key));
    } else if (!absl::c_linear_search(mask->paths(), field)) {
      mask->add_paths(field);
    }
  }
  return request;
}

tunnel::v1::UpdateTunnelRequest AdminStateRequest(
    const Invocation& invocation, tunnel::v1::AdminState state) {
  tunnel::v1::UpdateTunnelRequest request;
  FillRequest(invocation, &request);
  request.mutable_tunnel()->set_name(invocation.operands.front());
  request.mutable_tunnel()->set_admin_state(state);
  request.mutable_update_mask()->add_paths("admin_state");
  return request;
}

}  // namespace tunnel::ctl::cli
