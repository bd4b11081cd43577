/* MpscRing (tunnel/sync/mpsc_ring.h) where loads and stores of one CPU may
 * become visible in any order (PSO): runs [R5], emptied slots [R6], and one
 * change of capacity with its seal [R7]. Two producers, runs of one item, two
 * segments of one slot. Reserving is one atomic step. */
#include "holds.h"

hidden byte items_in_order;
hidden byte nothing_left_behind;

#define P 2
#define M 4                     /* items and indices are counted modulo M */
typedef Segment { byte item; byte from; bool open; byte tail; byte head; bool sealed };
Segment seg[2];                 /* memory */
byte current;                   /* memory: what producers use */
bool bi[P]; byte bi_seg[P], bi_v[P]; /* a producer's buffer: an item */
bool br[P]; byte br_seg[P];     /* a producer's buffer: a run */
bool bh; byte bh_seg, bh_v;     /* consumer's buffer: a head */
byte consuming;                 /* the segment that the consumer is at */

#ifdef MPSC_PUBLISH_RELAXED
#define ITEM_FIRST(p) true
#else
#define ITEM_FIRST(p) (!bi[p])  /* release in Fill() [R5] */
#endif
#ifdef MPSC_SEAL_MISSED
#define LEFT (current == 1)
#else
#define LEFT (seg[0].sealed && seg[0].tail == head) /* acquire [R7] */
#endif

active proctype hardware() {
end:
  do
  :: atomic { bi[0] -> seg[bi_seg[0]].item = bi_v[0]; seg[bi_seg[0]].from = 0; bi[0] = false }
  :: atomic { bi[1] -> seg[bi_seg[1]].item = bi_v[1]; seg[bi_seg[1]].from = 1; bi[1] = false }
  :: atomic { br[0] && ITEM_FIRST(0) -> seg[br_seg[0]].open = true; br[0] = false }
  :: atomic { br[1] && ITEM_FIRST(1) -> seg[br_seg[1]].open = true; br[1] = false }
  :: atomic { bh -> seg[bh_seg].head = bh_v; bh = false }
  od
}

active [P] proctype producer() {
  byte me = _pid - 1, s, number;
  do
  :: !bi[me] && !br[me];
     s = current;                                         /* acquire [R7] */
     if
     :: atomic { !seg[s].sealed && seg[s].tail == seg[s].head -> /* [R6] */
          HOLDS(nothing_left_behind, consuming <= s);
          seg[s].tail = (seg[s].tail + 1) % M };
        atomic { bi[me] = true; bi_seg[me] = s; bi_v[me] = number };
        atomic { br[me] = true; br_seg[me] = s; number = (number + 1) % M }
     :: else                                              /* full, or sealed */
     fi
  od
}

active proctype control() {
  current = 1;
  seg[0].sealed = true
}

active proctype consumer() {
  byte head, want[P], v, from;
  do
  :: atomic { seg[consuming].open && !bh -> seg[consuming].open = false }; /* [R5] */
#ifdef MPSC_FREE_RELAXED
     atomic { head = (head + 1) % M; bh = true; bh_seg = consuming; bh_v = head };
     atomic { v = seg[consuming].item; from = seg[consuming].from };
#else
     atomic { v = seg[consuming].item; from = seg[consuming].from };
     atomic { head = (head + 1) % M; bh = true; bh_seg = consuming; bh_v = head }; /* [R6] */
#endif
     HOLDS(items_in_order, v == want[from]);
     atomic { want[from] = (want[from] + 1) % M; v = 0; from = 0 }
  :: atomic { consuming == 0 && !seg[0].open && !bh && LEFT ->
       consuming = 1; head = 0 }
  od
}
