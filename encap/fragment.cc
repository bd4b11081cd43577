#include "encap/fragment.h"

#include <algorithm>
#include <cstring>

#include "encap/checksum.h"
#include "encap/wire/ipv4.h"
#include "encap/wire/ipv6.h"

namespace encap {
namespace {

// Fragments but the last carry a multiple of 8 bytes.
constexpr size_t kUnit = 8;

// Options of IPv4 (RFC 791 3.1).
constexpr uint8_t kEndOfOptions = 0;
constexpr uint8_t kNoOperation = 1;
constexpr uint8_t kCopied = 0x80;

// Bytes of the option that `options` begins with; 0 when it is malformed.
size_t OptionLen(std::span<const uint8_t> options) noexcept {
  if (options[0] == kEndOfOptions || options[0] == kNoOperation) return 1;
  if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) {
    return 0;
  }
  return options[1];
}

// Copies to `to` the options that each fragment has, padded to four bytes.
// Returns their bytes. `options` must have been walked by OptionsAreSound().
size_t CopyOptions(std::span<const uint8_t> options, uint8_t* to) noexcept {
  size_t copied = 0;
  while (!options.empty() && options[0] != kEndOfOptions) {
    const size_t len = OptionLen(options);
    if (options[0] & kCopied) {
      std::memcpy(to + copied, options.data(), len);
      copied += len;
    }
    options = options.subspan(len);
  }
  while (copied % 4 != 0) to[copied++] = kEndOfOptions;
  return copied;
}

bool OptionsAreSound(std::span<const uint8_t> options) noexcept {
  while (!options.empty() && options[0] != kEndOfOptions) {
    const size_t len = OptionLen(options);
    if (len == 0) return false;
    options = options.subspan(len);
  }
  return true;
}

bool IsExtension(uint8_t next) noexcept {
  return next == kIpv6HopByHop || next == kIpv6Routing ||
         next == kIpv6DestinationOptions;
}

// Where the headers end that each fragment has: behind the routing header, else
// behind the hop-by-hop options, else behind the IPv6 header (RFC 8200 4.5).
struct PerFragmentHeaders {
  size_t len = ConstIpv6Header::kLen;
  // Of the byte that says what follows them.
  size_t next_header_at = ConstIpv6Header::kNextHeader;
};

DropReason FindPerFragmentHeaders(std::span<const uint8_t> ip,
                                  PerFragmentHeaders& found) noexcept {
  constexpr int kMaxHeaders = 8;
  size_t offset = ConstIpv6Header::kLen;
  size_t next_at = ConstIpv6Header::kNextHeader;
  for (int i = 0; i < kMaxHeaders && IsExtension(ip[next_at]); ++i) {
    if (ip.size() - offset < Ipv6ExtensionHeader::kMinLen) {
      return DropReason::kTruncated;
    }
    const size_t len = Ipv6ExtensionHeader(ip.data() + offset).header_len();
    if (len > ip.size() - offset) return DropReason::kTruncated;
    const bool in_all = ip[next_at] != kIpv6DestinationOptions;
    next_at = offset;
    offset += len;
    if (in_all) found = {offset, next_at};
  }
  return ip[next_at] == kIpv6Fragment ? DropReason::kBadIpHeader
                                      : DropReason::kNone;
}

}  // namespace

DropReason Fragmenter::Start(std::span<const uint8_t> packet,
                             const FragmentOptions& options,
                             Fragmenter& cut) noexcept {
  cut = Fragmenter();
  if (packet.size() <= options.prefix_len) return DropReason::kTruncated;
  Fragmenter started;
  started.prefix_len_ = options.prefix_len;
  started.mtu_ = options.mtu;
  DropReason reason = DropReason::kBadIpHeader;
  switch (packet[options.prefix_len] >> 4) {
    case 4:
      reason = started.StartIpv4(packet, options);
      break;
    case 6:
      reason = started.StartIpv6(packet, options);
      break;
  }
  if (reason != DropReason::kNone) return reason;
  started.done_ = false;
  cut = started;
  return DropReason::kNone;
}

DropReason Fragmenter::StartIpv4(std::span<const uint8_t> packet,
                                 const FragmentOptions& options) noexcept {
  const std::span<const uint8_t> bytes = packet.subspan(prefix_len_);
  if (bytes.size() < ConstIpv4Header::kMinLen) return DropReason::kTruncated;
  const ConstIpv4Header ip(bytes.data());
  const size_t header_len = ip.header_len();
  const size_t total_len = ip.total_length();
  if (header_len < ConstIpv4Header::kMinLen || total_len < header_len) {
    return DropReason::kBadIpHeader;
  }
  if (total_len > bytes.size()) return DropReason::kTruncated;
  if (!OptionsAreSound(bytes.subspan(ConstIpv4Header::kMinLen,
                                     header_len - ConstIpv4Header::kMinLen))) {
    return DropReason::kBadIpHeader;
  }
  first_offset_ = ip.fragment_offset();
  more_follow_ = ip.more_fragments();
  payload_ = bytes.subspan(header_len, total_len - header_len);
  // An offset counts up to 65,535 bytes, and units of 8 where more follow.
  if (first_offset_ + payload_.size() > 0xffff ||
      (more_follow_ && payload_.size() % kUnit != 0)) {
    return DropReason::kBadIpHeader;
  }
  if ((ip.dont_fragment() && !options.ignore_dont_fragment) ||
      mtu_ < header_len + kUnit) {
    return DropReason::kTooBig;
  }
  packet_ = packet.first(prefix_len_ + total_len);
  header_len_ = static_cast<uint16_t>(header_len);
  identification_ = options.identification.value_or(ip.identification());
  return DropReason::kNone;
}

