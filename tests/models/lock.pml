/* ConfigLock (tunnel/sync/config_lock.cc): first come, first served; a party
 * leaves, with nothing changed, on cancel, deadline, interrupt or the end of
 * the daemon; past the commit line the holder runs to its end.
 *
 * State::mu makes each function one step: `atomic`. An operator and the callers
 * themselves may end any request at any moment. */
#include "holds.h"
#ifndef NC
#define NC 3
#endif
#define NONE 255

hidden byte one_holder, first_come_first_served, lock_is_never_lost;
hidden byte ended_changes_nothing, queue_is_exact;

mtype = { idle, waiting, holding, gone };
mtype phase[NC] = idle;
byte holder = NONE;
chan queue = [NC] of { byte };
bool ended[NC];           /* cancelled, past its deadline or interrupted */
bool committed[NC];
/* ---- ghosts ---- */
bool accepted[NC];        /* an interrupt of this request was answered with OK */
bool changed[NC];         /* the request has changed the configuration */
byte ahead[NC];           /* bit c: c came before and still waits */
byte holders;

#define BIT(c) (1 << (c))

inline not_waiting(c) {   /* c waits no more: nobody is behind it */
  ahead[0] = ahead[0] & (255 - BIT(c)); ahead[1] = ahead[1] & (255 - BIT(c));
#if NC > 2
  ahead[2] = ahead[2] & (255 - BIT(c));
#endif
#if NC > 3
  ahead[3] = ahead[3] & (255 - BIT(c));
#endif
  ahead[c] = 0
}
inline grant(c) {
  HOLDS(first_come_first_served, ahead[c] == 0);
  holder = c; phase[c] = holding;
  not_waiting(c)
}
inline end_waiter(c) { phase[c] = gone; not_waiting(c) }

/* The lock goes to the first waiter that nothing has ended. */
inline hand_over() {
  holder = NONE;
  do
  :: holder == NONE && len(queue) > 0 ->
#ifdef FIFO_BROKEN
     n = len(queue);
     do :: n > 1 -> queue?t; queue!t; n-- :: else -> break od;
#endif
     queue?t;
     if
     :: ended[t] -> end_waiter(t)
     :: !ended[t] -> grant(t)
     fi
  :: holder != NONE || len(queue) == 0 -> break
  od;
  t = 0; n = 0
}

proctype client(byte c) {
  byte t, n;
  do
  :: atomic {                                         /* Enter() */
       if
       :: holder == NONE -> grant(c)
       :: else ->
          if :: phase[0] == waiting -> ahead[c] = ahead[c] | BIT(0) :: else fi;
          if :: phase[1] == waiting -> ahead[c] = ahead[c] | BIT(1) :: else fi;
#if NC > 2
          if :: phase[2] == waiting -> ahead[c] = ahead[c] | BIT(2) :: else fi;
#endif
#if NC > 3
          if :: phase[3] == waiting -> ahead[c] = ahead[c] | BIT(3) :: else fi;
#endif
          phase[c] = waiting; queue!c
       fi
     };
wait:
     if                                               /* WaitForTurn() */
     :: phase[c] != waiting
     :: atomic { phase[c] == waiting && ended[c] ->
          queue??eval(c); end_waiter(c) }
     fi;
     atomic {
       if
       :: phase[c] == gone -> HOLDS(queue_is_exact, !queue??[eval(c)]);
#ifdef INTERRUPTED_WAITER_PROCEEDS
          phase[c] = holding
#else
          goto out
#endif
       :: phase[c] == holding && ended[c] ->          /* both at one moment */
#ifndef LOCK_LOST_ON_CANCEL
          hand_over();
#endif
          goto out
       :: else
       fi
     };
held:
     atomic { holders++; HOLDS(one_holder, holders == 1 && holder == c) };
     if
     :: atomic { ended[c] -> skip }                   /* CheckInterrupt() */
     :: atomic { !ended[c] -> committed[c] = true };  /* CommitPoint() */
        changed[c] = true                             /* the steps */
     fi;
     atomic {                                         /* ~ConfigSection() */
       HOLDS(ended_changes_nothing, !(accepted[c] && changed[c]));
       holders--; hand_over()
     };
out: atomic {
       HOLDS(lock_is_never_lost, holder != c);
       phase[c] = idle; ended[c] = false; committed[c] = false;
       accepted[c] = false; changed[c] = false
     }
  od
}

/* ConfigLock::Interrupt(), and callers that give up. */
proctype world() {
  byte c;
  do
  :: atomic {
       select(c : 0 .. NC - 1);
       if
       :: phase[c] == waiting && !ended[c] ->         /* operator: at once */
          ended[c] = true; accepted[c] = true;
          queue??eval(c); end_waiter(c)
#ifdef INTERRUPT_PAST_COMMIT
       :: phase[c] == holding && !ended[c] ->
#else
       :: phase[c] == holding && !ended[c] && !committed[c] ->
#endif
          ended[c] = true; accepted[c] = true
       :: phase[c] != idle && !ended[c] -> ended[c] = true  /* cancel, deadline */
       :: else
       fi;
       c = 0
     }
  od
}

init {
  atomic {
    run client(0); run client(1);
#if NC > 2
    run client(2);
#endif
#if NC > 3
    run client(3);
#endif
    run world()
  }
}

#ifdef LIVENESS
/* With weak fairness: who waits gets the lock or leaves. */
ltl waiters_leave { [] ((phase[0] == waiting) -> <> (phase[0] != waiting)) }
#endif
