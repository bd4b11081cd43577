// Database, Statement: a SQLite file and a prepared statement on it, as the
// state file needs them. Not thread-safe.
//
// Errors of all functions: DATA_LOSS when the file is no database or is
// damaged; STORE_FAILED for all else, with the file, the words of SQLite and of
// the kernel, and what to do.

#ifndef CTL_STORE_SQLITE_H_
#define CTL_STORE_SQLITE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tunnel::ctl {

class Statement {
 public:
  // Parameters count from 1. Values are copied.
  Statement& Bind(int parameter, int64_t value);
  Statement& Bind(int parameter, absl::string_view text);
  Statement& BindBlob(int parameter, absl::string_view bytes);

  // True: a row is there. False: done, and ready to be bound again.
  absl::StatusOr<bool> Step();
  // Steps to the end.
  absl::Status Run();
  // Gives up rows that have not been read.
  void Reset();

  // Of the row that is there; columns count from 0. A value of another type is
  // converted as SQLite does.
  int64_t Int(int column) const;
  std::string Bytes(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  Statement(const std::string* path, sqlite3_stmt* statement)
      : path_(path), statement_(statement) {}

  const std::string* path_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Database {
 public:
  // Opens `path`, mode 0600 and made if it does not exist, for this process
  // alone, with a write-ahead log and full synchronisation: a commit that
  // succeeded is on the disk.
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      const std::string& path);
  // Statements must be gone by then.
  ~Database();

  absl::Status Execute(const char* sql);
  absl::StatusOr<Statement> Prepare(const char* sql);
  // The first value of the first row.
  absl::StatusOr<int64_t> QueryInt(const char* sql);
  // OK, or DATA_LOSS with what is wrong.
  absl::Status CheckIntegrity();

  // Ends a transaction, if one is open, without effect.
  void Rollback();
  // Leaves file and log as they are when it is closed.
  void KeepLogOnClose();

  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };
  Database(std::string path, sqlite3* handle)
      : path_(std::move(path)), handle_(handle) {}

  const std::string path_;
  std::unique_ptr<sqlite3, Close> handle_;
};

}  // namespace tunnel::ctl

#endif  // CTL_STORE_SQLITE_H_
