// PutControl: control messages of sendmsg(2).

#ifndef TUNNEL_UNDERLAY_CONTROL_MESSAGE_H_
#define TUNNEL_UNDERLAY_CONTROL_MESSAGE_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tunnel {

// Writes one control message at `at`, which has CMSG_SPACE(sizeof(value)) bytes
// of room, and returns that number.
template <typename T>
size_t PutControl(uint8_t* at, int level, int type, const T& value) noexcept {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof(T));
  std::memcpy(at, &header, sizeof(header));
  std::memcpy(at + CMSG_LEN(0), &value, sizeof(value));
  return CMSG_SPACE(sizeof(T));
}

}  // namespace tunnel

#endif  // TUNNEL_UNDERLAY_CONTROL_MESSAGE_H_
