#include "ctl/store/state_file.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "proto/tunnel/store/v1/store.pb.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"

namespace tunnel::ctl {
namespace {

constexpr char kScanUp[] =
    "SELECT kind, key, position, body, checksum FROM record ORDER BY rowid";
constexpr char kScanDown[] =
    "SELECT kind, key, position, body, checksum FROM record "
    "ORDER BY rowid DESC";

// "tund", for file(1).
constexpr char kMakeTables[] =
    "PRAGMA application_id=0x74756e64;"
    "PRAGMA user_version=1;"
    "CREATE TABLE record("
    "kind INTEGER NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL, "
    "body BLOB NOT NULL, checksum INTEGER NOT NULL, "
    "PRIMARY KEY(kind, key)) STRICT;";

// 64-bit FNV-1a.
class Hash {
 public:
  void Add(absl::string_view bytes) {
    AddNumber(bytes.size());
    for (const char c : bytes) AddByte(static_cast<uint8_t>(c));
  }
  void AddNumber(uint64_t number) {
    for (int i = 0; i < 8; ++i) AddByte(static_cast<uint8_t>(number >> 8 * i));
  }
  uint64_t value() const { return value_; }

 private:
  void AddByte(uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3ULL; }
  uint64_t value_ = 0xcbf29ce484222325ULL;
};

uint64_t ChecksumOf(const Record& record) {
  Hash hash;
  hash.AddNumber(static_cast<uint64_t>(record.kind));
  hash.Add(record.key);
  hash.AddNumber(static_cast<uint64_t>(record.position));
  hash.Add(record.body);
  return hash.value();
}

std::string NameOf(RecordKind kind) {
  switch (kind) {
    case RecordKind::kManifest:
      return "manifest";
    case RecordKind::kTunnel:
      return "tunnel";
    case RecordKind::kDevice:
      return "removed device";
    case RecordKind::kRequest:
      return "request";
    case RecordKind::kPending:
      return "configuration that awaits confirmation";
  }
  return absl::StrCat("record of kind ", static_cast<int64_t>(kind));
}

// As an error of a change: what can not be read can not be written either.
absl::Status AsStoreError(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return MakeError(
      Reason::kStoreFailed,
      absl::StrCat(status.message(),
                   "; the file is damaged: restart tunneld, which keeps what "
                   "is sound and sets the file aside"));
}

absl::Status NewerVersion(const std::string& path, int64_t version) {
  return MakeError(
      Reason::kStoreFailed,
      absl::StrCat(path, ": has version ", version, ", this tunneld knows ",
                   StateFile::kVersion,
                   "; run the newer tunneld, or move the file away to start "
                   "with nothing"),
      {{"path", path}, {"version", absl::StrCat(version)}});
}

}  // namespace

StateFile::StateFile(std::unique_ptr<Database> database)
    : database_(std::move(database)) {}

absl::StatusOr<std::unique_ptr<StateFile>> StateFile::Open(
    const std::string& path, Contents& contents) {
  contents = {};
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(path);
  if (absl::IsDataLoss(database.status())) {
    contents.problems.push_back(std::string(database.status().message()));
    return std::unique_ptr<StateFile>();
  }
  RETURN_IF_ERROR(database.status());
  std::unique_ptr<StateFile> file(new StateFile(*std::move(database)));
  Database& db = *file->database_;
  const absl::StatusOr<int64_t> version = db.QueryInt("PRAGMA user_version");
  const absl::StatusOr<int64_t> tables =
      db.QueryInt("SELECT count(*) FROM sqlite_schema");
  if (version.ok() && tables.ok() && *version == 0 && *tables == 0) {
    RETURN_IF_ERROR(AsStoreError(file->MakeTables()));
    return file;
  }
  uint32_t written = 0;
  const bool sound = file->ReadManifest(written).ok();
  if (sound && written > kVersion) return NewerVersion(path, written);
  if (!sound && version.ok() && *version > kVersion && tables.ok() &&
      *tables != 0) {
    return NewerVersion(path, *version);
  }
  file->Read(contents);
  if (contents.problems.empty()) {
    const absl::Status status = file->TryToWrite();
    if (!status.ok()) contents.problems.emplace_back(status.message());
  }
  return file;
}

absl::Status StateFile::MakeTables() {
  const std::string sql = absl::StrCat("BEGIN;", kMakeTables);
  absl::Status status = database_->Execute(sql.c_str());
  if (status.ok()) status = Prepare();
  if (status.ok()) status = WriteManifest();
  if (status.ok()) status = database_->Execute("COMMIT");
  if (!status.ok()) {
    database_->Rollback();
    return status;
  }
  // So that the file knows its tables without its log.
  return MergeLog();
}

absl::Status StateFile::MergeLog() {
  return AsStoreError(database_->Execute("PRAGMA wal_checkpoint(TRUNCATE)"));
}

absl::Status StateFile::Prepare() {
  const auto prepare = [this](const char* sql,
                              std::unique_ptr<Statement>& out) {
    absl::StatusOr<Statement> statement = database_->Prepare(sql);
    if (!statement.ok()) return statement.status();
    out = std::make_unique<Statement>(*std::move(statement));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(
      prepare("INSERT INTO record(kind, key, position, body, checksum) "
              "VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(kind, key) DO UPDATE SET "
              "position=?3, body=?4, checksum=?5",
              put_));
  RETURN_IF_ERROR(
      prepare("DELETE FROM record WHERE kind=?1 AND key=?2", erase_));
  return prepare("SELECT checksum FROM record WHERE kind=?1 AND key=?2",
                 checksum_);
}

absl::Status StateFile::TryToWrite() {
  RETURN_IF_ERROR(Prepare());
  absl::Status status = Begin();
  if (status.ok()) status = Commit();
  if (status.ok()) return status;
  Abandon();
  // A header that says "read only" is damage; a full disk is not, and the next
  // commit tells of it.
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  const bool only_readable = detail && detail->metadata.count("sqlite") != 0 &&
                             detail->metadata.at("sqlite") == "8";
  return only_readable ? status : absl::OkStatus();
}

absl::StatusOr<StateFile::Manifest> StateFile::ReadManifest(uint32_t& version) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->Prepare("SELECT kind, key, position, body, checksum "
                         "FROM record WHERE kind=0 AND key=''"));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  const absl::Status lost = absl::DataLossError("the manifest is damaged");
  if (!row) return lost;
  const Record record{.kind = RecordKind::kManifest,
                      .key = statement.Bytes(1),
                      .position = statement.Int(2),
                      .body = statement.Bytes(3)};
  store::v1::Manifest message;
  if (ChecksumOf(record) != static_cast<uint64_t>(statement.Int(4)) ||
      !message.ParseFromString(record.body)) {
    return lost;
  }
  version = message.version();
  Manifest manifest;
  const auto count = [&manifest](RecordKind kind, uint64_t n) {
    if (n != 0) manifest.counts[kind] = n;
  };
  count(RecordKind::kTunnel, message.tunnels());
  count(RecordKind::kDevice, message.devices());
  count(RecordKind::kRequest, message.requests());
  count(RecordKind::kPending, message.pending());
  manifest.digest = message.digest();
  return manifest;
}

