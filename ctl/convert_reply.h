// What the manager answers, as messages of the API. Pure functions.

#ifndef CTL_CONVERT_REPLY_H_
#define CTL_CONVERT_REPLY_H_

#include <optional>

#include "proto/tunnel/v1/tunnel_service.pb.h"
#include "tunnel/tunnel_manager.h"

namespace tunnel::ctl {

v1::TunnelChange ChangeToProto(const ChangeResult& result);
v1::ConfigChange ChangeToProto(const ApplyResult& result);

// Any kind but kExpired, which is no message.
v1::WatchTunnelsResponse EventToProto(const WatchEvent& event);

// `pending`: what awaits confirmation.
v1::ConfigLockState LockInfoToProto(const ConfigLockInfo& info,
                                    const std::optional<PendingApply>& pending);

// Drop reasons with a count of 0 are left out.
v1::GetStatsResponse StatsToProto(const StatsSnapshot& stats);

}  // namespace tunnel::ctl

#endif  // CTL_CONVERT_REPLY_H_
