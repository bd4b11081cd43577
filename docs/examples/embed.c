/* Puts a batch of IPv4 packets into GRE with key 42, and takes them out again:
 * encap from C. */
#include <stdio.h>
#include <string.h>

#include "encap/c/encap.h"

#define PACKETS 4
#define BUFFER 2048

static uint8_t memory[PACKETS][BUFFER];

/* Your buffers: headroom for the outer headers, then the packet (here an IPv4
 * header without payload, 10.9.0.1 to 10.9.0.2). */
static void receive(encap_packet* packets) {
  static const uint8_t ip[20] = {0x45, 0,    0,  20, 0, 0, 0,  0, 64, 253,
                                 0x65, 0xcc, 10, 9,  0, 1, 10, 9, 0,  2};
  size_t i;
  memset(packets, 0, PACKETS * sizeof(*packets));
  for (i = 0; i < PACKETS; ++i) {
    memcpy(memory[i] + ENCAP_HEADROOM, ip, sizeof(ip));
    packets[i].storage = memory[i];
    packets[i].capacity = BUFFER;
    packets[i].offset = ENCAP_HEADROOM;
    packets[i].length = sizeof(ip);
  }
}

int main(void) {
  encap_config config, peer;
  encap_encapsulator* encapsulator;
  encap_decapsulator* decapsulator;
  encap_map* map;
  encap_packet packets[PACKETS];
  encap_drop drops[PACKETS];
  encap_input_result results[PACKETS];
  encap_output_state output = {0, 1, 0};
  encap_input_state input = {0, 0};
  encap_input_tunnel tunnel;
  char message[512] = "an address is malformed";
  size_t sent, received;

  if (encap_abi_version() != ENCAP_ABI_VERSION) return 1;
  encap_config_init(&config, sizeof(config));
  config.mode = ENCAP_GRE;
  config.has_input_key = config.has_output_key = 1;
  config.input_key = config.output_key = 42;
  if (encap_address_parse("192.0.2.1", &config.local) != ENCAP_OK ||
      encap_address_parse("192.0.2.2", &config.remote) != ENCAP_OK ||
      encap_config_check(&config, message, sizeof(message)) != ENCAP_OK) {
    fprintf(stderr, "%s\n", message);
    return 1;
  }
  /* The other end has local and remote the other way round. */
  peer = config;
  peer.local = config.remote;
  peer.remote = config.local;
  if (encap_encapsulator_create(&config, &encapsulator) != ENCAP_OK ||
      encap_decapsulator_create(&peer, &decapsulator) != ENCAP_OK ||
      encap_map_create(&map) != ENCAP_OK ||
      encap_map_insert(map, &peer, 0, NULL) != ENCAP_OK) {
    return 1;
  }

  receive(packets);
  sent =
      encap_encapsulate_batch(encapsulator, packets, PACKETS, &output, drops);
  printf("encapsulate: %s, %lu bytes\n", encap_drop_name(drops[0]),
         (unsigned long)packets[0].length);

  tunnel.decapsulator = decapsulator; /* tunnel 0 of the map */
  tunnel.state = &input;
  received =
      encap_decapsulate_batch(map, &tunnel, 1, 0, packets, PACKETS, results);
  printf("decapsulate: %s, %lu bytes\n", encap_drop_name(results[0].drop),
         (unsigned long)packets[0].length);

  encap_map_destroy(map);
  encap_decapsulator_destroy(decapsulator);
  encap_encapsulator_destroy(encapsulator);
  return sent == PACKETS && received == PACKETS && packets[3].length == 20 ? 0
                                                                           : 1;
}
