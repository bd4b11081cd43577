#include "ctl/convert_enums.h"

#include <utility>

namespace tunnel::ctl {
namespace {

template <typename Core, typename Proto>
using Row = std::pair<Core, Proto>;

constexpr Row<encap::Mode, v1::Mode> kModes[] = {
    {encap::Mode::kGif, v1::GIF}, {encap::Mode::kIpip, v1::IPIP},
    {encap::Mode::kSit, v1::SIT}, {encap::Mode::kIp6ip6, v1::IP6IP6},
    {encap::Mode::kGre, v1::GRE}, {encap::Mode::kGretap, v1::GRETAP},
};

constexpr Row<encap::DfPolicy, v1::DfPolicy> kDfPolicies[] = {
    {encap::DfPolicy::kOn, v1::DF_ON},
    {encap::DfPolicy::kOff, v1::DF_OFF},
    {encap::DfPolicy::kInherit, v1::DF_INHERIT},
};

constexpr Row<encap::EcnMode, v1::EcnMode> kEcnModes[] = {
    {encap::EcnMode::kNormal, v1::ECN_NORMAL},
    {encap::EcnMode::kCompat, v1::ECN_COMPAT},
};

constexpr Row<encap::OuterTransport, v1::Transport> kTransports[] = {
    {encap::OuterTransport::kIp, v1::TRANSPORT_IP},
    {encap::OuterTransport::kUdp, v1::TRANSPORT_UDP},
};

constexpr Row<encap::FragmentPolicy, v1::FragmentPolicy> kFragmentPolicies[] = {
    {encap::FragmentPolicy::kInner, v1::FRAGMENT_INNER},
    {encap::FragmentPolicy::kOuter, v1::FRAGMENT_OUTER},
    {encap::FragmentPolicy::kNone, v1::FRAGMENT_NONE},
};

constexpr Row<DatapathMode, v1::Datapath> kDatapaths[] = {
    {DatapathMode::kAuto, v1::DATAPATH_AUTO},
    {DatapathMode::kUser, v1::DATAPATH_USER},
    {DatapathMode::kBpf, v1::DATAPATH_BPF},
};

constexpr Row<Steering, v1::Steering> kSteerings[] = {
    {Steering::kAuto, v1::STEERING_AUTO},
    {Steering::kOn, v1::STEERING_ON},
    {Steering::kOff, v1::STEERING_OFF},
};

constexpr Row<OperState, v1::OperState> kOperStates[] = {
    {OperState::kUp, v1::OPER_UP},
    {OperState::kDown, v1::OPER_DOWN},
    {OperState::kPaused, v1::OPER_PAUSED},
    {OperState::kDetached, v1::OPER_DETACHED},
    {OperState::kFailed, v1::OPER_FAILED},
    {OperState::kLoop, v1::OPER_LOOP},
};

constexpr Row<ChangeAction, v1::ChangeAction> kActions[] = {
    {ChangeAction::kCreated, v1::CREATED},
    {ChangeAction::kUpdated, v1::UPDATED},
    {ChangeAction::kDeleted, v1::DELETED},
};

template <typename Core, typename Proto, size_t kSize>
Proto Find(const Row<Core, Proto> (&rows)[kSize], Core value) {
  for (const auto& [core, proto] : rows) {
    if (core == value) return proto;
  }
  return static_cast<Proto>(0);
}

template <typename Core, typename Proto, size_t kSize>
std::optional<Core> Find(const Row<Core, Proto> (&rows)[kSize], Proto value) {
  for (const auto& [core, proto] : rows) {
    if (proto == value) return core;
  }
  return std::nullopt;
}

}  // namespace

v1::Mode ToProto(encap::Mode mode) { return Find(kModes, mode); }
std::optional<encap::Mode> FromProto(v1::Mode mode) {
  return Find(kModes, mode);
}

v1::DfPolicy ToProto(encap::DfPolicy df) { return Find(kDfPolicies, df); }
std::optional<encap::DfPolicy> FromProto(v1::DfPolicy df) {
  return Find(kDfPolicies, df);
}

v1::EcnMode ToProto(encap::EcnMode ecn) { return Find(kEcnModes, ecn); }
std::optional<encap::EcnMode> FromProto(v1::EcnMode ecn) {
  return Find(kEcnModes, ecn);
}

v1::Transport ToProto(encap::OuterTransport transport) {
  return Find(kTransports, transport);
}
std::optional<encap::OuterTransport> FromProto(v1::Transport transport) {
  return Find(kTransports, transport);
}

v1::FragmentPolicy ToProto(encap::FragmentPolicy fragment) {
  return Find(kFragmentPolicies, fragment);
}
std::optional<encap::FragmentPolicy> FromProto(v1::FragmentPolicy fragment) {
  return Find(kFragmentPolicies, fragment);
}

v1::Datapath ToProto(DatapathMode mode) { return Find(kDatapaths, mode); }
std::optional<DatapathMode> FromProto(v1::Datapath mode) {
  return Find(kDatapaths, mode);
}

v1::Steering ToProto(Steering steering) { return Find(kSteerings, steering); }
std::optional<Steering> FromProto(v1::Steering steering) {
  return Find(kSteerings, steering);
}

v1::OperState ToProto(OperState state) { return Find(kOperStates, state); }
std::optional<OperState> FromProto(v1::OperState state) {
  return Find(kOperStates, state);
}

v1::ChangeAction ToProto(ChangeAction action) { return Find(kActions, action); }
ChangeAction FromProto(v1::ChangeAction action) {
  return Find(kActions, action).value_or(ChangeAction::kNone);
}

}  // namespace tunnel::ctl
