#include "ctl/config_file/fields.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace tunnel::ctl {
namespace {

constexpr FieldInfo kFields[] = {
    {"name", "", "name", FieldKind::kText, "text",
     "name of the interface; needed, and another one for each tunnel"},
    {"mode", "", "mode", FieldKind::kEnum, "gif|ipip|sit|ip6ip6|gre|gretap",
     "what is carried, and in what; needed"},
    {"local", "", "local", FieldKind::kText, "address, or dev:IFACE",
     "outer source address, or the interface whose address it follows; needed"},
    {"remote", "", "remote", FieldKind::kText, "address, or any",
     "outer destination address, or any to receive from every source; needed"},
    {"key", "", "key", FieldKind::kKey, "number, or dotted quad",
     "GRE key of both directions; 0 is a real key, leave it out for no key"},
    {"input_key", "ikey", "input_key", FieldKind::kKey,
     "number, or dotted quad", "GRE key expected on receive, in place of key"},
    {"output_key", "okey", "output_key", FieldKind::kKey,
     "number, or dotted quad", "GRE key of what is sent, in place of key"},
    {"checksum", "csum", "checksum", FieldKind::kSwitch, "true|false",
     "send GRE checksums"},
    {"sequence", "seq", "sequence", FieldKind::kSwitch, "true|false",
     "send GRE sequence numbers, drop old packets"},
    {.name = "ttl",
     .alias = "",
     .field = "ttl",
     .kind = FieldKind::kNumber,
     .value = "1 to 255, or \"inherit\"",
     .help = "outer TTL or hop limit (64)",
     .keyword = "inherit",
     .keyword_field = "ttl_inherit"},
    {.name = "ttl_inherit",
     .alias = "",
     .field = "ttl_inherit",
     .kind = FieldKind::kSwitch,
     .value = "true",
     .help = "the same as ttl = \"inherit\"",
     .written = false},
    {.name = "tos",
     .alias = "",
     .field = "tos",
     .kind = FieldKind::kNumber,
     .value = "0 to 252 in steps of 4, or \"inherit\"",
     .help = "outer TOS or traffic class (\"inherit\")",
     .keyword = "inherit"},
    {.name = "df",
     .alias = "",
     .field = "df",
     .kind = FieldKind::kEnum,
     .value = "on|off|inherit",
     .help = "Don't Fragment bit of an IPv4 outer header (\"on\")",
     .enum_prefix = "DF_"},
    {.name = "ecn",
     .alias = "",
     .field = "ecn",
     .kind = FieldKind::kEnum,
     .value = "normal|compat",
     .help = "RFC 6040 mode; compat sends Not-ECT (\"normal\")",
     .enum_prefix = "ECN_"},
    {.name = "mtu",
     .alias = "",
     .field = "mtu",
     .kind = FieldKind::kNumber,
     .value = "68 to 65535, or \"auto\"",
     .help = "MTU of the interface in bytes (\"auto\": that of the route less "
             "the overhead)",
     .keyword = "auto"},
    {"underlay_device", "dev", "underlay_device", FieldKind::kText, "text",
     "interface that outer packets leave and arrive by (any)"},
    {"fwmark", "", "fwmark", FieldKind::kNumber, "number",
     "routing mark of outer packets (0: none)"},
    {"addresses", "address", "addresses", FieldKind::kTexts,
     "list of address/length", "addresses of the interface (none)"},
    {"queues", "", "queues", FieldKind::kNumber, "0 to 256",
     "workers that share its output (0: all)"},
    {"txqueuelen", "", "txqueuelen", FieldKind::kNumber, "0 to 65536",
     "packets that each device queue holds (0: the kernel's default)"},
    {"up", "", "admin_state", FieldKind::kUp, "true|false",
     "administratively up (true)"},
    {.name = "admin_state",
     .alias = "",
     .field = "admin_state",
     .kind = FieldKind::kEnum,
     .value = "up|down",
     .help = "the same as up = true or false",
     .enum_prefix = "ADMIN_",
     .written = false},
    {.name = "encap_limit",
     .alias = "encaplimit",
     .field = "encap_limit",
     .kind = FieldKind::kNumber,
     .value = "0 to 255, or \"none\"",
     .help = "further encapsulations that what is sent over IPv6 allows "
             "(\"none\": the option is not sent)",
     .keyword = "none"},
    {.name = "transport",
     .alias = "",
     .field = "transport",
     .kind = FieldKind::kEnum,
     .value = "ip|udp",
     .help = "udp: a UDP header in front of the payload (\"ip\")",
     .enum_prefix = "TRANSPORT_"},
    {"udp_port", "port", "udp_port", FieldKind::kNumber, "0 to 65535",
     "UDP port that is sent to and received on (0: 4754 for gre and gretap, "
     "else 5555)"},
    {.name = "udp_source_port",
     .alias = "source-port",
     .field = "udp_source_port",
     .kind = FieldKind::kNumber,
     .value = "1 to 65535, or \"auto\"",
     .help = "UDP source port (\"auto\": from the inner flow)",
     .keyword = "auto"},
    {"udp_zero_checksum", "noudpcsum", "udp_zero_checksum", FieldKind::kSwitch,
     "true|false", "send a UDP checksum of zero; IPv4 outer header only"},
    {.name = "fragment",
     .alias = "",
     .field = "fragment",
     .kind = FieldKind::kEnum,
     .value = "inner|outer|none",
     .help = "what is cut when a packet is larger than the path; none tells "
             "its sender (\"inner\")",
     .enum_prefix = "FRAGMENT_"},
    {"allowed_ips", "allowed-ips", "allowed_ips", FieldKind::kTexts,
     "list of address/length", "inner sources that are received (none: any)"},
    {.name = "mss_clamp",
     .alias = "mss-clamp",
     .field = "mss_clamp",
     .kind = FieldKind::kNumber,
     .value = "536 to 65495, \"auto\" or \"off\"",
     .help = "largest MSS in inner TCP SYNs, both ways; auto is what the MTU "
             "leaves (\"off\")",
     .keyword = "off",
     .zero_word = "auto"},
    {.name = "rate",
     .alias = "",
     .field = "rate",
     .kind = FieldKind::kRate,
     .value = "8kbit to 1tbit, or \"none\"",
     .help = "bits a second of inner packets that the output is held to "
             "(\"none\")",
     .keyword = "none"},
    {.name = "burst",
     .alias = "",
     .field = "burst",
     .kind = FieldKind::kSize,
     .value = "1500 to 1gb, or \"auto\"",
     .help = "with a rate: bytes that may go at once (\"auto\": 10 ms at the "
             "rate)",
     .keyword = "auto"},
    {.name = "datapath",
     .alias = "",
     .field = "datapath",
     .kind = FieldKind::kEnum,
     .value = "auto|user|bpf",
     .help = "what carries the packets: the daemon or the kernel (\"auto\": as "
             "the daemon is told)",
     .enum_prefix = "DATAPATH_"},
    {.name = "steering",
     .alias = "",
     .field = "steering",
     .kind = FieldKind::kEnum,
     .value = "auto|on|off",
     .help = "the worker that an inner flow belongs to writes what was "
             "received; auto is on in UDP with a fixed source port, "
             "and in the kernel (\"auto\")",
     .enum_prefix = "STEERING_"},
    {"labels", "label", "labels", FieldKind::kLabels, "table of texts",
     "what people and programs note about the tunnel (none)"},
};

}  // namespace

absl::Span<const FieldInfo> Fields() { return kFields; }

const FieldInfo* FindField(absl::string_view name) {
  for (const FieldInfo& field : kFields) {
    if (field.name == name || (!field.alias.empty() && field.alias == name)) {
      return &field;
    }
  }
  return nullptr;
}

std::string DocumentationRow(const FieldInfo& field) {
  const std::string value = absl::StrReplaceAll(field.value, {{"|", "\\|"}});
  const std::string alias =
      field.alias.empty() ? "" : absl::StrCat(", `", field.alias, "`");
  return absl::StrCat("| `", field.name, "`", alias, " | ", value, " | ",
                      field.help, " |");
}

}  // namespace tunnel::ctl
