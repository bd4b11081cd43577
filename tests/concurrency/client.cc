#include "tests/concurrency/client.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

}  // namespace

Client::Client(World world, std::vector<Slot*> slots, uint32_t seed)
    : world_(world),
      slots_(std::move(slots)),
      models_(slots_.size()),
      random_(seed) {}

void Client::CreateKeepers() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i]->keeper) continue;
    for (size_t n = 0; n < Place::kRemotes * Place::kKeys; ++n) {
      const Place place{
          n % Place::kRemotes,
          slots_[i]->mode == encap::Mode::kGif ? 0 : n / Place::kRemotes};
      if (Create(*slots_[i], models_[i], place, /*patient=*/true)) break;
    }
    if (!models_[i].exists) Fail(*slots_[i], "create", "no place was free");
  }
}

void Client::Step() {
  const size_t i = random_() % slots_.size();
  Slot& slot = *slots_[i];
  Model& model = models_[i];
  if (!model.exists) {
    Create(slot, model, RandomPlace(slot));
    return;
  }
  const uint32_t dice = random_() % 100;
  if (dice < 25) return Move(slot, model, RandomPlace(slot));
  if (dice < 50) return Move(slot, model, model.place);
  if (dice < 55) return TryMove(slot, model);
  if (dice < 60) return SetSame(slot, model);
  if (dice < 63) return SetWithOldEtag(slot, model);
  if (dice < 75) return TogglePause(slot, model);
  if (dice < 85) return ToggleDetach(slot, model);
  if (dice < 90) return ToggleUp(slot, model);
  if (!slot.keeper) return Delete(slot, model);
  // Keepers spend most of the time sending.
  if (!model.config.admin_up) return ToggleUp(slot, model);
  if (model.detached) return ToggleDetach(slot, model);
  if (model.paused) return TogglePause(slot, model);
}

void Client::Finish() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = *slots_[i];
    Model& model = models_[i];
    if (!model.exists) continue;
    if (!slot.keeper) {
      Delete(slot, model, /*patient=*/true);
      continue;
    }
    if (model.paused) TogglePause(slot, model, /*patient=*/true);
    if (model.detached) ToggleDetach(slot, model, /*patient=*/true);
    if (!model.config.admin_up) ToggleUp(slot, model, /*patient=*/true);
    if (!model.Audible()) Fail(slot, "resume", "did not come back");
  }
}

Client::Call Client::MakeCall(bool patient) {
  Call call;
  call.begun = SteadyNow();
  const auto soon = microseconds(random_() % 2000);
  switch (patient ? 7 : random_() % 8) {
    case 0:
    case 1:
      call.rung = world_.alarm.At(call.begun + soon);
      call.context.cancel = call.rung->stop.get_token();
      break;
    case 2:
      call.context.deadline = call.begun + soon;
      break;
    case 3:
      call.options.lock_timeout = milliseconds(random_() % 3);
      break;
    default:
      break;
  }
  return call;
}

Place Client::RandomPlace(const Slot& slot) {
  return {random_() % Place::kRemotes,
          slot.mode == encap::Mode::kGif ? 0 : random_() % Place::kKeys};
}

bool Client::Create(Slot& slot, Model& model, Place place, bool patient) {
  const auto ids = Holders::Identities(slot.mode, place);
  const EndpointConfig config = slot.Propose(place);
  slot.next_sequence.store(0, std::memory_order_relaxed);
  slot.silent.store(false);
  world_.holders.MayBegin(ids, slot.name);
  const Call call = MakeCall(patient);
  const Result result =
      world_.manager.CreateTunnel(call.context, config, call.options);
  slot.Settle(result.ok());
  slot.silent.store(!result.ok());
  Note("create", call, result.status());
  if (result.ok()) {
    world_.holders.MustBegin(ids, slot.name);
    model = Model{true, config, place, false, false, result->tunnel.generation};
  } else {
    CheckPairInUse(slot, place, call, result.status());
    world_.holders.MayEnd(ids, slot.name);
  }
  Verify(slot, model, "create");
  return result.ok();
}

