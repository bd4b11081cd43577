/* Snapshot (tunnel/sync/snapshot.h) and the links of HashIndex where stores may
 * become visible in any order (PSO, weaker than x86): [S1] and [T1].
 *
 * The control thread fills a new value of two words and publishes its pointer;
 * the release half of seq_cst puts the words before the pointer. A worker loads
 * the pointer and then reads the words. Old values are freed by a grace period,
 * which is the subject of grace.pml: here a value is filled again only when the
 * worker is outside its section. */
#include "holds.h"

hidden byte complete_value_before_pointer;

byte word_a[3], word_b[3];      /* memory: the two words of value 1 and 2 */
byte pointer = 1;               /* memory */
bool inside;
/* Store buffer of the control thread: one store for each location. */
bool ba, bb, bp;
byte bv, bto;                   /* the value's number, and where it goes */

#ifdef SNAPSHOT_RELAXED
#define MAY_PUBLISH true
#else
#define MAY_PUBLISH (!ba && !bb)
#endif

active proctype hardware() {
end:
  do
  :: atomic { ba -> word_a[bto] = bv; ba = false }
  :: atomic { bb -> word_b[bto] = bv; bb = false }
  :: atomic { bp && MAY_PUBLISH -> pointer = bto; bp = false }
  od
}

active proctype control() {
  byte stamp;
  do
  :: !ba && !bb && !bp ->
     !inside;                                   /* Qsbr::Wait() */
     atomic { stamp = 1 - stamp; bv = stamp; bto = 3 - pointer };
     ba = true;
     bb = true;
     bp = true                                  /* Publish() */
  od
}

active proctype worker() {
  byte v, a;
  do
  :: inside = true;
     v = pointer;                               /* Load() */
     a = word_a[v];
     HOLDS(complete_value_before_pointer, a == word_b[v]);
     atomic { inside = false; v = 0; a = 0 }
  od
}
