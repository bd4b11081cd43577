/* Qsbr (tunnel/sync/qsbr.h) with store buffers: [Q1] and [Q2].
 *
 * x86-TSO: a store waits in the buffer of its CPU until the hardware writes it
 * to memory; a seq_cst store (XCHG) goes on only when the buffer is empty. The
 * worker enters a section, loads the published pointer, reads the value and
 * leaves; the control thread exchanges the pointer, waits for the grace period
 * and frees the old value. The section counter counts modulo 4: a wait can get
 * longer by that, never shorter.
 *
 * Below TSO, for [Q2]: a load may be done after a later relaxed store
 * (LEAVE_RELAXED), as on AArch64. */
#include "holds.h"

hidden byte no_use_after_free, no_output_after_pause;

byte counter;                 /* memory: Reader::counter_ */
byte pointer = 1;             /* memory: Snapshot; value 1 or 2, 0 is null */
bool freed[3];                /* the value is freed */
bool silent;                  /* ghost: pause has returned */
/* Store buffers, one store each. */
bool bc; byte bc_v;           /* worker: counter */
bool bp; byte bp_v;           /* control: pointer */
#define WORKER_DRAINED  (!bc)
#define CONTROL_DRAINED (!bp)

active proctype hardware() {
end:
  do
  :: atomic { bc -> counter = bc_v; bc = false; bc_v = 0 }
  :: atomic { bp -> pointer = bp_v; bp = false; bp_v = 0 }
  od
}

active proctype worker() {
  byte own, v;
  do
  :: atomic { WORKER_DRAINED -> own = (own + 1) % 4; bc = true; bc_v = own };
#ifndef ENTER_RELAXED
     WORKER_DRAINED;                          /* Enter() is seq_cst [Q1] */
#endif
     v = pointer;                             /* Snapshot::Load() [Q1] */
     if
     :: v != 0 -> HOLDS(no_output_after_pause, !silent);
#ifdef LEAVE_RELAXED
        /* Leave() becomes visible before the read of the value is done. */
        atomic { WORKER_DRAINED -> own = (own + 1) % 4; bc = true; bc_v = own };
        WORKER_DRAINED;
        HOLDS(no_use_after_free, !freed[v]);
        goto left
#else
        HOLDS(no_use_after_free, !freed[v])
#endif
     :: else
     fi;
     /* Leave() is a release store: in order, but it may wait in the buffer. */
     atomic { WORKER_DRAINED -> own = (own + 1) % 4; bc = true; bc_v = own };
left: v = 0
  od
}

inline publish(next) {
  atomic { CONTROL_DRAINED -> bp = true; bp_v = next };
#ifndef PUBLISH_RELAXED
  CONTROL_DRAINED                             /* exchange, seq_cst [Q1] */
#else
  skip
#endif
}
inline wait() {
  was = counter;                              /* seq_cst load [Q1] [Q2] */
  if
  :: was % 2 == 1 -> counter != was
  :: else
  fi;
  was = 0
}

active proctype control() {
  byte now = 1, was;
  do
  :: now != 0 ->                              /* publish another value */
     freed[3 - now] = false;
     publish(3 - now);
     wait();
     freed[now] = true;
     now = 3 - now
  :: now != 0 ->                              /* pause, then resume */
     publish(0);
     wait();
     silent = true; freed[now] = true;
     silent = false; freed[now] = false;
     publish(now)
  od
}
