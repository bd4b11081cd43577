// QueueContext: one device queue in the hands of one worker.

#ifndef TUNNEL_PATH_QUEUE_CONTEXT_H_
#define TUNNEL_PATH_QUEUE_CONTEXT_H_

#include <cstdint>

#include "tunnel/endpoint/endpoint.h"
#include "tunnel/tun/tun_device.h"

namespace tunnel {

// Made by the control side; from WorkerPool::Add() until Remove() has returned
// it belongs to its worker alone.
struct QueueContext {
  Endpoint* endpoint = nullptr;
  TunQueue* queue = nullptr;
  // The worker has stopped to read because the output is paused, or has no
  // credit: what comes waits in the device queue.
  bool parked = false;
  // Set by Output::Run(): ns without credit from then on; 0: none.
  uint64_t wait_ns = 0;
  // The device has gone from the system.
  bool gone = false;
};

}  // namespace tunnel

#endif  // TUNNEL_PATH_QUEUE_CONTEXT_H_
