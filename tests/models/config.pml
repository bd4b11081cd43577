/* Two tunnels, three pairs, two clients: all-or-nothing changes.
 *
 * Each client asks for a move, a create, a delete or a whole end state of both
 * tunnels, a swap of their pairs too, and takes the walk of the manager: lock,
 * check, prepare (requests to the kernel, which may fail), reserve, commit to
 * the store (which may fail), commit line, six steps, unlock. Pair 0 stands for
 * "no tunnel". A crash may come at any moment: what the store holds then is what
 * the next daemon has, so the invariant speaks of each moment. rewire.pml has
 * the workers, lock.pml the lock itself. */
#include "holds.h"
#define NONE 255

hidden byte unique_pair, right_tunnel, exact_rollback, refused_changes_nothing;
hidden byte one_holder, cause_is_reported, store_before_traffic, store_all_or_nothing;

mtype = { ok, cause, other };

byte owner = NONE;              /* ConfigLock */
byte conf[2];                   /* the records */
byte link[2];                   /* the kernel's settings for the device */
byte out[2];                    /* pair that packets go out with; 0: none do */
byte key[4], var[4];            /* table, by pair: holder, receiver; tunnel + 1 */
byte store[2];
/* ---- ghosts ---- */
byte acked[2];                  /* the last acknowledged state */
byte pend[2];                   /* the state that is being committed */
bool committing;

#define UNTOUCHED(t) (link[t] == conf[t] && conf[t] == acked[t] && \
                      store[t] == acked[t] && out[t] == conf[t] && \
                      (key[1] == t + 1) == (conf[t] == 1) && \
                      (key[2] == t + 1) == (conf[t] == 2) && \
                      (key[3] == t + 1) == (conf[t] == 3))

inline invariant() {
  HOLDS(unique_pair, out[0] == 0 || out[0] != out[1]);
  HOLDS(right_tunnel, (var[1] == 0 || var[1] == key[1]) &&
                      (var[2] == 0 || var[2] == key[2]) &&
                      (var[3] == 0 || var[3] == key[3]));
  HOLDS(store_before_traffic,
        (out[0] == 0 || out[0] == store[0] || out[0] == acked[0]) &&
        (out[1] == 0 || out[1] == store[1] || out[1] == acked[1]));
  HOLDS(store_all_or_nothing,
        (store[0] == acked[0] && store[1] == acked[1]) ||
        (committing && store[0] == pend[0] && store[1] == pend[1]))
}

/* The end state of a change of one tunnel; duplicate check on the way. */
inline look() {
  atomic {
    if :: t == 0 -> w1 = conf[1] :: t == 1 -> w0 = conf[0] :: t == 2 fi;
#ifdef CHECK_OWN_TUNNEL_ONLY
    dup = (t < 2 && ((t == 0 && w0 != 0 && w0 == conf[0]) ||
                     (t == 1 && w1 != 0 && w1 == conf[1]))) ||
          (t == 2 && w0 != 0 && w0 == w1)
#else
    dup = w0 != 0 && w0 == w1
#endif
  }
}

/* LinkChanges: one request for each tunnel that changes. */
inline prepare(i, want) {
  if
  :: result == ok && conf[i] != want ->
     if
     :: link[i] = want
     :: result = cause                          /* the kernel refuses */
     :: result = other                          /* interrupted, cancelled */
     fi
  :: result != ok || conf[i] == want
  fi
}
inline back(i) {
#ifndef NO_ROLLBACK
  link[i] = conf[i]
#else
  skip
#endif
}

/* EndpointTable::Reserve: keys that nobody holds; those that the other tunnel
 * gives up in the same change pass on when it has been detached. */
inline reserve(i, want) {
  if
  :: want != 0 && key[want] == 0 -> key[want] = i + 1
  :: want == 0 || key[want] != 0
  fi
}
inline unreserve(i, want) {
#ifndef KEY_NOT_GIVEN_BACK
  if
  :: want != 0 && want != conf[i] && key[want] == i + 1 -> key[want] = 0
  :: else
  fi
#else
  skip
#endif
}

