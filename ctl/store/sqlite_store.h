// SqliteStore: committed configuration in the file tunneld.db of a directory.
//
// A commit is one transaction that is on the disk when Commit() returns OK.
// After a crash the file holds the last commit that was acknowledged, or the
// one that was under way. A damaged file is set aside as tunneld.db.damaged-N,
// and what is sound in it goes into a new one; nothing is forgotten silently.
//
// By one thread at a time; the caller owns the directory alone (LockStateDir).

#ifndef CTL_STORE_SQLITE_STORE_H_
#define CTL_STORE_SQLITE_STORE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ctl/store/state_file.h"
#include "tunnel/config_store.h"

namespace tunnel::ctl {

class SqliteStore : public ConfigStore {
 public:
  struct Loaded {
    std::unique_ptr<SqliteStore> store;
    StoredState state;
    // What could not be read, and where the damaged file is now; one sentence
    // each, for the operator.
    std::vector<std::string> problems;
    // Damaged files that were set aside before and still lie there.
    std::vector<std::string> earlier;
  };

  // Opens the store in `directory`, or makes an empty one. `kernel` as in
  // record.h, usually that of KernelIdentity(). Errors: STORE_FAILED.
  static absl::StatusOr<Loaded> Open(const std::string& directory,
                                     const std::string& kernel);
  // Also writes what DeviceRemoved() has left to do.
  ~SqliteStore() override;

  absl::Status Commit(const StoreCommit& commit) override;
  // Durable with the next commit. Until then the next Open() still has it.
  void DeviceRemoved(const StoredDevice& device) override;

 private:
  explicit SqliteStore(std::string kernel);

  // Enters the record into loaded.state; false, with a problem, when it makes
  // no sense.
  bool Understand(const Record& record, Loaded& loaded);
  absl::Status Write(const StoreCommit& commit);
  absl::Status WriteRequest(const StoredRequest& request);

  const std::string kernel_;
  std::unique_ptr<StateFile> file_;
  std::deque<std::string> requests_;  // ids, oldest first
  int64_t next_position_ = 1;         // of a request
  std::vector<std::string> gone_;     // keys of devices, to be erased
};

}  // namespace tunnel::ctl

#endif  // CTL_STORE_SQLITE_STORE_H_
