// Timed: runs one step of a change and notes how long it took.

#ifndef TUNNEL_REWIRE_TIMED_H_
#define TUNNEL_REWIRE_TIMED_H_

#include "tunnel/base/clock.h"
#include "tunnel/tunnel_types.h"

namespace tunnel {

template <typename Step>
void Timed(ChangeTiming::Span& span, Step&& step) {
  const SteadyTime start = SteadyNow();
  step();
  span = Since(start);
}

}  // namespace tunnel

#endif  // TUNNEL_REWIRE_TIMED_H_
