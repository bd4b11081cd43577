// Seeded faults: defects that a test switches on to prove that it would find
// them. tests/models has the same faults under the same names.
//
// They exist only where TUNNELD_SEEDED_FAULTS is defined (--config=tsan);
// elsewhere FaultActive() is the constant false and costs nothing.

#ifndef TUNNEL_BASE_FAULT_H_
#define TUNNEL_BASE_FAULT_H_

#include "absl/strings/string_view.h"

namespace tunnel {

enum class Fault {
  kNone,
  // ---- grace periods and the six steps ----
  kNoGracePeriod,            // Qsbr::Wait() returns at once
  kPauseWithoutWait,         // pause unpublishes and does not wait
  kPublishBeforePause,       // a rewire publishes the new variant, then pauses
  kDetachSkipped,            // the table still leads to a detached tunnel
  kDisestablishWithoutWait,  // queues are freed before the workers let them go
  kReclaimWithoutGrace,      // a table entry is freed when it is unlinked
  kNumbersNotCarried,        // sequence numbers begin anew after a rewire
  kSectionEndsEarly,         // a worker sends after it has left its section
  kResumeWithoutUnpark,      // nobody tells the workers to read again
  kResumeForgetsPause,       // a rewire resumes what an operator has paused
  kVariantEditedInPlace,     // a published variant is overwritten
  // ---- changes ----
  kCheckOwnTunnelOnly,       // a pair is compared with the tunnel's own alone
  kCheckBeforeLock,          // a pair is looked up before the lock is held
  kNoRollback,               // a failed change leaves what it has done
  kRollbackOverwritesCause,  // the caller gets the result of the way back
  kKeyNotGivenBack,          // a released key stays reserved
  kStoreAfterSteps,          // traffic changes before the store has it
  kStoreOneByOne,            // a transaction takes one commit for each tunnel
  kSwapOneByOne,             // a transaction takes all steps tunnel by tunnel
  // ---- the configuration lock ----
  kInterruptedWaiterProceeds,  // who was interrupted goes on as a holder
  kLockLostOnCancel,           // granted and ended at once: not handed on
  kFifoBroken,                 // the lock goes to the last waiter
  kInterruptPastCommit,        // an interrupt past the commit line is granted
  // ---- memory order ----
  kLeaveRelaxed,     // Qsbr::Reader::Leave() does not release
  kSnapshotRelaxed,  // Snapshot::Publish() does not release
  // ---- rings ----
  kRingPushRelaxed,     // SpscRing::Publish() does not release
  kRingPopRelaxed,      // SpscRing::Release() does not release
  kRingResizeRelaxed,   // SpscRing links new storage without release
  kRingResizeEarly,     // its consumer goes on before the old is empty
  kMpscPublishRelaxed,  // MpscRing publishes a run without release
  kMpscFreeRelaxed,     // its consumer gives slots back without release
  kMpscSealMissed,      // its consumer goes on without looking for the seal
  kWakeRingFirst,       // a producer rings the Doorbell, then pushes
  kWakeLookFirst,       // a consumer looks, then says that it sleeps
  // ---- hand-off between workers ----
  kHandoffDoneRelaxed,  // a worker says without release what it has written
  kHandoffNotAwaited,   // a tunnel goes while packets of it are on their way
  kHandoffUnsettled,    // a flow goes another way while it waits in a lane
};
inline constexpr Fault kLastFault = Fault::kHandoffUnsettled;

// "no_grace_period".
constexpr absl::string_view FaultName(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kNoGracePeriod:
      return "no_grace_period";
    case Fault::kPauseWithoutWait:
      return "pause_without_wait";
    case Fault::kPublishBeforePause:
      return "publish_before_pause";
    case Fault::kDetachSkipped:
      return "detach_skipped";
    case Fault::kDisestablishWithoutWait:
      return "disestablish_without_wait";
    case Fault::kReclaimWithoutGrace:
      return "reclaim_without_grace";
    case Fault::kNumbersNotCarried:
      return "numbers_not_carried";
    case Fault::kSectionEndsEarly:
      return "section_ends_early";
    case Fault::kResumeWithoutUnpark:
      return "resume_without_unpark";
    case Fault::kResumeForgetsPause:
      return "resume_forgets_pause";
    case Fault::kVariantEditedInPlace:
      return "variant_edited_in_place";
    case Fault::kCheckOwnTunnelOnly:
      return "check_own_tunnel_only";
    case Fault::kCheckBeforeLock:
      return "check_before_lock";
    case Fault::kNoRollback:
      return "no_rollback";
    case Fault::kRollbackOverwritesCause:
      return "rollback_overwrites_cause";
    case Fault::kKeyNotGivenBack:
      return "key_not_given_back";
    case Fault::kStoreAfterSteps:
      return "store_after_steps";
    case Fault::kStoreOneByOne:
      return "store_one_by_one";
    case Fault::kSwapOneByOne:
      return "swap_one_by_one";
    case Fault::kInterruptedWaiterProceeds:
      return "interrupted_waiter_proceeds";
    case Fault::kLockLostOnCancel:
      return "lock_lost_on_cancel";
    case Fault::kFifoBroken:
      return "fifo_broken";
    case Fault::kInterruptPastCommit:
      return "interrupt_past_commit";
    case Fault::kLeaveRelaxed:
      return "leave_relaxed";
    case Fault::kSnapshotRelaxed:
      return "snapshot_relaxed";
    case Fault::kRingPushRelaxed:
      return "ring_push_relaxed";
    case Fault::kRingPopRelaxed:
      return "ring_pop_relaxed";
    case Fault::kRingResizeRelaxed:
      return "ring_resize_relaxed";
    case Fault::kRingResizeEarly:
      return "ring_resize_early";
    case Fault::kMpscPublishRelaxed:
      return "mpsc_publish_relaxed";
    case Fault::kMpscFreeRelaxed:
      return "mpsc_free_relaxed";
    case Fault::kMpscSealMissed:
      return "mpsc_seal_missed";
    case Fault::kWakeRingFirst:
      return "wake_ring_first";
    case Fault::kWakeLookFirst:
      return "wake_look_first";
    case Fault::kHandoffDoneRelaxed:
      return "handoff_done_relaxed";
    case Fault::kHandoffNotAwaited:
      return "handoff_not_awaited";
    case Fault::kHandoffUnsettled:
      return "handoff_unsettled";
  }
  return "none";
}

#ifdef TUNNELD_SEEDED_FAULTS
inline constexpr bool kSeededFaults = true;
// True when environment TUNNELD_FAULT, read once, names `fault`. An unknown
// name ends the process, so that a misspelt test can not pass.
bool FaultActive(Fault fault);
#else
inline constexpr bool kSeededFaults = false;
consteval bool FaultActive(Fault) { return false; }
#endif

}  // namespace tunnel

#endif  // TUNNEL_BASE_FAULT_H_
