#include "ctl/cli/config_input.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ctl/cli/interrupt.h"
#include "ctl/cli/request.h"

namespace tunnel::ctl::cli {
namespace {

constexpr absl::string_view kStdin = "stdin";

CallError FileError(const std::string& name, std::string message) {
  CallError error;
  error.code = kCodeInvalidArgument;
  error.reason = "CONFIG_FILE_INVALID";
  error.message = std::move(message);
  error.metadata["file"] = name;
  return error;
}

bool ReadStdin(std::string* text) {
  Interrupt& interrupt = Interrupt::Get();
  interrupt.Arm([] { _exit(kExitInterrupted); });
  char buffer[1 << 16];
  ssize_t length = 0;
  while ((length = read(STDIN_FILENO, buffer, sizeof(buffer))) != 0) {
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) break;
    text->append(buffer, static_cast<size_t>(length));
  }
  interrupt.Disarm();
  return length == 0;
}

// "tunnels.toml:3:1"; without the position where there is none.
std::string PlaceText(const ConfigFile& file, Position at) {
  if (at.line == 0) return file.name;
  return absl::StrCat(file.name, ":", at.line, ":", at.column);
}

// "tunnels[3].ttl" to 3 and "ttl". False, and nothing set, for another form or
// a tunnel that the file does not have.
bool SplitField(const ConfigFile& file, absl::string_view field, size_t* index,
                absl::string_view* rest) {
  if (!absl::ConsumePrefix(&field, "tunnels[")) return false;
  const size_t end = field.find(']');
  size_t number = 0;
  if (end == absl::string_view::npos ||
      !absl::SimpleAtoi(field.substr(0, end), &number) ||
      number >= file.tunnels.size()) {
    return false;
  }
  *index = number;
  *rest = field.substr(end + 1);
  absl::ConsumePrefix(rest, ".");
  return true;
}

// The tunnel of the file that an error without violations is of; its number, or
// that of none.
size_t TunnelOf(const ConfigFile& file, const CallError& error) {
  const auto text = [&error](const char* key) {
    const auto found = error.metadata.find(key);
    return found == error.metadata.end() ? std::string() : found->second;
  };
  for (size_t i = 0; i < file.tunnels.size(); ++i) {
    const v1::Tunnel& tunnel = file.tunnels[i];
    if (tunnel.name() == text("name")) return i;
    if (text("device") != "" && tunnel.underlay_device() == text("device")) {
      return i;
    }
    // Of an identity that is taken: `tunnel` is the holder.
    if (text("local") != "" && tunnel.local() == text("local") &&
        tunnel.remote() == text("remote") && tunnel.name() != text("tunnel")) {
      return i;
    }
  }
  return file.tunnels.size();
}

}  // namespace

CallError ReadConfigInput(const Invocation& invocation, ConfigFile* file) {
  const Setting* path = invocation.Find("file");
  if (path == nullptr) {
    return UsageError(
        absl::StrCat("'", invocation.command->name, "' needs -f FILE"),
        absl::StrCat("see 'tunnelctl help ", invocation.command->name, "'"));
  }
  std::vector<ConfigFileError> errors;
  if (path->text == "-") {
    std::string text;
    if (!ReadStdin(&text)) {
      return FileError("stdin", absl::StrCat("stdin can not be read: ",
                                             std::strerror(errno)));
    }
    ParseConfigFile(text, std::string(kStdin), file, &errors);
  } else {
    const absl::Status status = ReadConfigFile(path->text, file, &errors);
    if (!status.ok()) {
      return FileError(path->text, std::string(status.message()));
    }
  }
  if (errors.empty()) return CallError();
  CallError error = FileError(
      file->name, errors.size() == 1 ? absl::StrCat(file->name, " has an error")
                                     : absl::StrCat(file->name, " has ",
                                                    errors.size(), " errors"));
  for (const ConfigFileError& each : errors) {
    error.field_violations.push_back({PlaceText(*file, each.at), each.message});
  }
  return error;
}

v1::ApplyConfigRequest ApplyRequest(const Invocation& invocation,
                                    const ConfigFile& file) {
  v1::ApplyConfigRequest request;
  FillRequest(invocation, &request);
  request.mutable_tunnels()->Assign(file.tunnels.begin(), file.tunnels.end());
  if (file.prune) request.set_prune(true);
  return request;
}

void LocateError(const ConfigFile& file, CallError* error) {
  const size_t tunnel = TunnelOf(file, *error);
  size_t located = 0;
  for (FieldViolation& violation : error->field_violations) {
    // Of the request, else of the one tunnel that the error is of.
    size_t index = tunnel;
    absl::string_view rest = violation.field;
    if (!SplitField(file, violation.field, &index, &rest) &&
        index == file.tunnels.size()) {
      continue;
    }
    ++located;
    violation.description =
        absl::StrCat("'", file.tunnels[index].name(), "' ", rest,
                     rest.empty() ? "" : ": ", violation.description);
    violation.field = PlaceText(file, file.places[index].Find(rest));
  }
  if (located > 0) {
    error->message = located == 1
                         ? absl::StrCat(file.name, " has an error")
                         : absl::StrCat(file.name, " has ", located, " errors");
    error->metadata["daemon_reason"] = error->reason;
    error->reason = "CONFIG_FILE_INVALID";
  } else if (tunnel < file.tunnels.size()) {
    error->metadata["place"] = PlaceText(file, file.places[tunnel].at);
    error->message =
        absl::StrCat(error->metadata["place"], ": '",
                     file.tunnels[tunnel].name(), "': ", error->message);
  }
}

}  // namespace tunnel::ctl::cli
