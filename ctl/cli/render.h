// Text for people, from the messages of the API. Tables are aligned with
// spaces; every function ends its text with a newline, or returns "" for
// nothing.

#ifndef CTL_CLI_RENDER_H_
#define CTL_CLI_RENDER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/tunnel/v1/tunnel_service.pb.h"

namespace tunnel::ctl::cli {

// "192.0.2.1 -> 192.0.2.2 key 42", with "key in 1 out 2" where they differ and
// "none" for a direction without one.
std::string IdentityText(const tunnel::v1::Tunnel& tunnel);

// "gre" for GRE; "UP" for OPER_UP; "on" for DF_ON.
std::string ModeText(tunnel::v1::Mode mode);
std::string StateText(tunnel::v1::OperState state);

// One line a tunnel under a heading. `color` colours the states.
std::string TableText(const std::vector<tunnel::v1::Tunnel>& tunnels,
                      bool color);
// All fields of each, several lines a tunnel.
std::string DetailsText(const std::vector<tunnel::v1::Tunnel>& tunnels,
                        bool color);
// One name a line.
std::string NamesText(const std::vector<tunnel::v1::Tunnel>& tunnels);

// One line an event; "" for a heartbeat.
std::string EventText(const tunnel::v1::WatchTunnelsResponse& event,
                      bool color);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_RENDER_H_
