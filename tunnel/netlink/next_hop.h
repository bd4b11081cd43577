// NextHop: where the frames of one way to a remote go on the link, as far as
// it is known. What follows the routes and neighbours of the kernel writes it;
// any worker reads it.
//
// Two words hold a value, and both the number of the change that wrote them
// [N1]. A reader that finds two numbers has met a change under way and takes
// the next hop for unknown, so it never sees half of one. The numbers order
// nothing else, so all accesses are relaxed: who reads the old value sends a
// packet as it would have done a moment before.

#ifndef TUNNEL_NETLINK_NEXT_HOP_H_
#define TUNNEL_NETLINK_NEXT_HOP_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

namespace tunnel {

using MacAddress = std::array<uint8_t, 6>;  // as on the wire

struct LinkDestination {
  uint32_t ifindex = 0;  // of the interface to leave by; 0: not known
  uint32_t mtu = 0;      // bytes of an outer packet that it carries
  MacAddress address{};  // of the next hop

  friend bool operator==(const LinkDestination&,
                         const LinkDestination&) = default;
};

// When packets go straight to the next hop, where it is known.
enum class LinkSending {
  kNever,
  kWithoutRules,  // while nothing on the host looks at what it sends
  kAlways,
};

class NextHop {
 public:
  NextHop() = default;
  NextHop(const NextHop&) = delete;
  NextHop& operator=(const NextHop&) = delete;

  // Any thread. ifindex 0: not known, the kernel has to find the way.
  LinkDestination Load() const noexcept {
    const uint64_t one = address_.load(std::memory_order_relaxed);  // Set()
    const uint64_t two = link_.load(std::memory_order_relaxed);     // [N1]
    if ((one ^ two) << kNumberShift != 0) return {};
    LinkDestination to{.ifindex = static_cast<uint32_t>(two >> 32),
                       .mtu = static_cast<uint32_t>(two >> 16 & 0xffff)};
    for (size_t i = 0; i < to.address.size(); ++i)
      to.address[i] = static_cast<uint8_t>(one >> (56 - 8 * i));
    return to;
  }

  // One thread at a time. An MTU above 65,535 is taken for that.
  void Set(const LinkDestination& to) noexcept {
    uint64_t one = ++changes_;
    for (size_t i = 0; i < to.address.size(); ++i)
      one |= uint64_t{to.address[i]} << (56 - 8 * i);
    const uint64_t two = uint64_t{to.ifindex} << 32 |
                         uint64_t{std::min(to.mtu, 0xffffu)} << 16 | changes_;
    address_.store(one, std::memory_order_relaxed);  // Load() [N1]
    link_.store(two, std::memory_order_relaxed);     // Load() [N1]
  }
  void Clear() noexcept { Set({}); }

 private:
  static constexpr int kNumberShift = 48;  // leaves the lowest 16 bits

  std::atomic<uint64_t> address_{0};  // 48 bits of address, 16 of changes_
  std::atomic<uint64_t> link_{0};     // 32 of ifindex, 16 of MTU, 16 as above
  uint16_t changes_ = 0;
};

}  // namespace tunnel

#endif  // TUNNEL_NETLINK_NEXT_HOP_H_
