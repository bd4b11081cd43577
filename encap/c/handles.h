// What the opaque handles of the C interface are, and how failures become
// numbers.

#ifndef ENCAP_C_HANDLES_H_
#define ENCAP_C_HANDLES_H_

#include <new>

#include "encap/c/convert.h"
#include "encap/c/encap.h"
#include "encap/decapsulator.h"
#include "encap/encapsulator.h"
#include "encap/size_policy.h"

struct encap_encapsulator {
  explicit encap_encapsulator(const encap::EncapConfig& config)
      : encapsulator(config), size_policy(config) {}
  encap::Encapsulator encapsulator;
  encap::SizePolicy size_policy;
};

struct encap_decapsulator {
  explicit encap_decapsulator(const encap::EncapConfig& config)
      : decapsulator(config) {}
  encap::Decapsulator decapsulator;
};

namespace encap::c {

// What `make` does, with what it may throw as a number.
template <typename Make>
encap_status Guarded(Make make) noexcept {
  try {
    return make();
  } catch (const std::bad_alloc&) {
    return ENCAP_NO_MEMORY;
  }
}

template <typename Handle>
encap_status CreateFrom(const encap_config* config, Handle** handle) noexcept {
  return Guarded([&]() -> encap_status {
    EncapConfig valid;
    const encap_status status = ToValidConfig(*config, valid);
    if (status == ENCAP_OK) *handle = new Handle(valid);
    return status;
  });
}

inline uint8_t Number(DropReason reason) noexcept {
  return static_cast<uint8_t>(reason);
}

}  // namespace encap::c

#endif  // ENCAP_C_HANDLES_H_
