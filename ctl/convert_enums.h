// Enumerators of the schema and of the core, each way: one table an enum.
//
// ToProto() gives the unspecified enumerator (0) for a value that is none.
// FromProto() gives nullopt for it, and for every number that is not in the
// schema.

#ifndef CTL_CONVERT_ENUMS_H_
#define CTL_CONVERT_ENUMS_H_

#include <optional>

#include "encap/encap_config.h"
#include "proto/tunnel/v1/tunnel.pb.h"
#include "tunnel/tunnel_types.h"

namespace tunnel::ctl {

v1::Mode ToProto(encap::Mode mode);
std::optional<encap::Mode> FromProto(v1::Mode mode);

v1::DfPolicy ToProto(encap::DfPolicy df);
std::optional<encap::DfPolicy> FromProto(v1::DfPolicy df);

v1::EcnMode ToProto(encap::EcnMode ecn);
std::optional<encap::EcnMode> FromProto(v1::EcnMode ecn);

v1::Transport ToProto(encap::OuterTransport transport);
std::optional<encap::OuterTransport> FromProto(v1::Transport transport);

v1::FragmentPolicy ToProto(encap::FragmentPolicy fragment);
std::optional<encap::FragmentPolicy> FromProto(v1::FragmentPolicy fragment);

v1::Datapath ToProto(DatapathMode mode);
std::optional<DatapathMode> FromProto(v1::Datapath mode);

v1::Steering ToProto(Steering steering);
std::optional<Steering> FromProto(v1::Steering steering);

v1::OperState ToProto(OperState state);
std::optional<OperState> FromProto(v1::OperState state);

// ChangeAction::kNone is the unspecified enumerator.
v1::ChangeAction ToProto(ChangeAction action);
ChangeAction FromProto(v1::ChangeAction action);

}  // namespace tunnel::ctl

#endif  // CTL_CONVERT_ENUMS_H_
