#include "ctl/change_options.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "ctl/wire_time.h"

namespace tunnel::ctl {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr std::chrono::milliseconds kMaxOverlap = std::chrono::hours(1);
constexpr size_t kMaxIdShown = 64;  // bytes

std::optional<std::chrono::milliseconds> ReadOverlap(
    absl::string_view method, const v1::ChangeOptions& options,
    const OptionRules& rules, Faults& faults) {
  constexpr absl::string_view kField = "options.overlap";
  if (!options.has_overlap()) return std::nullopt;
  if (!rules.overlap) {
    faults.AddInvalid(kField, absl::StrCat(method,
                                           " has none: UpdateTunnel "
                                           "alone has"));
    return std::nullopt;
  }
  const auto overlap = DurationFromProto(kField, options.overlap(), faults);
  if (overlap && (overlap->count() == 0 || *overlap > kMaxOverlap)) {
    faults.AddInvalid(kField, absl::StrCat(overlap->count(),
                                           " ms; want 1 ms to 1 h, or absent "
                                           "to turn at once"));
    return std::nullopt;
  }
  return overlap;
}

// The message without what may differ between a call and its repetition.
std::string Canonical(const Message& request) {
  const std::unique_ptr<Message> copy(request.New());
  copy->CopyFrom(request);
  const FieldDescriptor* field =
      copy->GetDescriptor()->FindFieldByName("options");
  if (field != nullptr && copy->GetReflection()->HasField(*copy, field)) {
    auto* options = static_cast<v1::ChangeOptions*>(
        copy->GetReflection()->MutableMessage(copy.get(), field));
    options->clear_lock_timeout();
    options->clear_request_id();
  }
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);  // maps in the order of their keys
    copy->SerializeToCodedStream(&out);
  }
  return bytes;
}

// FNV-1a of 128 bits.
__extension__ typedef unsigned __int128 Hash;

Hash Add(Hash hash, absl::string_view bytes) {
  constexpr Hash kPrime = (Hash{1} << 88) + 0x13b;
  for (const char byte : bytes) {
    hash = (hash ^ static_cast<uint8_t>(byte)) * kPrime;
  }
  return hash;
}

}  // namespace

ChangeOptions ReadChangeOptions(absl::string_view method,
                                const Message& request,
                                const v1::ChangeOptions& options,
                                const OptionRules& rules, Faults& faults) {
  ChangeOptions out;
  out.validate_only = options.validate_only();
  out.if_match = options.if_match();
  if (!out.if_match.empty() && !rules.if_match) {
    faults.AddInvalid("options.if_match",
                      absl::StrCat(method,
                                   " has none: nothing is there yet "
                                   "that could be compared"));
  }
  if (options.has_lock_timeout()) {
    out.lock_timeout = DurationFromProto("options.lock_timeout",
                                         options.lock_timeout(), faults);
  }
  out.overlap = ReadOverlap(method, options, rules, faults);
  if (options.request_id().empty()) return out;
  if (!IsUuid(options.request_id())) {
    faults.AddInvalid(
        "options.request_id",
        absl::StrCat(
            "\"", absl::CHexEscape(options.request_id().substr(0, kMaxIdShown)),
            "\" is no UUID, like f81d4fae-7dec-11d0-a765-00a0c91e6bf6"));
    return out;
  }
  out.request_id = absl::AsciiStrToLower(options.request_id());
  out.request_fingerprint = Fingerprint(method, request);
  return out;
}

bool IsUuid(absl::string_view text) {
  constexpr absl::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  if (text.size() != kForm.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool fits =
        kForm[i] == '-'
            ? text[i] == '-'
            : absl::ascii_isxdigit(static_cast<unsigned char>(text[i]));
    if (!fits) return false;
  }
  return true;
}

std::string Fingerprint(absl::string_view method, const Message& request) {
  constexpr Hash kOffset =
      (Hash{0x6c62272e07bb0142} << 64) + 0x62b821756295c58d;
  Hash hash = Add(kOffset, method);
  hash = Add(hash, absl::string_view("\0", 1));
  hash = Add(hash, Canonical(request));
  return absl::StrFormat("%016x%016x", static_cast<uint64_t>(hash >> 64),
                         static_cast<uint64_t>(hash));
}

}  // namespace tunnel::ctl
