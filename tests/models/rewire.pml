/* One tunnel and its workers: what a change does to traffic.
 *
 * One control thread (the holder of ConfigLock; lock.pml has the lock itself)
 * creates, deletes, pauses, resumes, detaches, attaches and changes the tunnel
 * by the six steps of tunnel/rewire/steps.h, in their order. NW workers carry
 * packets both ways: Output::Run, Input::Run, and commands from the mailbox
 * between two batches. Memory is sequentially consistent here; grace.pml and
 * publish.pml show that the barriers make it so.
 *
 * A variant is two words (a, b) that belong together. Variant 0 is null. */
#include "holds.h"
#ifndef NW
#define NW 1
#endif

hidden byte no_use_after_free, no_torn_pair, no_output_after_pause;
hidden byte numbers_go_on, no_input_after_detach, queue_is_alive;
hidden byte right_identity, nobody_left_parked;

#define ABSENT  0 /* not in the table, or freed */
#define LINKED  1
#define RETIRED 2 /* unlinked, not yet freed */
#define ADD     1
#define REMOVE  2
#define UNPARK  3

/* ---- shared state of the code ---- */
byte out;                       /* Endpoint::output(): variant */
bit v_a[3], v_b[3];             /* contents of variant 1, 2 */
byte v_pair[3], v_ctx[3];
bool alive[3];
byte ent[3], ent_var[3];        /* EndpointTable, by pair 1, 2 */
bit number[3 * NW];             /* FlowContexts 1, 2: next sequence number */
bool qctx;                      /* the QueueContexts are allocated */
/* For each worker. Nobody but disestablish waits for what it has told, so more
 * than one command can be under way; the code's have no end. */
chan mbox[NW] = [2] of { byte };
bool mine[NW], parked[NW];      /* QueueContext as its worker sees it */
bool inside[NW];                /* the section counter is odd */
bool seen[NW];                  /* Qsbr::Wait() waits for this section */
/* ---- the record, read and written by the control thread ---- */
bool exists, op_paused, detached, est;
byte cur;                       /* its variant */
/* ---- ghosts ---- */
bool silent = true;             /* nothing may be sent */
bool deaf = true;               /* nothing may be received */
bit expect[NW];                 /* the number that the peer expects next */

#define OTHER(x) (3 - (x))

inline enter_section() { inside[w] = true }
inline leave_section() { atomic { inside[w] = false; seen[w] = false } }

inline grace() {
#ifndef NO_GRACE_PERIOD
  atomic { seen[0] = inside[0] }; !seen[0];
#if NW > 1
  atomic { seen[1] = inside[1] }; !seen[1];
#endif
#else
  skip;
#endif
}

/* Worker::Post() to all; Worker::WaitDone() for all: a command is in the mailbox
 * until it has been carried out. */
inline post(c) {
  mbox[0]!c;
#if NW > 1
  mbox[1]!c;
#endif
}
inline wait_done() {
  empty(mbox[0]);
#if NW > 1
  empty(mbox[1]);
#endif
}

/* ---- the six steps ---- */
inline Pause() {
  out = 0;
#ifndef PAUSE_WITHOUT_WAIT
  grace();
#endif
  silent = true
}
inline Disestablish() {
  if
  :: est -> post(REMOVE);
#ifndef DISESTABLISH_WITHOUT_WAIT
     wait_done();
#endif
     atomic { qctx = false; est = false }
  :: else
  fi
}
inline Detach(pair) {
#ifndef DETACH_SKIPPED
  ent_var[pair] = 0
#else
  skip
#endif
}
inline Attach() { deaf = false; ent_var[v_pair[cur]] = cur }
inline Establish() { qctx = true; post(ADD); est = true }
inline Resume() {
  silent = false;
  out = cur;
#ifndef RESUME_WITHOUT_UNPARK
  if :: est -> post(UNPARK) :: else fi
#endif
}
inline Release(pair) {
#ifdef RECLAIM_WITHOUT_GRACE
  atomic { ent[pair] = ABSENT; ent_var[pair] = 0 }
#else
  ent[pair] = RETIRED
#endif
}
inline Reclaim(pair) {
  atomic {
    if :: ent[pair] == RETIRED -> ent[pair] = ABSENT; ent_var[pair] = 0
       :: else
    fi
  }
}
/* Two words, two stores; nobody can see the variant yet. */
inline Build(v, a) { alive[v] = true; v_a[v] = a; v_b[v] = a }
inline Free(v) {
  atomic { alive[v] = false; v_a[v] = 0; v_b[v] = 0; v_pair[v] = 0; v_ctx[v] = 0 }
}

/* ---- ExecuteRewire, kPublish ---- */
inline ChangePublish() {
#ifdef VARIANT_EDITED_IN_PLACE
  v_a[cur] = 1 - v_a[cur]; v_b[cur] = 1 - v_b[cur];
#else
  old = cur;
  Build(OTHER(old), 1 - v_a[old]);
  atomic { v_pair[OTHER(old)] = v_pair[old]; v_ctx[OTHER(old)] = v_ctx[old]; cur = OTHER(old) };
  if
  :: detached
  :: !detached -> Attach();
     if :: !op_paused -> Resume() :: else fi
  fi;
  grace();
  Free(old)
#endif
}

