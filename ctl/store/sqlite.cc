#include "ctl/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"
#include "tunnel/base/status_macros.h"
#include "tunnel/base/unique_fd.h"

namespace tunnel::ctl {
namespace {

// What the operator can do about it.
const char* Advice(int code, int system_error) {
  switch (system_error) {
    case ENOSPC:
    case EDQUOT:
      return "make room on its file system and try again";
    case EFBIG:
      return "raise the limit of file sizes (LimitFSIZE) and try again";
    case EROFS:
      return "remount its file system read-write and try again";
    case EACCES:
    case EPERM:
      return "the daemon must own the file and its directory";
    default:
      break;
  }
  switch (code & 0xff) {
    case SQLITE_FULL:
      return "make room on its file system and try again";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another program has it open: end that one and try again";
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return "the daemon must own the file and its directory";
    default:
      return "look for disk errors in the kernel log";
  }
}

bool MeansDamage(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    // What a damaged schema, or a value of an impossible size, comes as.
    case SQLITE_ERROR:
    case SQLITE_TOOBIG:
    case SQLITE_FORMAT:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
      return true;
    default:
      return code == SQLITE_IOERR_SHORT_READ;
  }
}

// The errno behind an error: that of a write to the log is with the log's file
// alone.
int SystemErrno(sqlite3* handle, int code) {
  int error = sqlite3_system_errno(handle);
  if (error != 0 || (code & 0xff) != SQLITE_IOERR) return error;
  sqlite3_file* log = nullptr;
  sqlite3_file_control(handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (log != nullptr && log->pMethods != nullptr) {
    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
  }
  if (error == 0) {
    sqlite3_file_control(handle, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
  }
  return error;
}

absl::Status StatusOf(sqlite3* handle, int code, const std::string& path) {
  const std::string words =
      handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  if (MeansDamage(code)) {
    return absl::DataLossError(absl::StrCat(path, ": ", words));
  }
  const int extended =
      handle != nullptr ? sqlite3_extended_errcode(handle) : code;
  const int system_error = handle != nullptr ? SystemErrno(handle, code) : 0;
  const std::string kernel =
      system_error == 0 ? "" : absl::StrCat(" (", strerror(system_error), ")");
  return MakeError(
      Reason::kStoreFailed,
      absl::StrCat(path, ": ", words, kernel, "; ", Advice(code, system_error)),
      {{"path", path},
       {"sqlite", absl::StrCat(extended)},
       {"errno", absl::StrCat(system_error)}});
}

// SQLite gives its other files the mode of this one.
absl::Status MakePrivate(const std::string& path) {
  const UniqueFd fd(
      open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd && fchmod(fd.get(), 0600) == 0) return absl::OkStatus();
  const int error = errno;
  return MakeError(Reason::kStoreFailed,
                   absl::StrCat(path, ": can not open: ", strerror(error), "; ",
                                Advice(SQLITE_CANTOPEN, error)),
                   {{"path", path}, {"errno", absl::StrCat(error)}});
}

// SQLite takes a file that is too short for a header, or all zeros, for a new
// one.
absl::Status CheckMagic(const std::string& path) {
  constexpr absl::string_view kMagic("SQLite format 3", 16);
  char header[16] = {};
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t size = fd ? read(fd.get(), header, sizeof(header)) : 0;
  if (size == 0 || (size == sizeof(header) &&
                    absl::string_view(header, sizeof(header)) == kMagic)) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat(path, ": is no database"));
}

// Exclusive: no shared memory beside the file, and no other program can hold
// a commit up.
constexpr char kSettings[] =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA trusted_schema=OFF;"
    "PRAGMA cell_size_check=ON;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA journal_size_limit=4194304;";

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

Statement& Statement::Bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
  return *this;
}

Statement& Statement::Bind(int parameter, absl::string_view text) {
  sqlite3_bind_text64(statement_.get(), parameter,
                      text.empty() ? "" : text.data(), text.size(),
                      SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::BindBlob(int parameter, absl::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), parameter,
                      bytes.empty() ? "" : bytes.data(), bytes.size(),
                      SQLITE_TRANSIENT);
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  absl::Status status;
  if (code != SQLITE_DONE) {
    status = StatusOf(sqlite3_db_handle(statement_.get()), code, *path_);
  }
  sqlite3_reset(statement_.get());
  if (!status.ok()) return status;
  return false;
}

absl::Status Statement::Run() {
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return absl::OkStatus();
  }
}

void Statement::Reset() { sqlite3_reset(statement_.get()); }

int64_t Statement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::Bytes(int column) const {
  const auto* data =
      static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const int size = sqlite3_column_bytes(statement_.get(), column);
  return data == nullptr ? std::string() : std::string(data, size);
}

void Database::Close::operator()(sqlite3* handle) const {
  sqlite3_close(handle);
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path) {
  RETURN_IF_ERROR(MakePrivate(path));
  RETURN_IF_ERROR(CheckMagic(path));
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  std::unique_ptr<Database> database(new Database(path, handle));
  if (code != SQLITE_OK) return StatusOf(handle, code, path);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  RETURN_IF_ERROR(database->Execute(kSettings));
  return database;
}

Database::~Database() = default;

absl::Status Database::Execute(const char* sql) {
  const int code = sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  return StatusOf(handle_.get(), code, path_);
}

absl::StatusOr<Statement> Database::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(
      handle_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return StatusOf(handle_.get(), code, path_);
  return Statement(&path_, statement);
}

absl::StatusOr<int64_t> Database::QueryInt(const char* sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  return row ? statement.Int(0) : 0;
}

absl::Status Database::CheckIntegrity() {
  ASSIGN_OR_RETURN(Statement statement, Prepare("PRAGMA integrity_check(1)"));
  ASSIGN_OR_RETURN(const bool row, statement.Step());
  const std::string answer = row ? statement.Bytes(0) : "no answer";
  if (answer == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path_, ": ", answer));
}

void Database::Rollback() {
  if (sqlite3_get_autocommit(handle_.get()) == 0) {
    sqlite3_exec(handle_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Database::KeepLogOnClose() {
  sqlite3_db_config(handle_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1,
                    nullptr);
}

}  // namespace tunnel::ctl
