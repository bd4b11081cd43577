#include "tunnel/next_hop_text.h"

#include <net/if.h>

#include <array>
#include <memory>

#include "absl/strings/str_cat.h"

namespace tunnel {

std::string NextHopText(const TunnelView& view) {
  const std::shared_ptr<const NextHop> link = view.link.lock();
  if (link == nullptr || view.datapath_in_use == DatapathMode::kBpf) return "";
  const LinkDestination to = link->Load();
  std::array<char, IF_NAMESIZE> name{};
  // An interface that has just gone has no name.
  if (to.ifindex == 0 || if_indextoname(to.ifindex, name.data()) == nullptr)
    return "";
  std::string text;
  for (const uint8_t byte : to.address)
    absl::StrAppend(&text, text.empty() ? "" : ":",
                    absl::Hex(byte, absl::kZeroPad2));
  return absl::StrCat(text, " dev ", name.data());
}

}  // namespace tunnel
