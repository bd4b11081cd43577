// Values of the C interface for its tests.

#ifndef ENCAP_C_VALUES_FOR_TEST_H_
#define ENCAP_C_VALUES_FOR_TEST_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "encap/c/encap.h"
#include "encap/packets_for_test.h"

namespace encap::testing {

inline encap_address Address(const char* text) {
  encap_address address = {};
  EXPECT_EQ(encap_address_parse(text, &address), ENCAP_OK) << text;
  return address;
}

inline encap_config GreConfig() {
  encap_config config;
  encap_config_init(&config, sizeof(config));
  config.mode = ENCAP_GRE;
  config.local = Address("192.0.2.1");
  config.remote = Address("192.0.2.2");
  config.has_input_key = config.has_output_key = 1;
  config.input_key = config.output_key = 42;
  return config;
}

inline encap_config PeerOf(encap_config config) {
  std::swap(config.local, config.remote);
  return config;
}

// A packet in a buffer with headroom.
struct Buffer {
  explicit Buffer(const Bytes& bytes) : storage(ENCAP_HEADROOM + bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), storage.begin() + ENCAP_HEADROOM);
    packet.storage = storage.data();
    packet.capacity = storage.size();
    packet.offset = ENCAP_HEADROOM;
    packet.length = bytes.size();
  }
  Bytes storage;
  encap_packet packet = {};
};

inline Bytes BytesOf(const encap_packet& packet) {
  const uint8_t* at = packet.storage + packet.offset;
  return {at, at + packet.length};
}

}  // namespace encap::testing

#endif  // ENCAP_C_VALUES_FOR_TEST_H_
