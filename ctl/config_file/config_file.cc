#include "ctl/config_file/config_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "ctl/config_file/tunnel_reader.h"
#include "ctl/convert.h"
#include "ctl/text/suggest.h"
#include "tunnel/base/error.h"

namespace tunnel::ctl {
namespace {

using Kind = Value::Kind;

bool IsJson(absl::string_view text, absl::string_view name) {
  if (absl::EndsWith(name, ".json")) return true;
  text = absl::StripLeadingAsciiWhitespace(text);
  if (absl::StartsWith(text, "{")) return true;
  if (!absl::StartsWith(text, "[")) return false;
  text = absl::StripLeadingAsciiWhitespace(text.substr(1));
  return absl::StartsWith(text, "{") || absl::StartsWith(text, "]");
}

class FileReader {
 public:
  FileReader(bool json, ConfigFile* file, std::vector<ConfigFileError>* errors)
      : json_(json), file_(*file), errors_(*errors) {}

  void Read(const Value& document) {
    if (document.kind == Kind::kList) {
      ReadTunnels(document);
    } else if (document.kind == Kind::kTable) {
      for (const Member& member : document.members) ReadMember(member);
    } else {
      Fail(document.at, "a list of tunnels is wanted");
    }
    CheckNames();
    CheckPairs();
    std::stable_sort(errors_.begin(), errors_.end(),
                     [](const auto& a, const auto& b) { return a.at < b.at; });
  }

 private:
  void Fail(Position at, std::string message) {
    errors_.push_back({at, std::move(message)});
  }

  void ReadMember(const Member& member) {
    const absl::string_view list = json_ ? "tunnels" : "tunnel";
    if (member.name == list) return ReadTunnels(member.value);
    if (member.name != "prune") {
      return Fail(
          member.at,
          absl::StrCat("unknown word '", absl::Utf8SafeCHexEscape(member.name),
                       "'", DidYouMean(member.name, {list, "prune"})));
    }
    if (member.value.kind != Kind::kBoolean) {
      return Fail(member.value.at,
                  absl::StrCat("'prune' wants true or false, got ",
                               KindText(member.value.kind)));
    }
    file_.prune = member.value.boolean;
  }

  void ReadTunnels(const Value& list) {
    if (list.kind == Kind::kTable && !json_) {
      return Fail(list.at, "write [[tunnel]], as there may be several");
    }
    if (list.kind != Kind::kList) {
      return Fail(list.at, absl::StrCat("a list of tunnels is wanted, got ",
                                        KindText(list.kind)));
    }
    for (const Value& item : list.items) {
      if (item.kind == Kind::kTable) {
        AddTunnel(item);
      } else {
        Fail(item.at,
             absl::StrCat("a tunnel is a table, got ", KindText(item.kind)));
      }
    }
  }

  void AddTunnel(const Value& table) {
    TunnelReading reading = ReadTunnel(table, json_);
    for (SyntaxError& error : reading.errors) {
      Fail(error.at, std::move(error.message));
    }
    CheckTunnel(reading);
    file_.tunnels.push_back(std::move(reading.tunnel));
    file_.places.push_back(std::move(reading.place));
  }

  // What the daemon would say of this tunnel alone.
  void CheckTunnel(const TunnelReading& reading) {
    const auto config = ConfigFromProto(reading.tunnel);
    if (config.ok()) return;
    const std::optional<ErrorDetail> detail = GetErrorDetail(config.status());
    if (!detail) {
      return Fail(reading.place.at, std::string(config.status().message()));
    }
    for (const FieldViolation& violation : detail->violations) {
      const std::string field =
          violation.field.substr(0, violation.field.find_first_of(".["));
      if (reading.bad_fields.count(field) != 0) continue;
      Fail(reading.place.Find(violation.field),
           absl::StrCat(violation.field, ": ", violation.description));
    }
  }

  void CheckNames() {
    std::map<std::string, uint32_t> lines;
    for (size_t i = 0; i < file_.tunnels.size(); ++i) {
      const std::string& name = file_.tunnels[i].name();
      const Position at = file_.places[i].Find("name");
      const auto [first, is_first] = lines.try_emplace(name, at.line);
      if (is_first || name.empty()) continue;
      Fail(at, absl::StrCat("the name '", absl::Utf8SafeCHexEscape(name),
                            "' is that of the tunnel in line ", first->second));
    }
  }

