// The version of tunneld and tunnelctl, in one place.

#ifndef CTL_VERSION_H_
#define CTL_VERSION_H_

namespace tunnel::ctl {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace tunnel::ctl

#endif  // CTL_VERSION_H_
