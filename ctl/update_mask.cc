#include "ctl/update_mask.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ctl/convert.h"
#include "ctl/faults.h"

namespace tunnel::ctl {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Fields 1 to 39 are the spec (tunnel.proto).
constexpr int kLastSpecField = 39;
constexpr absl::string_view kLabelPrefix = "labels.";

bool IsSpecField(const FieldDescriptor& field) {
  return field.number() <= kLastSpecField && field.name() != "name";
}

bool IsSet(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  return field.is_repeated() ? reflection.FieldSize(message, &field) > 0
                             : reflection.HasField(message, &field);
}

// Makes `field` of `to` what it is in `from`, which has the same type.
void CopyField(const v1::Tunnel& from, const FieldDescriptor& field,
               v1::Tunnel& to) {
  to.GetReflection()->ClearField(&to, &field);
  if (!IsSet(from, field)) return;
  // A message with this one field, merged: one way for all types.
  v1::Tunnel only(from);
  std::vector<const FieldDescriptor*> set;
  only.GetReflection()->ListFields(only, &set);
  for (const FieldDescriptor* other : set) {
    if (other != &field) only.GetReflection()->ClearField(&only, other);
  }
  to.MergeFrom(only);
}

// The paths of a mask, split by what they mean.
struct Paths {
  bool everything = false;
  std::set<std::string> fields;
  std::vector<std::string> labels;  // keys
};

Paths PopulatedFields(const v1::Tunnel& patch) {
  Paths paths;
  std::vector<const FieldDescriptor*> set;
  patch.GetReflection()->ListFields(patch, &set);
  for (const FieldDescriptor* field : set) {
    if (IsSpecField(*field)) paths.fields.insert(field->name());
  }
  return paths;
}

Paths ParseMask(const google::protobuf::FieldMask& mask, Faults& faults) {
  Paths paths;
  for (const std::string& path : mask.paths()) {
    if (path == "*") {
      paths.everything = true;
      continue;
    }
    if (absl::StartsWith(path, std::string(kLabelPrefix)) &&
        path.size() > kLabelPrefix.size()) {
      paths.labels.push_back(path.substr(kLabelPrefix.size()));
      continue;
    }
    const FieldDescriptor* field =
        v1::Tunnel::descriptor()->FindFieldByName(path);
    if (field == nullptr) {
      faults.AddInvalid("update_mask",
                        absl::StrCat("\"", absl::CHexEscape(path),
                                     "\" is not a field of Tunnel"));
    } else if (IsSpecField(*field)) {
      paths.fields.insert(path);
    }
  }
  if (paths.everything && mask.paths_size() > 1) {
    faults.AddInvalid("update_mask", "\"*\" must be the only path");
  }
  return paths;
}

// Clears what a group of fields shares, before the masked ones are set again.
void PrepareGroups(const Paths& paths, v1::Tunnel& tunnel) {
  if (paths.fields.count("key") != 0) {
    tunnel.clear_input_key();
    tunnel.clear_output_key();
  } else if (tunnel.has_key() && (paths.fields.count("input_key") != 0 ||
                                  paths.fields.count("output_key") != 0)) {
    tunnel.set_input_key(tunnel.key());
    tunnel.set_output_key(tunnel.key());
    tunnel.clear_key();
  }
  if (paths.fields.count("ttl") != 0 ||
      paths.fields.count("ttl_inherit") != 0) {
    tunnel.clear_ttl_policy();
  }
}

void ApplyFields(const Paths& paths, const v1::Tunnel& patch,
                 v1::Tunnel& tunnel) {
  PrepareGroups(paths, tunnel);
  for (const std::string& name : paths.fields) {
    const FieldDescriptor& field =
        *v1::Tunnel::descriptor()->FindFieldByName(name);
    // Clearing one side of the ttl choice must not undo the other.
    if (field.real_containing_oneof() != nullptr && !IsSet(patch, field)) {
      continue;
    }
    CopyField(patch, field, tunnel);
  }
  for (const std::string& key : paths.labels) {
    const auto found = patch.labels().find(key);
    if (found == patch.labels().end()) {
      tunnel.mutable_labels()->erase(key);
    } else {
      (*tunnel.mutable_labels())[key] = found->second;
    }
  }
}

}  // namespace

absl::StatusOr<EndpointConfig> ApplyUpdate(
    const EndpointConfig& current, const v1::Tunnel& patch,
    const google::protobuf::FieldMask& mask) {
  Faults faults;
  const Paths paths =
      mask.paths().empty() ? PopulatedFields(patch) : ParseMask(mask, faults);
  v1::Tunnel wanted;
  if (paths.everything) {
    wanted = patch;
  } else {
    wanted = SpecToProto(current);
    ApplyFields(paths, patch, wanted);
  }
  wanted.set_name(current.name);
  EndpointConfig config = ConfigFromProto(wanted, faults);
  if (!faults.empty()) return faults.ToStatus();
  return config;
}

}  // namespace tunnel::ctl