void Client::Move(Slot& slot, Model& model, Place place) {
  const bool stays = place == model.place;
  const auto old_ids = Holders::Identities(slot.mode, model.place);
  const auto new_ids = Holders::Identities(slot.mode, place);
  EndpointConfig config = slot.Propose(place);
  config.admin_up = model.config.admin_up;
  if (!stays) {
    world_.holders.MayBegin(new_ids, slot.name);
    world_.holders.MustEnd(old_ids, slot.name);
  }
  const Call call = MakeCall(false);
  const Result result = world_.manager.UpdateTunnel(
      call.context, slot.name, [&](const EndpointConfig&) { return config; },
      call.options);
  slot.Settle(result.ok());
  const char* verb = stays ? "restamp" : "move";
  Note(verb, call, result.status());
  if (!stays) {
    world_.holders.MustBegin(result.ok() ? new_ids : old_ids, slot.name);
    if (!result.ok()) CheckPairInUse(slot, place, call, result.status());
    world_.holders.MayEnd(result.ok() ? old_ids : new_ids, slot.name);
  }
  if (result.ok()) {
    model.config = config;
    model.place = place;
    ++model.generation;
  }
  Verify(slot, model, verb);
}

void Client::TryMove(Slot& slot, Model& model) {
  const Place place = RandomPlace(slot);
  EndpointConfig config = model.config;
  config.encap.remote = RemoteAddress(place.remote);
  config.encap.input_key = config.encap.output_key = place.key_value();
  Call call = MakeCall(false);
  call.options.validate_only = true;
  const Result result = world_.manager.UpdateTunnel(
      call.context, slot.name, [&](const EndpointConfig&) { return config; },
      call.options);
  Note("validate", call, result.status());
  if (!result.ok()) CheckPairInUse(slot, place, call, result.status());
  Verify(slot, model, "validate");
}

void Client::SetSame(Slot& slot, Model& model) {
  const Call call = MakeCall(false);
  const Result result = world_.manager.UpdateTunnel(
      call.context, slot.name, [](const EndpointConfig& now) { return now; },
      call.options);
  Note("same", call, result.status());
  if (result.ok() && !result->no_op) Fail(slot, "same", "was not a no_op");
  Verify(slot, model, "same");
}

void Client::SetWithOldEtag(Slot& slot, Model& model) {
  Call call = MakeCall(false);
  call.options.if_match = "\"old\"";
  const Result result =
      world_.manager.DeleteTunnel(call.context, slot.name, call.options);
  if (GetReason(result.status()) == Reason::kEtagMismatch) {
    ++outcomes_["delete ETAG_MISMATCH"];
  } else if (result.ok()) {
    Fail(slot, "delete", "was done in spite of an old etag");
  } else {
    Note("delete", call, result.status());
  }
  Verify(slot, model, "delete with an old etag");
}

void Client::Delete(Slot& slot, Model& model, bool patient) {
  const auto ids = Holders::Identities(slot.mode, model.place);
  world_.holders.MustEnd(ids, slot.name);
  const Call call = MakeCall(patient);
  const Result result =
      world_.manager.DeleteTunnel(call.context, slot.name, call.options);
  Note("delete", call, result.status());
  if (result.ok()) {
    slot.current.store(0);
    slot.silent.store(true);
    world_.holders.MayEnd(ids, slot.name);
    model = Model{};
  } else {
    world_.holders.MustBegin(ids, slot.name);
  }
  Verify(slot, model, "delete");
}

void Client::Verb(Slot& slot, Model& model, Model next, const char* verb,
                  const std::function<Result(const Call&)>& act, bool patient) {
  // It may send as soon as the change begins, and not after it has ended.
  if (next.Audible()) slot.silent.store(false);
  const Call call = MakeCall(patient);
  const Result result = act(call);
  Note(verb, call, result.status());
  if (result.ok()) {
    model = std::move(next);
    ++model.generation;
  }
  slot.silent.store(!model.Audible());
  Verify(slot, model, verb);
}

void Client::TogglePause(Slot& slot, Model& model, bool patient) {
  Model next = model;
  next.paused = !model.paused;
  Verb(
      slot, model, next, next.paused ? "pause" : "resume",
      [&](const Call& call) {
        return next.paused
                   ? world_.manager.Pause(call.context, slot.name, call.options)
                   : world_.manager.Resume(call.context, slot.name,
                                           call.options);
      },
      patient);
}

