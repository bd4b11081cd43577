#include "ctl/cli/grammar.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "proto/tunnel/v1/tunnel.pb.h"

namespace tunnel::ctl::cli {
namespace {

constexpr uint32_t kAll = ~uint32_t{0};
constexpr uint32_t kSpec = Bit(Verb::kCreate) | Bit(Verb::kSet);
constexpr uint32_t kMutations = kSpec | Bit(Verb::kDelete) | Bit(Verb::kUp) |
                                Bit(Verb::kDown) | Bit(Verb::kPause) |
                                Bit(Verb::kResume) | Bit(Verb::kDetach) |
                                Bit(Verb::kAttach);
constexpr uint32_t kCalls = kMutations | Bit(Verb::kShow) | Bit(Verb::kStats) |
                            Bit(Verb::kLockShow) | Bit(Verb::kLockInterrupt);

constexpr CommandInfo kCommands[] = {
    {Verb::kCreate, "create", "add", Operands::kOne, "NAME",
     "create a tunnel and start it"},
    {Verb::kShow, "show", "list", Operands::kAny, "NAME",
     "configuration and state (the default command)"},
    {Verb::kSet, "set", "", Operands::kOne, "NAME",
     "change in place: interface, index, addresses and routes stay"},
    {Verb::kDelete, "delete", "del", Operands::kSome, "NAME",
     "delete tunnels with their interfaces"},
    {Verb::kUp, "up", "", Operands::kOne, "NAME",
     "set the tunnel administratively up"},
    {Verb::kDown, "down", "", Operands::kOne, "NAME",
     "set the tunnel administratively down"},
    {Verb::kPause, "pause", "", Operands::kOne, "NAME",
     "hold back output; packets wait in the device queue"},
    {Verb::kResume, "resume", "", Operands::kOne, "NAME",
     "let output go on after pause"},
    {Verb::kDetach, "detach", "", Operands::kOne, "NAME",
     "take the endpoint out: nothing in, nothing out"},
    {Verb::kAttach, "attach", "", Operands::kOne, "NAME",
     "put the endpoint back after detach"},
    {Verb::kWatch, "watch", "", Operands::kAny, "NAME",
     "snapshot, SYNCED, then each change, until Ctrl-C"},
    {Verb::kStats, "stats", "", Operands::kAny, "NAME",
     "counters and drop reasons"},
    {Verb::kLockShow, "lock show", "", Operands::kNone, "",
     "holder, step and waiters of the configuration lock"},
    {Verb::kLockInterrupt, "lock interrupt", "", Operands::kOne, "ID",
     "end the wait, or the uncommitted work, of one party"},
    {Verb::kExplain, "explain", "", Operands::kOptional, "REASON",
     "what a drop reason or an error reason means, and what to do"},
    {Verb::kCompletion, "completion", "", Operands::kOne, "SHELL",
     "print the completion script for a shell (bash)"},
    {Verb::kVersion, "version", "", Operands::kNone, "",
     "version of this program"},
    {Verb::kHelp, "help", "", Operands::kAny, "COMMAND",
     "this text, or that of one command"},
};

constexpr WordInfo kWords[] = {
    {.name = "mode",
     .kind = ValueKind::kEnum,
     .value = "gif|ipip|sit|ip6ip6|gre|gretap",
     .field = "tunnel.mode",
     .verbs = kSpec,
     .help = "what is carried, and in what"},
    {.name = "local",
     .kind = ValueKind::kText,
     .value = "ADDRESS",
     .field = "tunnel.local",
     .verbs = kSpec,
     .help = "outer source address of what is sent"},
    {.name = "remote",
     .kind = ValueKind::kText,
     .value = "ADDRESS",
     .field = "tunnel.remote",
     .verbs = kSpec,
     .help = "outer destination address; same family as local"},
    {.name = "key",
     .kind = ValueKind::kKey,
     .value = "K",
     .field = "tunnel.key",
     .verbs = kSpec,
     .help = "GRE key of both directions; 0 is a real key"},
    {.name = "ikey",
     .kind = ValueKind::kKey,
     .value = "K",
     .field = "tunnel.input_key",
     .verbs = kSpec,
     .help = "GRE key expected on receive, in place of key"},
    {.name = "okey",
     .kind = ValueKind::kKey,
     .value = "K",
     .field = "tunnel.output_key",
     .verbs = kSpec,
     .help = "GRE key of what is sent, in place of key"},
    {.name = "nokey",
     .kind = ValueKind::kUnset,
     .field = "tunnel.key",
     .verbs = Bit(Verb::kSet),
     .help = "remove the GRE keys of both directions"},
    {.name = "noikey",
     .kind = ValueKind::kUnset,
     .field = "tunnel.input_key",
     .verbs = Bit(Verb::kSet),
     .help = "remove ikey; key, if any, holds again"},
    {.name = "nookey",
     .kind = ValueKind::kUnset,
     .field = "tunnel.output_key",
     .verbs = Bit(Verb::kSet),
     .help = "remove okey; key, if any, holds again"},
    {.name = "csum",
     .kind = ValueKind::kSwitch,
     .field = "tunnel.checksum",
     .verbs = kSpec,
     .help = "send GRE checksums"},
    {.name = "nocsum",
     .kind = ValueKind::kUnset,
     .field = "tunnel.checksum",
     .verbs = Bit(Verb::kSet),
     .help = "send no GRE checksums"},
    {.name = "seq",
     .kind = ValueKind::kSwitch,
     .field = "tunnel.sequence",
     .verbs = kSpec,
     .help = "send GRE sequence numbers, drop old packets"},
    {.name = "noseq",
     .kind = ValueKind::kUnset,
     .field = "tunnel.sequence",
     .verbs = Bit(Verb::kSet),
     .help = "no GRE sequence numbers"},
    {.name = "ttl",
     .kind = ValueKind::kNumber,
     .value = "N|inherit",
     .field = "tunnel.ttl",
     .keyword = "inherit",
     .keyword_field = "tunnel.ttl_inherit",
     .verbs = kSpec,
     .help = "outer TTL or hop limit, 1 to 255 (default 64)"},
    {.name = "tos",
     .kind = ValueKind::kNumber,
     .value = "N|inherit",
     .field = "tunnel.tos",
     .keyword = "inherit",
     .verbs = kSpec,
     .help = "outer TOS or traffic class, 0 to 252 in steps of 4 (default "
             "inherit)"},
    {.name = "df",
     .kind = ValueKind::kEnum,
     .value = "on|off|inherit",
     .field = "tunnel.df",
     .enum_prefix = "DF_",
     .verbs = kSpec,
     .help = "Don't Fragment bit of an IPv4 outer header (default on)"},
    {.name = "ecn",
     .kind = ValueKind::kEnum,
     .value = "normal|compat",
     .field = "tunnel.ecn",
     .enum_prefix = "ECN_",
     .verbs = kSpec,
     .help = "RFC 6040 mode; compat sends Not-ECT (default normal)"},
    {.name = "mtu",
     .kind = ValueKind::kNumber,
     .value = "N|auto",
     .field = "tunnel.mtu",
     .keyword = "auto",
     .verbs = kSpec,
     .help = "MTU in bytes (default auto: that of the route less the "
             "overhead)"},
    {.name = "dev",
     .kind = ValueKind::kText,
     .value = "IFACE",
     .field = "tunnel.underlay_device",
     .verbs = kSpec,
     .help = "interface that outer packets leave and arrive by"},
    {.name = "nodev",
     .kind = ValueKind::kUnset,
     .field = "tunnel.underlay_device",
     .verbs = Bit(Verb::kSet),
     .help = "any interface"},
    {.name = "fwmark",
     .kind = ValueKind::kNumber,
     .value = "N",
     .field = "tunnel.fwmark",
     .verbs = kSpec,
     .help = "routing mark of outer packets, 0 for none"},
    {.name = "address",
     .kind = ValueKind::kList,
     .value = "CIDR",
     .field = "tunnel.addresses",
     .verbs = kSpec,
     .help = "address of the interface, again for more; set replaces all"},
    {.name = "noaddress",
     .kind = ValueKind::kUnset,
     .field = "tunnel.addresses",
     .verbs = Bit(Verb::kSet),
     .help = "remove all addresses of the interface"},
    {.name = "queues",
     .kind = ValueKind::kNumber,
     .value = "N",
     .field = "tunnel.queues",
     .verbs = kSpec,
     .help = "queues of the device, 1 to 256; 0 is one a worker"},
    {.name = "txqueuelen",
     .kind = ValueKind::kNumber,
     .value = "N",
     .field = "tunnel.txqueuelen",
     .verbs = kSpec,
     .help = "packets that each device queue holds; 0 is the default"},
    {.name = "label",
     .kind = ValueKind::kLabel,
     .value = "K=V",
     .field = "tunnel.labels",
     .verbs = kSpec,
     .help = "set one label, again for more; other labels stay"},
    {.name = "nolabel",
     .kind = ValueKind::kLabelKey,
     .value = "K",
     .field = "tunnel.labels",
     .verbs = Bit(Verb::kSet),
     .help = "remove one label"},
    {.name = "up",
     .kind = ValueKind::kConstant,
     .field = "tunnel.admin_state",
     .constant = tunnel::v1::ADMIN_UP,
     .verbs = kSpec,
     .help = "administratively up (default)"},
    {.name = "down",
     .kind = ValueKind::kConstant,
     .field = "tunnel.admin_state",
     .constant = tunnel::v1::ADMIN_DOWN,
     .verbs = kSpec,
     .help = "administratively down"},
    {.name = "max",
     .kind = ValueKind::kDuration,
     .value = "D",
     .field = "max_duration",
     .verbs = Bit(Verb::kPause),
     .help = "resume by itself after this long"},
    {.name = "if-exists",
     .kind = ValueKind::kSwitch,
     .field = "allow_missing",
     .verbs = Bit(Verb::kDelete),
     .help = "a tunnel that does not exist is no error"},
    {.name = "dry-run",
     .kind = ValueKind::kSwitch,
     .field = "options.validate_only",
     .verbs = kMutations,
     .help = "all checks and errors, no effect"},
    {.name = "if-match",
     .kind = ValueKind::kText,
     .value = "ETAG",
     .field = "options.if_match",
     .verbs = kMutations & ~Bit(Verb::kCreate),
     .help = "only when the tunnel still has this etag"},
    {.name = "lock-timeout",
     .kind = ValueKind::kDuration,
     .value = "D",
     .field = "options.lock_timeout",
     .verbs = kMutations,
     .help = "give up when the configuration lock is not had within this"},
    {.name = "wait",
     .kind = ValueKind::kDuration,
     .value = "D",
     .verbs = kCalls,
     .help = "deadline of the whole call (default 60s to write, 10s to read)"},
    {.name = "since",
     .kind = ValueKind::kText,
     .value = "[EPOCH:]REV",
     .verbs = Bit(Verb::kWatch),
     .flag_only = true,
     .help = "go on after this revision instead of a new snapshot"},
    {.name = "details",
     .short_flag = 'd',
     .kind = ValueKind::kSwitch,
     .verbs = Bit(Verb::kShow) | Bit(Verb::kStats),
     .flag_only = true,
     .help = "everything there is"},
    {.name = "output",
     .short_flag = 'o',
     .kind = ValueKind::kChoice,
     .value = "text|json|name",
     .verbs = Bit(Verb::kShow),
     .flag_only = true,
     .help = "form of the output; name is one name a line"},
    {.name = "target",
     .kind = ValueKind::kText,
     .value = "unix:PATH|HOST:PORT",
     .verbs = kAll,
     .flag_only = true,
     .help = "where the daemon listens (else $TUNNELCTL_TARGET, else "
             "unix:/run/tunneld/tunneld.sock)"},
    {.name = "json",
     .short_flag = 'j',
     .kind = ValueKind::kSwitch,
     .verbs = kAll,
     .flag_only = true,
     .help = "JSON on stdout, and errors as JSON on stderr"},
    {.name = "pretty",
     .short_flag = 'p',
     .kind = ValueKind::kSwitch,
     .verbs = kAll,
     .flag_only = true,
     .help = "indented JSON"},
    {.name = "color",
     .kind = ValueKind::kChoice,
     .value = "auto|always|never",
     .verbs = kAll,
     .flag_only = true,
     .help = "colour in text (default auto: on a terminal, unless NO_COLOR)"},
    {.name = "help",
     .short_flag = 'h',
     .kind = ValueKind::kSwitch,
     .verbs = kAll,
     .flag_only = true,
     .help = "help on the command"},
};

}  // namespace

absl::Span<const CommandInfo> Commands() { return kCommands; }
absl::Span<const WordInfo> Words() { return kWords; }

bool IsGlobal(const WordInfo& word) { return word.verbs == kAll; }

bool WantsValue(const WordInfo& word) { return !word.value.empty(); }

bool IsRepeatable(const WordInfo& word) {
  return word.kind == ValueKind::kList || word.kind == ValueKind::kLabel ||
         word.kind == ValueKind::kLabelKey;
}

std::vector<absl::string_view> Choices(const WordInfo& word) {
  std::vector<absl::string_view> choices;
  for (absl::string_view part : absl::StrSplit(word.value, '|')) {
    if (!part.empty() && absl::ascii_islower(part.front()) &&
        part.find(':') == absl::string_view::npos) {
      choices.push_back(part);
    }
  }
  return choices;
}

const CommandInfo& Command(Verb verb) {
  return kCommands[static_cast<size_t>(verb)];
}

const CommandInfo* FindCommand(absl::string_view name) {
  for (const CommandInfo& command : kCommands) {
    if (command.name == name) return &command;
    if (!command.alias.empty() && command.alias == name) return &command;
  }
  return nullptr;
}

const WordInfo* FindWord(const CommandInfo& command, absl::string_view name) {
  for (const WordInfo& word : kWords) {
    if (word.name == name && Takes(command, word)) return &word;
  }
  return nullptr;
}

const WordInfo* FindShortFlag(const CommandInfo& command, char flag) {
  for (const WordInfo& word : kWords) {
    if (word.short_flag == flag && Takes(command, word)) return &word;
  }
  return nullptr;
}

bool IsMutation(Verb verb) { return (kMutations & Bit(verb)) != 0; }

}  // namespace tunnel::ctl::cli
