// NoDevice: the device of an endpoint that carries no packet.

#ifndef TUNNEL_ENDPOINT_NO_DEVICE_FOR_TEST_H_
#define TUNNEL_ENDPOINT_NO_DEVICE_FOR_TEST_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

class NoDevice : public TunDevice {
 public:
  const std::string& name() const override { return name_; }
  uint32_t ifindex() const override { return 0; }
  size_t queue_count() const override { return 0; }
  TunQueue& queue(size_t) override { std::abort(); }
  absl::Status SetPersistent(bool) override { return absl::OkStatus(); }

 private:
  std::string name_;
};

}  // namespace tunnel

#endif  // TUNNEL_ENDPOINT_NO_DEVICE_FOR_TEST_H_
