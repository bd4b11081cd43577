#include "tunnel/manager_impl.h"

namespace tunnel {
void ManagerImpl::RevertExpired() {}
}  // namespace tunnel
