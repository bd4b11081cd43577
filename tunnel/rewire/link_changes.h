// LinkChanges: requests to the kernel that belong to one change, with the way
// back.
//
// Each request that succeeds leaves its opposite behind; unless Keep() is
// called, the opposites run in reverse order when the object ends, so that a
// change that fails later leaves the interface as it was.

#ifndef TUNNEL_REWIRE_LINK_CHANGES_H_
#define TUNNEL_REWIRE_LINK_CHANGES_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "encap/address.h"
#include "tunnel/netlink/link_control.h"

namespace tunnel {

class LinkChanges {
 public:
  LinkChanges(LinkControl& links, uint32_t ifindex)
      : links_(links), ifindex_(ifindex) {}
  ~LinkChanges();
  LinkChanges(const LinkChanges&) = delete;
  LinkChanges& operator=(const LinkChanges&) = delete;

  // As LinkControl's; the old value is what the way back restores. A value that
  // does not change makes no request.
  absl::Status SetMtu(uint32_t from, uint32_t to);
  absl::Status SetTxQueueLen(uint32_t from, uint32_t to);
  absl::Status SetUp(bool from, bool to);
  // Adds what only `to` has. What only `from` has is deleted by Keep(): with an
  // address go routes, and with a primary IPv4 address its secondary ones,
  // which no way back could restore.
  absl::Status SetAddresses(const std::vector<encap::IpPrefix>& from,
                            const std::vector<encap::IpPrefix>& to);

  // The change is committed: deletes addresses, and undoes nothing any more. A
  // request that fails is tried once more, then logged.
  void Keep();

 private:
  absl::Status Do(const std::function<absl::Status()>& request,
                  std::function<absl::Status()> opposite);
  void Insist(const std::function<absl::Status()>& request);

  LinkControl& links_;
  const uint32_t ifindex_;
  // For Keep(): what is to go, and what is to be there afterwards.
  std::vector<encap::IpPrefix> to_delete_;
  std::vector<encap::IpPrefix> wanted_;
  std::vector<std::function<absl::Status()>> undo_;
};

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_LINK_CHANGES_H_
