// Requests of the API, filled from an Invocation by the field paths of the
// table.

#ifndef CTL_CLI_REQUEST_H_
#define CTL_CLI_REQUEST_H_

#include <string>

#include "absl/strings/string_view.h"
#include "ctl/cli/parse.h"
#include "google/protobuf/message.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// Sets each field that a setting with a field path names. Words that the client
// itself applies are passed over. A path that `request` does not have is a
// fault of the table and ends the program.
void FillRequest(const Invocation& invocation,
                 google::protobuf::Message* request);

tunnel::v1::CreateTunnelRequest CreateRequest(const Invocation& invocation);

// The update with a mask of exactly the fields that the words name: those that
// are set, and those that go back to their default. Of the labels only those
// named
// ("labels.K").
tunnel::v1::UpdateTunnelRequest UpdateRequest(const Invocation& invocation);

// `up NAME` and `down NAME`.
tunnel::v1::UpdateTunnelRequest AdminStateRequest(const Invocation& invocation,
                                                  tunnel::v1::AdminState state);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_REQUEST_H_