DropReason Fragmenter::StartIpv6(std::span<const uint8_t> packet,
                                 const FragmentOptions& options) noexcept {
  const std::span<const uint8_t> bytes = packet.subspan(prefix_len_);
  if (bytes.size() < ConstIpv6Header::kLen) return DropReason::kTruncated;
  const size_t total_len =
      ConstIpv6Header::kLen + ConstIpv6Header(bytes.data()).payload_length();
  if (total_len > bytes.size()) return DropReason::kTruncated;
  PerFragmentHeaders headers;
  const DropReason reason =
      FindPerFragmentHeaders(bytes.first(total_len), headers);
  if (reason != DropReason::kNone) return reason;
  const size_t header_len = headers.len + Ipv6FragmentHeader::kLen;
  if (mtu_ < header_len + kUnit || !options.identification) {
    return DropReason::kTooBig;
  }
  is_v6_ = true;
  packet_ = packet.first(prefix_len_ + total_len);
  payload_ = packet_.subspan(prefix_len_ + headers.len);
  header_len_ = static_cast<uint16_t>(header_len);
  next_header_at_ = static_cast<uint16_t>(headers.next_header_at);
  identification_ = *options.identification;
  return DropReason::kNone;
}

size_t Fragmenter::Next(std::span<uint8_t> out) noexcept {
  if (done_) return 0;
  const size_t rest = payload_.size() - next_;
  const size_t room = mtu_ - header_len_;
  const size_t len = rest <= room ? rest : room / kUnit * kUnit;
  const size_t size = prefix_len_ + header_len_ + len;
  if (out.size() < size) return 0;
  if (prefix_len_ != 0) std::memcpy(out.data(), packet_.data(), prefix_len_);
  uint8_t* header = out.data() + prefix_len_;
  if (len != 0) {
    std::memcpy(header + header_len_, payload_.data() + next_, len);
  }
  if (is_v6_) {
    WriteIpv6Header(header, len);
  } else {
    WriteIpv4Header(header, len);
  }
  next_ += len;
  done_ = next_ == payload_.size();
  return size;
}

void Fragmenter::WriteIpv4Header(uint8_t* header, size_t len) noexcept {
  const std::span<const uint8_t> original = packet_.subspan(prefix_len_);
  const size_t original_len = ConstIpv4Header(original.data()).header_len();
  const size_t this_len = header_len_;
  if (next_ == 0) {
    std::memcpy(header, original.data(), this_len);
  } else {
    std::memcpy(header, original.data(), ConstIpv4Header::kMinLen);
    CopyOptions(original.subspan(ConstIpv4Header::kMinLen,
                                 original_len - ConstIpv4Header::kMinLen),
                header + ConstIpv4Header::kMinLen);
  }
  Ipv4Header ip(header);
  ip.set_version_and_header_len(this_len);
  ip.set_total_length(static_cast<uint16_t>(this_len + len));
  ip.set_identification(static_cast<uint16_t>(identification_));
  const bool last = next_ + len == payload_.size();
  ip.set_fragment(false, !last || more_follow_,
                  first_offset_ + static_cast<uint32_t>(next_));
  ip.set_checksum(Be16(0));
  ip.set_checksum(InternetChecksum({header, this_len}));
  if (next_ == 0) {
    // Those behind the first have the copied options alone.
    uint8_t options[Ipv4Header::kMaxLen];
    header_len_ = static_cast<uint16_t>(
        ConstIpv4Header::kMinLen +
        CopyOptions(original.subspan(ConstIpv4Header::kMinLen,
                                     original_len - ConstIpv4Header::kMinLen),
                    options));
  }
}

void Fragmenter::WriteIpv6Header(uint8_t* header, size_t len) noexcept {
  const size_t before = header_len_ - Ipv6FragmentHeader::kLen;
  std::memcpy(header, packet_.data() + prefix_len_, before);
  const uint8_t next_header = header[next_header_at_];
  header[next_header_at_] = kIpv6Fragment;
  Ipv6Header(header).set_payload_length(
      static_cast<uint16_t>(header_len_ - Ipv6Header::kLen + len));
  uint8_t* fragment = header + before;
  const bool last = next_ + len == payload_.size();
  fragment[0] = next_header;
  fragment[1] = 0;
  Put16(fragment + 2, static_cast<uint16_t>(next_ | (last ? 0 : 1)));
  Put32(fragment + 4, identification_);
}

}  // namespace encap
