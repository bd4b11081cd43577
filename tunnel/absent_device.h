// AbsentDevice: stands for the device of a tunnel that has none. It has no
// queue; nothing may be attached to it.

#ifndef TUNNEL_ABSENT_DEVICE_H_
#define TUNNEL_ABSENT_DEVICE_H_

#include <cstdlib>
#include <string>
#include <utility>

#include "tunnel/tun/tun_device.h"

namespace tunnel {

class AbsentDevice : public TunDevice {
 public:
  explicit AbsentDevice(std::string name) : name_(std::move(name)) {}
  const std::string& name() const override { return name_; }
  uint32_t ifindex() const override { return 0; }
  size_t queue_count() const override { return 0; }
  TunQueue& queue(size_t) override { abort(); }  // there is none
  absl::Status SetPersistent(bool) override { return absl::OkStatus(); }

 private:
  const std::string name_;
};

}  // namespace tunnel

#endif  // TUNNEL_ABSENT_DEVICE_H_
