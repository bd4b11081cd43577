// StateFile: the records of a state file and the manifest that counts them.
//
// A record is (kind, key) with a body and a checksum over all of it. The
// manifest is the record that says how many there are of each kind and what
// their checksums make together, so that a record that got lost is noticed even
// where the database looks sound. Not thread-safe.

#ifndef CTL_STORE_STATE_FILE_H_
#define CTL_STORE_STATE_FILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ctl/store/sqlite.h"

namespace tunnel::ctl {

// Written as numbers: they do not change.
enum class RecordKind : int64_t {
  kManifest = 0,
  kTunnel = 1,
  kDevice = 2,
  kRequest = 3,
  kPending = 4,
};

struct Record {
  RecordKind kind = RecordKind::kTunnel;
  std::string key;
  int64_t position = 0;  // order among records of one kind
  std::string body;
};

class StateFile {
 public:
  // Of this program. A file of a newer one is refused.
  static constexpr uint32_t kVersion = 1;

  struct Contents {
    std::vector<Record> records;  // by kind, position and key; sound ones
    // What is wrong, one sentence each; empty: all is there.
    std::vector<std::string> problems;
  };

  // Opens `path`, makes it if it does not exist, and reads what is in it.
  // Damage is no error but a problem of `contents`. Errors: STORE_FAILED, also
  // for a file of a newer version.
  static absl::StatusOr<std::unique_ptr<StateFile>> Open(
      const std::string& path, Contents& contents);

  // ---- one transaction; errors: STORE_FAILED, and nothing has changed ----
  absl::Status Begin();
  absl::Status Put(const Record& record);
  // Success too when there is none.
  absl::Status Erase(RecordKind kind, const std::string& key);
  absl::Status Commit();
  void Abandon();

  // Moves what is in the log into the file itself, and empties the log.
  absl::Status MergeLog();
  // As Database::KeepLogOnClose().
  void KeepLogOnClose() { database_->KeepLogOnClose(); }

 private:
  struct Manifest {
    std::map<RecordKind, uint64_t> counts;
    uint64_t digest = 0;
    friend bool operator==(const Manifest&, const Manifest&) = default;
  };
  using Found = std::map<std::pair<RecordKind, std::string>, Record>;

  explicit StateFile(std::unique_ptr<Database> database);

  absl::Status MakeTables();
  absl::Status Prepare();
  // An error when the file, though it can be read, can not be written for a
  // reason that lies in it.
  absl::Status TryToWrite();
  // The manifest in the file; DATA_LOSS when there is no sound one.
  absl::StatusOr<Manifest> ReadManifest(uint32_t& version);
  void Read(Contents& contents);
  // Problems where `got` is not what the manifest in the file says.
  void Compare(const Manifest& got, Contents& contents);
  absl::Status Scan(const char* sql, Found& found, Contents& contents);
  absl::StatusOr<bool> Checksum(RecordKind kind, const std::string& key,
                                uint64_t& checksum);
  absl::Status Write(const Record& record, uint64_t checksum);
  absl::Status WriteManifest();
  // A commit that was written but not synchronised was refused, yet a crash
  // would bring it back: the log is emptied of it.
  absl::Status DropRefused();

  std::unique_ptr<Database> database_;
  std::unique_ptr<Statement> put_, erase_, checksum_;  // end before database_
  Manifest committed_, next_;
  bool refused_in_log_ = false;
};

}  // namespace tunnel::ctl

#endif  // CTL_STORE_STATE_FILE_H_
