// ManagerFastFixture: a ManagerFixture whose kernel has a fast path, which
// carries nothing and remembers what it was told.

#ifndef TUNNEL_MANAGER_FAST_FIXTURE_H_
#define TUNNEL_MANAGER_FAST_FIXTURE_H_

#include "tunnel/bpf/fake_fast_path.h"
#include "tunnel/manager_fixture.h"

namespace tunnel {

class ManagerFastFixture : public ManagerFixture {
 protected:
  ManagerFastFixture() {
    manager_.reset();
    platform_.fast = &fast_;
    manager_ = Start(platform_, nullptr);
  }
  // Before the fast path that it uses.
  ~ManagerFastFixture() override { manager_.reset(); }

  FakeFastPath fast_;
};

}  // namespace tunnel

#endif  // TUNNEL_MANAGER_FAST_FIXTURE_H_