absl::Status StateFile::Scan(const char* sql, Found& found,
                             Contents& contents) {
  ASSIGN_OR_RETURN(Statement statement, database_->Prepare(sql));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (!row) return absl::OkStatus();
    Record record{.kind = static_cast<RecordKind>(statement.Int(0)),
                  .key = statement.Bytes(1),
                  .position = statement.Int(2),
                  .body = statement.Bytes(3)};
    if (record.kind == RecordKind::kManifest) continue;
    if (ChecksumOf(record) != static_cast<uint64_t>(statement.Int(4))) {
      contents.problems.push_back(absl::StrCat(
          NameOf(record.kind), " \"", absl::Utf8SafeCHexEscape(record.key),
          "\" is damaged and was left out"));
      continue;
    }
    const std::pair<RecordKind, std::string> key(record.kind, record.key);
    found.try_emplace(key, std::move(record));
  }
}

void StateFile::Read(Contents& contents) {
  Found found;
  absl::Status status = Scan(kScanUp, found, contents);
  // What lies behind the damage can still be read from the other end.
  if (!status.ok()) {
    Contents seen_already;
    Scan(kScanDown, found, seen_already).IgnoreError();
  }
  if (status.ok()) status = database_->CheckIntegrity();
  if (!status.ok()) contents.problems.push_back(std::string(status.message()));

  Manifest manifest;
  for (auto& [key, record] : found) {
    ++manifest.counts[record.kind];
    manifest.digest ^= ChecksumOf(record);
  }
  Compare(manifest, contents);
  committed_ = next_ = manifest;
  for (auto& [key, record] : found) {
    contents.records.push_back(std::move(record));
  }
  std::stable_sort(contents.records.begin(), contents.records.end(),
                   [](const Record& a, const Record& b) {
                     return std::pair(a.kind, a.position) <
                            std::pair(b.kind, b.position);
                   });
}

