/* SpscRing (tunnel/sync/ring.h) where loads and stores of one CPU may become
 * visible in any order (PSO): [R1] and [R2]. A slot has a full flag of its own;
 * capacity 2. A store sits in the writer's buffer until the hardware shows it. */
#include "holds.h"

hidden byte items_in_order;

#define N 2
#define M 4                     /* items are numbered modulo M */
byte item[N];                   /* memory */
bool taken[N];                   /* memory */
bool bi; byte bi_at, bi_v;      /* producer's buffer: an item */
bool bf; byte bf_at;            /* producer's buffer: a flag set */
bool be; byte be_at;            /* consumer's buffer: a flag cleared */

#ifdef RING_PUSH_RELAXED
#define ITEM_FIRST true
#else
#define ITEM_FIRST (!bi)        /* release in Push() [R1] */
#endif

active proctype hardware() {
end:
  do
  :: atomic { bi -> item[bi_at] = bi_v; bi = false }
  :: atomic { bf && ITEM_FIRST -> taken[bf_at] = true; bf = false }
  :: atomic { be -> taken[be_at] = false; be = false }
  od
}

active proctype producer() {
  byte tail, number;
  do
  :: atomic { !taken[tail] && !bi && !bf ->             /* acquire [R2] */
       bi = true; bi_at = tail; bi_v = number };
     atomic { bf = true; bf_at = tail };
     atomic { tail = (tail + 1) % N; number = (number + 1) % M }
  od
}

active proctype consumer() {
  byte head, want, v;
  do
  :: taken[head] && !be ->                              /* acquire [R1] */
#ifdef RING_POP_RELAXED
     atomic { be = true; be_at = head };
     v = item[head];
#else
     v = item[head];
     atomic { be = true; be_at = head };               /* release [R2] */
#endif
     HOLDS(items_in_order, v == want);
     atomic { head = (head + 1) % N; want = (want + 1) % M; v = 0 }
  od
}
