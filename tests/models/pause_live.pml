/* Does Qsbr::Wait() end while the worker never rests? Weak fairness; memory
 * sequentially consistent. Wait() looks at the section counter once and then
 * waits until it is another: `moved` stands for "another than the one seen" (a
 * 64-bit counter does not come round).
 *
 * WAIT_FOR_EVEN: waits until it happens to see the worker outside. A busy worker
 * can be inside at every look. */
bool inside, moved, done;

active proctype worker() {
  do
  :: inside = true;
     skip;
     atomic { inside = false; moved = true }
  od
}

active proctype control() {
#ifdef WAIT_FOR_EVEN
  !inside;
#else
  atomic { moved = false; if :: !inside -> moved = true :: else fi };
  moved;
#endif
  done = true
}

ltl wait_ends { <> done }