void StateFile::Compare(const Manifest& got, Contents& contents) {
  uint32_t version = 0;
  const absl::StatusOr<Manifest> wanted = ReadManifest(version);
  const std::string subject = database_->path() + ": ";
  if (!wanted.ok()) {
    contents.problems.push_back(absl::StrCat(subject, wanted.status().message(),
                                             ": records may be missing"));
    return;
  }
  if (*wanted == got) return;
  for (const auto& [kind, count] : wanted->counts) {
    const auto it = got.counts.find(kind);
    const uint64_t there = it == got.counts.end() ? 0 : it->second;
    if (there == count) continue;
    contents.problems.push_back(absl::StrCat(subject, "wanted ", count,
                                             " records of kind \"",
                                             NameOf(kind), "\", got ", there));
  }
  if (contents.problems.empty()) {
    contents.problems.push_back(
        absl::StrCat(subject, "the records are not those of the last change"));
  }
}

absl::Status StateFile::Begin() {
  next_ = committed_;
  RETURN_IF_ERROR(DropRefused());
  return AsStoreError(database_->Execute("BEGIN IMMEDIATE"));
}

absl::StatusOr<bool> StateFile::Checksum(RecordKind kind,
                                         const std::string& key,
                                         uint64_t& checksum) {
  checksum_->Bind(1, static_cast<int64_t>(kind)).Bind(2, key);
  ASSIGN_OR_RETURN(const bool row, checksum_->Step());
  if (row) checksum = static_cast<uint64_t>(checksum_->Int(0));
  checksum_->Reset();
  return row;
}

absl::Status StateFile::Write(const Record& record, uint64_t checksum) {
  put_->Bind(1, static_cast<int64_t>(record.kind))
      .Bind(2, record.key)
      .Bind(3, record.position)
      .BindBlob(4, record.body)
      .Bind(5, static_cast<int64_t>(checksum));
  return put_->Run();
}

absl::Status StateFile::Put(const Record& record) {
  RETURN_IF_ERROR(Erase(record.kind, record.key));
  const uint64_t checksum = ChecksumOf(record);
  RETURN_IF_ERROR(AsStoreError(Write(record, checksum)));
  ++next_.counts[record.kind];
  next_.digest ^= checksum;
  return absl::OkStatus();
}

absl::Status StateFile::Erase(RecordKind kind, const std::string& key) {
  uint64_t old = 0;
  absl::StatusOr<bool> there = Checksum(kind, key, old);
  if (!there.ok()) return AsStoreError(there.status());
  if (!*there) return absl::OkStatus();
  erase_->Bind(1, static_cast<int64_t>(kind)).Bind(2, key);
  RETURN_IF_ERROR(AsStoreError(erase_->Run()));
  if (--next_.counts[kind] == 0) next_.counts.erase(kind);
  next_.digest ^= old;
  return absl::OkStatus();
}

absl::Status StateFile::WriteManifest() {
  store::v1::Manifest message;
  message.set_version(kVersion);
  const auto count = [this](RecordKind kind) {
    const auto it = next_.counts.find(kind);
    return it == next_.counts.end() ? 0 : it->second;
  };
  message.set_tunnels(count(RecordKind::kTunnel));
  message.set_devices(count(RecordKind::kDevice));
  message.set_requests(count(RecordKind::kRequest));
  message.set_pending(count(RecordKind::kPending));
  message.set_digest(next_.digest);
  const Record record{.kind = RecordKind::kManifest,
                      .body = message.SerializeAsString()};
  return Write(record, ChecksumOf(record));
}

absl::Status StateFile::Commit() {
  RETURN_IF_ERROR(AsStoreError(WriteManifest()));
  if (const absl::Status status = database_->Execute("COMMIT"); !status.ok()) {
    refused_in_log_ = true;
    return AsStoreError(status);
  }
  committed_ = next_;
  return absl::OkStatus();
}

void StateFile::Abandon() {
  database_->Rollback();
  DropRefused().IgnoreError();  // else the next Begin() does
}

absl::Status StateFile::DropRefused() {
  if (!refused_in_log_) return absl::OkStatus();
  RETURN_IF_ERROR(MergeLog());
  refused_in_log_ = false;
  return absl::OkStatus();
}

}  // namespace tunnel::ctl
