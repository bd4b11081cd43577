// Text and JSON of `tunnelctl top`.

#ifndef CTL_CLI_RENDER_TOP_H_
#define CTL_CLI_RENDER_TOP_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "ctl/cli/top_view.h"

namespace tunnel::ctl::cli {

// A line with the sums; tables of tunnels, workers and, where there are any,
// hand-offs. Rates with a unit from 1000 on: "12.3k". When the text had more
// than `lines` lines, tunnels at the end are left out and counted; 0: no limit.
std::string TopText(const TopView& view, size_t lines);

// An object with all figures, those of a second named *_per_second. A ratio
// that is absent is left out.
std::string TopJson(const TopView& view, bool pretty);

// The bytes that show `text` on a terminal in place of what it shows.
std::string OnScreen(absl::string_view text);

}  // namespace tunnel::ctl::cli

#endif  // CTL_CLI_RENDER_TOP_H_