/* ---- ExecuteRewire, kRewire: to either pair, the same one too ---- */
inline ChangeRewire() {
  old = cur; next = OTHER(old);
  if :: p = 1 :: p = 2 fi;
  atomic {                                                 /* Reserve */
    if :: ent[p] == ABSENT -> ent[p] = LINKED; ent_var[p] = 0 :: else fi
  };
  Build(next, 1 - v_a[old]);
  atomic {
    v_pair[next] = p; v_ctx[next] = OTHER(v_ctx[old]);
    number[v_ctx[next] * NW] = 0;
#if NW > 1
    number[v_ctx[next] * NW + 1] = 0;
#endif
  };
#ifdef PUBLISH_BEFORE_PAUSE
  if :: out != 0 -> out = next; grace() :: else fi;
#endif
  Pause(); Disestablish();
  Detach(v_pair[old]);
  if :: v_pair[old] != p -> Release(v_pair[old]) :: else fi;
#ifndef NUMBERS_NOT_CARRIED
  atomic {
    number[v_ctx[next] * NW] = number[v_ctx[old] * NW];
#if NW > 1
    number[v_ctx[next] * NW + 1] = number[v_ctx[old] * NW + 1];
#endif
  };
#endif
  cur = next;
  if
  :: detached
  :: !detached -> Attach(); Establish();
#ifdef RESUME_FORGETS_PAUSE
     out = cur; post(UNPARK)
#else
     if :: !op_paused -> Resume() :: else fi
#endif
  fi;
  grace();
  if :: v_pair[old] != p -> Reclaim(v_pair[old]) :: else fi;
  Free(old)
}

proctype control() {
  byte p, old, next;
  do
  :: !exists ->                                       /* ExecuteEstablish */
     if :: p = 1 :: p = 2 fi;
     atomic { ent[p] = LINKED; ent_var[p] = 0 };
     Build(1, 0);
     atomic {
       v_pair[1] = p; v_ctx[1] = 1; cur = 1; number[NW] = 0; expect[0] = 0;
#if NW > 1
       number[NW + 1] = 0; expect[1] = 0;
#endif
     };
     Attach(); Establish(); Resume();
     atomic { exists = true; p = 0 }
  :: exists ->                                           /* ExecuteRemove */
     Pause(); Disestablish();
     p = v_pair[cur];
     Detach(p); Release(p);
     grace();
     Reclaim(p); deaf = true;
     Free(cur);
     atomic { exists = false; op_paused = false; detached = false; cur = 0; p = 0 }
  :: exists -> ChangePublish(); atomic { old = 0 }
  :: exists -> ChangeRewire(); atomic { old = 0; next = 0; p = 0 }
  :: exists && !op_paused -> Pause(); op_paused = true
  :: exists && op_paused -> op_paused = false;
     if :: !detached -> Resume() :: else fi
  :: exists && !detached ->
     Pause(); Disestablish(); Detach(v_pair[cur]);
     grace();
     deaf = true; detached = true
  :: exists && detached -> detached = false;
     Attach(); Establish();
     if :: !op_paused -> Resume() :: else fi
  :: exists && out != 0 ->                             /* at rest */
     HOLDS(nobody_left_parked, !parked[0] || nempty(mbox[0]));
#if NW > 1
     HOLDS(nobody_left_parked, !parked[1] || nempty(mbox[1]))
#endif
  od
}

proctype worker(byte w) {
  byte v, p;
  do
  :: nempty(mbox[w]) ->                               /* RunCommands */
     if
     :: mbox[w]?[ADD] -> atomic { mine[w] = true; parked[w] = false }
     :: mbox[w]?[REMOVE] -> atomic { mine[w] = false; parked[w] = false }
     :: mbox[w]?[UNPARK] ->
        atomic { HOLDS(queue_is_alive, qctx); parked[w] = false }
     fi;
     mbox[w]?_
  :: mine[w] && !parked[w] ->                         /* Output::Run */
     enter_section();
     atomic { HOLDS(queue_is_alive, qctx); v = out };
     if
     :: v == 0 -> leave_section();
        atomic { HOLDS(queue_is_alive, qctx); parked[w] = true }
     :: else ->
#ifdef SECTION_ENDS_EARLY
        leave_section();
#endif
        atomic { HOLDS(no_use_after_free, alive[v]); p = v_a[v] };
        atomic {
          HOLDS(no_torn_pair, p == v_b[v]); p = 0;
          HOLDS(no_output_after_pause, !silent);
          HOLDS(numbers_go_on, number[v_ctx[v] * NW + w] == expect[w]);
          number[v_ctx[v] * NW + w] = 1 - number[v_ctx[v] * NW + w];
          expect[w] = 1 - expect[w]
        };
        leave_section()
     fi;
     v = 0
  :: w == 0 ->                        /* Input::Run: one worker is enough */
     if :: p = 1 :: p = 2 fi;
     enter_section();
     if
     :: ent[p] == LINKED ->                           /* EndpointTable::Find */
        atomic { HOLDS(no_use_after_free, ent[p] != ABSENT); v = ent_var[p] };
        atomic {
          if
          :: v != 0 ->
             HOLDS(no_use_after_free, alive[v]);
             HOLDS(right_identity, v_pair[v] == p);
             HOLDS(no_input_after_detach, !deaf)
          :: else
          fi
        }
     :: else
     fi;
     leave_section();
     atomic { v = 0; p = 0 }
  od
}

init {
  atomic {
    run control(); run worker(0);
#if NW > 1
    run worker(1)
#endif
  }
}