  // Device, IP protocol, local, remote, input key: what no two tunnels share.
  using Identity = std::tuple<std::string, int, std::string, std::string,
                              std::optional<uint32_t>>;

  static std::vector<Identity> Identities(const v1::Tunnel& tunnel) {
    std::vector<int> protocols;
    switch (tunnel.mode()) {
      case v1::GIF:
        protocols = {4, 41};
        break;
      case v1::IPIP:
        protocols = {4};
        break;
      case v1::SIT:
      case v1::IP6IP6:
        protocols = {41};
        break;
      default:
        protocols = {47};
    }
    std::optional<uint32_t> key;
    if (tunnel.has_key()) key = tunnel.key();
    if (tunnel.has_input_key()) key = tunnel.input_key();
    std::vector<Identity> identities;
    for (const int protocol : protocols) {
      identities.emplace_back(tunnel.underlay_device(), protocol,
                              tunnel.local(), tunnel.remote(), key);
    }
    return identities;
  }

  void CheckPairs() {
    std::map<Identity, size_t> holders;
    for (size_t i = 0; i < file_.tunnels.size(); ++i) {
      const auto config = ConfigFromProto(file_.tunnels[i]);
      if (!config.ok()) continue;
      for (const Identity& identity : Identities(SpecToProto(*config))) {
        const auto [first, is_first] = holders.try_emplace(identity, i);
        if (is_first || first->second == i) continue;
        const size_t holder = first->second;
        Fail(file_.places[i].at,
             absl::StrCat("'", file_.tunnels[i].name(),
                          "' has the endpoint pair and input key of '",
                          file_.tunnels[holder].name(), "' in line ",
                          file_.places[holder].at.line));
        break;
      }
    }
  }

  const bool json_;
  ConfigFile& file_;
  std::vector<ConfigFileError>& errors_;
};

absl::Status FileError(const std::string& path, int error) {
  const std::string message =
      absl::StrCat(path, ": can not be read: ", std::strerror(error));
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(message);
  }
  return absl::UnavailableError(message);
}

absl::StatusOr<std::string> ReadText(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(fopen(path.c_str(), "re"),
                                                   &fclose);
  if (file == nullptr) return FileError(path, errno);
  std::string text;
  char buffer[1 << 16];
  size_t length = 0;
  while ((length = fread(buffer, 1, sizeof(buffer), file.get())) > 0) {
    text.append(buffer, length);
  }
  if (ferror(file.get()) != 0) return FileError(path, errno);
  return text;
}

}  // namespace

std::string ErrorLine(absl::string_view name, const ConfigFileError& error) {
  if (error.at.line == 0) return absl::StrCat(name, ": ", error.message);
  return absl::StrCat(name, ":", error.at.line, ":", error.at.column, ": ",
                      error.message);
}

bool ParseConfigFile(absl::string_view text, std::string name, ConfigFile* file,
                     std::vector<ConfigFileError>* errors) {
  const bool json = IsJson(text, name);
  *file = ConfigFile();
  file->name = std::move(name);
  errors->clear();
  Value document;
  SyntaxError error;
  if (json ? !ParseJson(text, &document, &error)
           : !ParseToml(text, &document, &error)) {
    errors->push_back({error.at, std::move(error.message)});
    return false;
  }
  FileReader(json, file, errors).Read(document);
  return errors->empty();
}

absl::Status ReadConfigFile(const std::string& path, ConfigFile* file,
                            std::vector<ConfigFileError>* errors) {
  const absl::StatusOr<std::string> text = ReadText(path);
  if (!text.ok()) return text.status();
  ParseConfigFile(*text, path, file, errors);
  return absl::OkStatus();
}

absl::StatusOr<ConfigFile> ReadConfigFile(const std::string& path) {
  ConfigFile file;
  std::vector<ConfigFileError> errors;
  const absl::Status status = ReadConfigFile(path, &file, &errors);
  if (!status.ok()) return status;
  if (errors.empty()) return file;
  return absl::InvalidArgumentError(absl::StrJoin(
      errors, "\n", [&](std::string* out, const ConfigFileError& error) {
        absl::StrAppend(out, ErrorLine(path, error));
      }));
}

}  // namespace tunnel::ctl
