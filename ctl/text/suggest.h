// The nearest known word to one that is not known.

#ifndef CTL_TEXT_SUGGEST_H_
#define CTL_TEXT_SUGGEST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace tunnel::ctl {

// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
size_t EditDistance(absl::string_view a, absl::string_view b);

// The known word with the fewest edits; the first of several. "" when even that
// one differs in more than a third of its letters (two at least).
std::string Nearest(absl::string_view word,
                    const std::vector<absl::string_view>& known);

// "; did you mean 'remote'?", or "" when nothing is near.
std::string DidYouMean(absl::string_view word,
                       const std::vector<absl::string_view>& known);

}  // namespace tunnel::ctl

#endif  // CTL_TEXT_SUGGEST_H_