void Client::ToggleDetach(Slot& slot, Model& model, bool patient) {
  Model next = model;
  next.detached = !model.detached;
  Verb(
      slot, model, next, next.detached ? "detach" : "attach",
      [&](const Call& call) {
        return next.detached ? world_.manager.Detach(call.context, slot.name,
                                                     call.options)
                             : world_.manager.Attach(call.context, slot.name,
                                                     call.options);
      },
      patient);
}

void Client::ToggleUp(Slot& slot, Model& model, bool patient) {
  Model next = model;
  next.config.admin_up = !model.config.admin_up;
  Verb(
      slot, model, next, next.config.admin_up ? "up" : "down",
      [&](const Call& call) {
        return world_.manager.UpdateTunnel(
            call.context, slot.name,
            [&](const EndpointConfig&) { return next.config; }, call.options);
      },
      patient);
}

void Client::Note(const char* verb, const Call& call,
                  const absl::Status& status) {
  const SteadyTime now = SteadyNow();
  const auto reason = GetReason(status);
  ++outcomes_[absl::StrCat(verb, " ",
                           reason        ? ReasonName(*reason)
                           : status.ok() ? "OK"
                                         : "?")];
  if (status.ok()) changes_.fetch_add(1, std::memory_order_relaxed);
  if (status.ok() || reason == Reason::kConfigLockInterrupted ||
      reason == Reason::kEndpointPairInUse) {
    return;
  }
  if (reason == Reason::kCancelled && call.rung != nullptr) {
    const std::chrono::nanoseconds at(
        call.rung->at_ns.load(std::memory_order_acquire));
    leave_times_.push_back(now.time_since_epoch() - at);
  } else if (reason == Reason::kDeadlineExceeded && call.context.deadline) {
    leave_times_.push_back(now - *call.context.deadline);
  } else if (reason == Reason::kConfigLockBusy && call.options.lock_timeout) {
    leave_times_.push_back(now - call.begun - *call.options.lock_timeout);
  } else {
    world_.failures.Add(absl::StrCat(verb, ": ", status.ToString()));
  }
}

void Client::CheckPairInUse(const Slot& slot, Place wanted, const Call& call,
                            const absl::Status& status) {
  const auto detail = GetErrorDetail(status);
  if (!detail || detail->reason != Reason::kEndpointPairInUse) return;
  const auto& metadata = detail->metadata;
  const auto key = wanted.key_value();
  if (metadata.at("local") != LocalAddress().ToString() ||
      metadata.at("remote") != RemoteAddress(wanted.remote).ToString() ||
      metadata.at("key") != (key ? absl::StrCat(*key) : "none")) {
    Fail(slot, "refusal", "names another pair than the one asked for");
  }
  const std::string& holder = metadata.at("tunnel");
  if (holder == slot.name ||
      !world_.holders.CouldHold(Holders::Identities(slot.mode, wanted), holder,
                                call.begun)) {
    Fail(slot, "refusal", absl::StrCat("names ", holder, ", which had not it"));
  }
}

void Client::Verify(const Slot& slot, const Model& model, const char* verb) {
  const auto view = world_.manager.Get(slot.name);
  if (view.ok() != model.exists) {
    return Fail(slot, verb, model.exists ? "is missing" : "is still there");
  }
  if (!model.exists) return;
  const auto changes = Diff(model.config, view->config);
  if (!(view->config == model.config) || !changes.empty()) {
    Fail(slot, verb,
         absl::StrCat("shows another configuration",
                      changes.empty() ? "" : ", first " + changes[0].field));
  }
  if (view->paused != model.paused || view->detached != model.detached) {
    Fail(slot, verb, "shows another state");
  }
  if (view->generation != model.generation) {
    Fail(slot, verb,
         absl::StrCat("shows generation ", view->generation, ", want ",
                      model.generation));
  }
  if (view->etag != Etag(model.config)) Fail(slot, verb, "shows another etag");
}

void Client::Fail(const Slot& slot, const char* verb, const std::string& what) {
  world_.failures.Add(absl::StrCat(slot.name, " after ", verb, ": ", what));
}

}  // namespace tunnel
