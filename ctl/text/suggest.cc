#include "ctl/text/suggest.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tunnel::ctl {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  // Rows i-2, i-1 and i of the table of distances between prefixes.
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1),
      row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string Nearest(absl::string_view word,
                    const std::vector<absl::string_view>& known) {
  if (word.empty() || word.size() > 64) return "";
  std::string best;
  size_t best_distance = 0;
  for (absl::string_view candidate : known) {
    size_t distance = EditDistance(word, candidate);
    // The beginning of a word is a near miss however much is left out.
    if (word.size() >= 3 && absl::StartsWith(candidate, word)) distance = 1;
    const size_t limit = std::max<size_t>(2, candidate.size() / 3);
    if (distance > limit || distance >= candidate.size()) continue;
    if (best.empty() || distance < best_distance) {
      best = std::string(candidate);
      best_distance = distance;
    }
  }
  return best;
}

std::string DidYouMean(absl::string_view word,
                       const std::vector<absl::string_view>& known) {
  const std::string nearest = Nearest(word, known);
  if (nearest.empty()) return "";
  return absl::StrCat("; did you mean '", nearest, "'?");
}

}  // namespace tunnel::ctl
