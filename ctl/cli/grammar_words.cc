#include <iterator>
#include <vector>

#include "ctl/cli/grammar.h"

namespace tunnel::ctl::cli {
namespace {

constexpr uint32_t kAll = ~uint32_t{0};
constexpr uint32_t kSpec = Bit(Verb::kCreate) | Bit(Verb::kSet);
// What takes the options of changes.
constexpr uint32_t kOptions =
    kSpec | Bit(Verb::kDelete) | Bit(Verb::kUp) | Bit(Verb::kDown) |
    Bit(Verb::kPause) | Bit(Verb::kResume) | Bit(Verb::kDetach) |
    Bit(Verb::kAttach) | Bit(Verb::kApply) | Bit(Verb::kRevert);
constexpr uint32_t kMutations = kOptions | Bit(Verb::kConfirm);
// What reads a config file.
constexpr uint32_t kFiles =
    Bit(Verb::kApply) | Bit(Verb::kDiff) | Bit(Verb::kValidate);
constexpr uint32_t kCalls =
    kMutations | kFiles | Bit(Verb::kShow) | Bit(Verb::kStats) |
    Bit(Verb::kTop) | Bit(Verb::kMetrics) | Bit(Verb::kLockShow) |
    Bit(Verb::kLockInterrupt) | Bit(Verb::kResizeHandoff);

// Behind those of the spec.
constexpr WordInfo kWords[] = {
    {.name = "max",
     .kind = ValueKind::kDuration,
     .value = "D",
     .field = "max_duration",
     .verbs = Bit(Verb::kPause),
     .help = "resume by itself after this long"},
    {.name = "overlap",
     .kind = ValueKind::kDuration,
     .value = "D",
     .field = "options.overlap",
     .verbs = Bit(Verb::kSet),
     .help = "receive by the old identity too for so long, send by the new one "
             "after half of it"},
    {.name = "file",
     .short_flag = 'f',
     .kind = ValueKind::kText,
     .value = "FILE|-",
     .verbs = kFiles,
     .help = "the tunnels, as TOML or JSON (docs/config_file.md); - is stdin"},
    {.name = "side",
     .kind = ValueKind::kChoice,
     .value = "outer|inner|drop|all",
     .verbs = Bit(Verb::kCapture),
     .help = "packets as on the underlay, as in the interface, or those that "
             "are dropped, with the reason (default outer)"},
    {.name = "write",
     .short_flag = 'w',
     .kind = ValueKind::kText,
     .value = "FILE|-",
     .verbs = Bit(Verb::kCapture),
     .help = "the pcapng file to make (default -: stdout)"},
    {.name = "packets",
     .short_flag = 'c',
     .kind = ValueKind::kNumber,
     .value = "N",
     .verbs = Bit(Verb::kCapture),
     .help = "end after so many packets"},
    {.name = "snap-length",
     .short_flag = 's',
     .kind = ValueKind::kNumber,
     .value = "N",
     .verbs = Bit(Verb::kCapture),
     .help = "bytes kept of each packet (default 0: all)"},
    {.name = "prune",
     .kind = ValueKind::kSwitch,
     .field = "prune",
     .verbs = kFiles,
     .help = "delete the tunnels that are not in the file"},
    {.name = "confirm",
     .kind = ValueKind::kDuration,
     .value = "D",
     .field = "confirm_within",
     .verbs = Bit(Verb::kApply),
     .help = "go back by itself after this long unless 'tunnelctl confirm' "
             "comes"},
    {.name = "offline",
     .kind = ValueKind::kSwitch,
     .verbs = Bit(Verb::kValidate),
     .help = "check the file alone, ask no daemon"},
    {.name = "if-exists",
     .kind = ValueKind::kSwitch,
     .field = "allow_missing",
     .verbs = Bit(Verb::kDelete),
     .help = "a tunnel that does not exist is no error"},
    {.name = "dry-run",
     .kind = ValueKind::kSwitch,
     .field = "options.validate_only",
     .verbs = kOptions,
     .help = "all checks and errors, no effect"},
    {.name = "if-match",
     .kind = ValueKind::kText,
     .value = "ETAG",
     .field = "options.if_match",
     .verbs = kOptions & ~Bit(Verb::kCreate),
     .help = "only when the tunnel (apply, revert: the whole configuration) "
             "still has this etag"},
    {.name = "lock-timeout",
     .kind = ValueKind::kDuration,
     .value = "D",
     .field = "options.lock_timeout",
     .verbs = kOptions | Bit(Verb::kDiff),
     .help = "give up when the configuration lock is not had within this"},
    {.name = "request-id",
     .kind = ValueKind::kText,
     .value = "UUID",
     .field = "options.request_id",
     .verbs = kOptions,
     .help =
         "a repetition with the same id gives the first outcome (default: a "
         "new one)"},
    {.name = "wait",
     .kind = ValueKind::kDuration,
     .value = "D",
     .verbs = kCalls,
     .help = "deadline of the whole call (default 60s to write, 10s to read)"},
    {.name = "interval",
     .short_flag = 'i',
     .kind = ValueKind::kDuration,
     .value = "D",
     .verbs = Bit(Verb::kTop),
     .flag_only = true,
     .help = "time that each figure is of, from 10ms (default 1s)"},
    {.name = "count",
     .short_flag = 'n',
     .kind = ValueKind::kNumber,
     .value = "N",
     .verbs = Bit(Verb::kTop),
     .flag_only = true,
     .help = "end after so many; 0: with Ctrl-C (default)"},
    {.name = "once",
     .kind = ValueKind::kSwitch,
     .verbs = Bit(Verb::kTop),
     .flag_only = true,
     .help = "as --count 1"},
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
     .value = "text|json|name|toml",
     .verbs = Bit(Verb::kShow),
     .flag_only = true,
     .help =
         "form of the output; name is one name a line, toml a file for apply"},
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

absl::Span<const WordInfo> Words() {
  static const auto& all = *[] {
    const absl::Span<const WordInfo> spec = SpecWords();
    auto* words = new std::vector<WordInfo>(spec.begin(), spec.end());
    words->insert(words->end(), std::begin(kWords), std::end(kWords));
    return words;
  }();
  return all;
}

bool IsGlobal(const WordInfo& word) { return word.verbs == kAll; }

bool IsMutation(Verb verb) { return (kMutations & Bit(verb)) != 0; }

}  // namespace tunnel::ctl::cli
