/* Hand-off (tunnel/path/handoff.h): packets of one flow of one tunnel, which a
 * worker that receives writes itself or hands to another worker by a lane of 2
 * slots, and steering that is switched at any time. Stores of the other worker
 * may become visible in any order (PSO): [H1]. A packet that is written to a
 * device is out for everybody: a system call. */
#include "holds.h"

hidden byte flow_in_order;
hidden byte endpoint_is_alive;

#define N 2
#define M 4                     /* packets are counted modulo M */
byte lane[N];                   /* numbers of packets on their way */
byte accepted, taken;           /* counts modulo M; the receiver's, the writer's */
byte delivered;                 /* memory */
bool bu;                        /* writer's buffer: the last use of the endpoint */
bool bd; byte bd_v;             /* writer's buffer: a count delivered */
bool steered = true;            /* the variant */
bool in_table = true;           /* packets of the tunnel are received */
bool inside;                    /* the receiver is in its section */
bool freed;                     /* the endpoint */
byte written;                   /* the number that the device wants next */

#define WAITING ((accepted + M - taken) % M)

#ifdef HANDOFF_DONE_RELAXED
#define MAY_SAY_DONE true
#else
#define MAY_SAY_DONE (!bu)      /* release in Done() [H1] */
#endif
#ifdef HANDOFF_UNSETTLED
#define SETTLED true
#else
#define SETTLED (delivered == accepted)
#endif

#define WRITE(number)                                                          \
  HOLDS(flow_in_order, (number) == written);                                   \
  written = (written + 1) % M

active proctype hardware() {
end:
  do
  :: atomic { bu -> HOLDS(endpoint_is_alive, !freed); bu = false }
  :: atomic { bd && MAY_SAY_DONE -> delivered = bd_v; bd = false }
  od
}

/* The variant is loaded once a packet; what is written directly is out before
 * the next packet is staged. */
active proctype receiver() {
  byte number;
  bool lead;
end:
  do
  :: atomic { in_table -> inside = true; lead = steered };
     if
     :: atomic { !lead && SETTLED -> WRITE(number);
          number = (number + 1) % M }
     :: atomic { (lead || !SETTLED) && (accepted + M - delivered) % M < N ->
          lane[accepted % N] = number; accepted = (accepted + 1) % M;
          number = (number + 1) % M }
     :: atomic { (lead || !SETTLED) && (accepted + M - delivered) % M == N ->
          skip }                /* full: dropped, and not counted here */
     fi;
     atomic { inside = false; lead = false }
  od
}

active proctype writer() {
end:
  do
  :: atomic { WAITING > 0 && !bu && !bd -> HOLDS(endpoint_is_alive, !freed);
       WRITE(lane[taken % N]); bu = true };
     atomic { taken = (taken + 1) % M; bd = true; bd_v = taken }   /* Done() */
  od
}

active proctype control() {
  byte until;
end:
  do
  :: atomic { in_table -> steered = !steered }
  :: atomic { in_table -> in_table = false };   /* detach, then delete */
     !inside;                                   /* Qsbr::Wait() */
     atomic { until = accepted };
#ifndef HANDOFF_NOT_AWAITED
     delivered == until;                        /* WaitDelivered(), acquire [H1] */
#endif
     freed = true;
     /* Another tunnel takes its place. */
     atomic { !bu && !bd && WAITING == 0 -> freed = false; in_table = true;
       until = 0 }
  od
}
