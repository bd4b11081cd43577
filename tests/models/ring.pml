/* SpscRing (tunnel/sync/ring.h) where loads and stores of one CPU may become
 * visible in any order (PSO): [R1], [R2], and one change of capacity [R3]. Two
 * segments, each with an index of its own for either side; capacity 2. A store
 * sits in the writer's buffer until the hardware shows it. */
#include "holds.h"

hidden byte items_in_order;

#define N 2
#define M 4                     /* items and indices are counted modulo M */
#define DEPTH(t, h) (((t) + M - (h)) % M)
typedef Segment { byte item[N]; byte tail; byte head };
Segment seg[2];                 /* memory */
bool next;                      /* memory: seg[0] leads to seg[1] */
bool bi; byte bi_seg, bi_at, bi_v; /* producer's buffer: an item */
bool bt; byte bt_seg, bt_v;     /* producer's buffer: a tail */
bool bn;                        /* producer's buffer: the link */
bool bh; byte bh_seg, bh_v;     /* consumer's buffer: a head */

#ifdef RING_PUSH_RELAXED
#define ITEM_FIRST true
#else
#define ITEM_FIRST (!bi)        /* release in Publish() [R1] */
#endif
#ifdef RING_RESIZE_RELAXED
#define TAIL_FIRST true
#else
#define TAIL_FIRST (!bi && !bt) /* release in TakeWanted() [R3] */
#endif

active proctype hardware() {
end:
  do
  :: atomic { bi -> seg[bi_seg].item[bi_at] = bi_v; bi = false }
  :: atomic { bt && ITEM_FIRST -> seg[bt_seg].tail = bt_v; bt = false }
  :: atomic { bn && TAIL_FIRST -> next = true; bn = false }
  :: atomic { bh -> seg[bh_seg].head = bh_v; bh = false }
  od
}

active proctype producer() {
  byte s, tail, number;
  do
  :: atomic { DEPTH(tail, seg[s].head) < N && !bi && !bt ->  /* acquire [R2] */
       bi = true; bi_seg = s; bi_at = tail % N; bi_v = number };
     atomic { tail = (tail + 1) % M; number = (number + 1) % M;
       bt = true; bt_seg = s; bt_v = tail }
  :: atomic { s == 0 && !bn -> bn = true; s = 1; tail = 0 }  /* Resize() */
  od
}

active proctype consumer() {
  byte s, head, want, v, seen;
  do
  :: atomic { seg[s].tail != head && !bh -> seen = seg[s].tail }; /* [R1] */
take:
#ifdef RING_POP_RELAXED
     atomic { bh = true; bh_seg = s; bh_v = (head + 1) % M };
     v = seg[s].item[head % N];
#else
     v = seg[s].item[head % N];
     atomic { bh = true; bh_seg = s; bh_v = (head + 1) % M };  /* [R2] */
#endif
     HOLDS(items_in_order, v == want);
     atomic { head = (head + 1) % M; want = (want + 1) % M; v = 0; seen = 0 }
  :: atomic { s == 0 && next && !bh -> skip };             /* acquire [R3] */
#ifndef RING_RESIZE_EARLY
     /* What the producer has left behind before it went on. */
     if
     :: atomic { seg[0].tail != head -> seen = seg[0].tail }; goto take
     :: atomic { seg[0].tail == head -> s = 1; head = 0 }
     fi
#else
     atomic { s = 1; head = 0 }
#endif
  od
}