/* ---- the steps, for one tunnel ---- */
inline pause_detach(i, want) {
  if
  :: conf[i] != want ->
     out[i] = 0;
     atomic {
       if
       :: conf[i] != 0 -> var[conf[i]] = 0;
          if :: key[conf[i]] == i + 1 -> key[conf[i]] = 0 :: else fi
       :: conf[i] == 0
       fi;
       invariant()
     }
  :: conf[i] == want
  fi
}
inline attach_resume(i, want) {
  if
  :: conf[i] != want ->
     atomic {
       if :: want != 0 -> key[want] = i + 1; var[want] = i + 1 :: want == 0 fi;
       conf[i] = want; invariant()
     };
     atomic { out[i] = want; invariant() }
  :: conf[i] == want
  fi
}
inline to_store() {
#ifdef STORE_ONE_BY_ONE
  atomic { store[0] = w0; invariant() };
#endif
  atomic { store[0] = w0; store[1] = w1; invariant() }
}

proctype client(byte c) {
  byte t, w0, w1; bool dup; mtype result = ok;
  do
  :: atomic {
       select(t : 0 .. 2);                 /* tunnel 0, tunnel 1, or both */
       if
       :: t != 1 -> select(w0 : 0 .. 3)
       :: t == 1
       fi;
       if
       :: t != 0 -> select(w1 : 0 .. 3)
       :: t == 0
       fi
     };
#ifdef CHECK_BEFORE_LOCK
     look();
#endif
     if                                                   /* ConfigLock::Enter */
     :: atomic { owner == NONE -> owner = c }
     :: owner != NONE -> goto gone                        /* ended in its wait */
     fi;
#ifdef CHECK_BEFORE_LOCK
     atomic { if :: t == 0 -> w1 = conf[1] :: t == 1 -> w0 = conf[0] :: t == 2 fi };
#else
     look();
#endif
     if
     :: dup -> HOLDS(refused_changes_nothing, UNTOUCHED(0) && UNTOUCHED(1));
        goto unlock
     :: !dup
     fi;
     prepare(0, w0); prepare(1, w1);
     if
     :: result == ok -> atomic { reserve(0, w0); reserve(1, w1) };
        if                                                /* CommitPoint */
        :: skip
        :: result = other
        :: result = cause                                 /* store: no space */
        fi
     :: result != ok
     fi;
     if
     :: result != ok ->
        atomic { dup = (result == cause); unreserve(0, w0); unreserve(1, w1) };
        back(1); back(0);
#ifdef ROLLBACK_OVERWRITES_CAUSE
        result = ok;
#endif
        atomic {
          HOLDS(exact_rollback, UNTOUCHED(0) && UNTOUCHED(1));
          HOLDS(cause_is_reported, (dup && result == cause) || (!dup && result == other));
          goto unlock
        }
     :: result == ok
     fi;
     /* ---- the commit line ---- */
     atomic { committing = true; pend[0] = w0; pend[1] = w1 };
#ifndef STORE_AFTER_STEPS
     to_store();
#endif
#ifdef SWAP_ONE_BY_ONE
     pause_detach(0, w0); attach_resume(0, w0);
     pause_detach(1, w1); attach_resume(1, w1);
#else
     pause_detach(0, w0); pause_detach(1, w1);
     attach_resume(0, w0); attach_resume(1, w1);
#endif
#ifdef STORE_AFTER_STEPS
     to_store();
#endif
     atomic {
       acked[0] = w0; acked[1] = w1; committing = false;
       pend[0] = 0; pend[1] = 0; invariant()
     };
unlock:
     atomic { HOLDS(one_holder, owner == c); owner = NONE };
gone:
     atomic { t = 0; w0 = 0; w1 = 0; dup = false; result = ok }
  od
}

init {
  atomic {
    run client(0); run client(1)
  }
}
