/* Doorbell (tunnel/sync/doorbell.h) with store buffers (x86-TSO): a producer
 * pushes, then exchanges the word; the consumer exchanges it, then looks at the
 * ring [D1]. An exchange empties the buffer of its CPU. Two producers, a ring
 * each. */
#include "holds.h"

hidden byte no_lost_wake_up;

#define P 2
#define M 3                     /* items are counted modulo M */
byte tail[P];                   /* memory */
byte head[P];                   /* the consumer's; producers learn it at once */
bool bt[P]; byte bt_v[P];       /* a producer's buffer: a tail */
bool asleep;                    /* memory: the word */
bool eventfd;                   /* somebody has written to it */
bool blocked;                   /* the consumer is in poll() */
bool ringing[P];                /* between a push and the end of its Ring() */

#define WAITING(p) (tail[p] != head[p])

active proctype hardware() {
end:
  do
  :: atomic { bt[0] -> tail[0] = bt_v[0]; bt[0] = false }
  :: atomic { bt[1] -> tail[1] = bt_v[1]; bt[1] = false }
  od
}

inline ring() {
  /* the exchange: the buffer is empty first */
#ifndef WAKE_RING_FIRST
  atomic { !bt[me] -> found = asleep; asleep = false };
#else
  /* the word is read while the push is still on its way */
  atomic { found = asleep; asleep = false };
#endif
  if
  :: atomic { found -> eventfd = true; found = false }
  :: else
  fi
}

active [P] proctype producer() {
  byte me = _pid - 1;
  bool found;
end:
  do
  :: atomic { !bt[me] && (tail[me] + 1) % M != head[me] ->
       ringing[me] = true; bt[me] = true; bt_v[me] = (tail[me] + 1) % M };
     ring();
     atomic { !bt[me] -> ringing[me] = false }
  od
}

active proctype consumer() {
end:
  do
  :: atomic { WAITING(0) -> head[0] = tail[0] }
  :: atomic { WAITING(1) -> head[1] = tail[1] }
  :: atomic { !WAITING(0) && !WAITING(1) -> skip };
#ifndef WAKE_LOOK_FIRST
     asleep = true;              /* an exchange: nothing is buffered here */
     if
     :: atomic { WAITING(0) || WAITING(1) -> asleep = false }
     :: atomic { else -> blocked = true }
     fi;
#else
     if
     :: WAITING(0) || WAITING(1)
     :: atomic { else -> skip };
        asleep = true;
        blocked = true
     fi;
#endif
     if
     :: blocked ->
        do
        :: atomic { eventfd -> eventfd = false; blocked = false; asleep = false; break }
        :: atomic { !eventfd && !ringing[0] && !ringing[1] ->
             HOLDS(no_lost_wake_up, !WAITING(0) && !WAITING(1));
             (eventfd || ringing[0] || ringing[1]) }
        od
     :: else
     fi
  od
}
