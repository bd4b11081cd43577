#include "tests/concurrency/client.h"

#include <chrono>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/concurrency/faulty_platform.h"
#include "tunnel/base/error.h"

namespace tunnel {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// With TORTURE_MOVES most changes are to another identity, and most calls are
// let alone.
bool MostlyMoves() {
  static const bool set = std::getenv("TORTURE_MOVES") != nullptr;
  return set;
}

}  // namespace

Client::Client(World world, std::vector<Slot*> slots, uint32_t seed)
    : world_(world),
      slots_(std::move(slots)),
      models_(slots_.size()),
      random_(seed),
      seed_(seed) {}

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
  if (slots_.size() == 2 && models_[0].exists && models_[1].exists &&
      random_() % 8 <= (MostlyMoves() ? 5u : 0u)) {
    return Swap(random_() % (MostlyMoves() ? 20 : 3) == 0);
  }
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

Client::Call Client::MakeCall(std::vector<const Slot*> slots, bool patient) {
  Call call;
  call.begun = SteadyNow();
  call.oldest = world_.log.Oldest();
  call.slots = std::move(slots);
  for (const Slot* slot : call.slots)
    call.before.push_back(world_.log.LastChange(slot->name));
  call.context.operation = absl::StrCat("client ", seed_, " #", ++last_call_);
  const auto soon = microseconds(random_() % 2000);
  switch (patient || (MostlyMoves() && random_() % 8 != 0) ? 9
                                                           : random_() % 10) {
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
    case 4:
    case 5:
      call.fail_at = 1 + random_() % 5;
      break;
    default:
      break;
  }
  // An interrupt would make it the way back that meets the failure.
  if (call.fail_at != 0) call.context.operation += Interrupts::kSpared;
  FaultScript::Arm(call.fail_at);
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
  slot.deaf_from.store(0, std::memory_order_relaxed);
  world_.holders.MayBegin(ids, slot.name);
  const Call call = MakeCall({&slot}, patient);
  const Result result =
      world_.manager.CreateTunnel(call.context, config, call.options);
  slot.Settle(result.ok());
  slot.silent.store(!result.ok());
  Note("create", call, result.status(), true);
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
  const Call call = MakeCall({&slot}, false);
  const Result result = world_.manager.UpdateTunnel(
      call.context, slot.name, [&](const EndpointConfig&) { return config; },
      call.options);
  slot.Settle(result.ok());
  const char* verb = stays ? "restamp" : "move";
  Note(verb, call, result.status(), true);
  if (!stays) {
    world_.holders.MustBegin(result.ok() ? new_ids : old_ids, slot.name);
    if (!result.ok()) CheckPairInUse(slot, place, call, result.status());
    world_.holders.MayEnd(result.ok() ? old_ids : new_ids, slot.name);
  }
  if (result.ok()) {
    model.config = config;
    model.place = place;
    ++model.generation;
    if (!stays) moves_.fetch_add(1, std::memory_order_relaxed);
  }
  Verify(slot, model, verb);
}

void Client::TryMove(Slot& slot, Model& model) {
  const Place place = RandomPlace(slot);
  EndpointConfig config = model.config;
  config.encap.remote = RemoteAddress(place.remote);
  config.encap.input_key = config.encap.output_key = place.key_value();
  Call call = MakeCall({&slot}, false);
  call.options.validate_only = true;
  const Result result = world_.manager.UpdateTunnel(
      call.context, slot.name, [&](const EndpointConfig&) { return config; },
      call.options);
  Note("validate", call, result.status(), false);
  if (!result.ok()) CheckPairInUse(slot, place, call, result.status());
  Verify(slot, model, "validate");
}

void Client::SetSame(Slot& slot, Model& model) {
  const Call call = MakeCall({&slot}, false);
  const Result result = world_.manager.UpdateTunnel(
      call.context, slot.name, [](const EndpointConfig& now) { return now; },
      call.options);
  Note("same", call, result.status(), false);
  if (result.ok() && !result->no_op) Fail(slot, "same", "was not a no_op");
  Verify(slot, model, "same");
}

void Client::SetWithOldEtag(Slot& slot, Model& model) {
  Call call = MakeCall({&slot}, false);
  call.options.if_match = "\"old\"";
  const Result result =
      world_.manager.DeleteTunnel(call.context, slot.name, call.options);
  if (GetReason(result.status()) == Reason::kEtagMismatch) {
    FaultScript::Disarm();
    ++outcomes_["delete ETAG_MISMATCH"];
  } else if (result.ok()) {
    Fail(slot, "delete", "was done in spite of an old etag");
  } else {
    Note("delete", call, result.status(), false);
  }
  Verify(slot, model, "delete with an old etag");
}

void Client::Delete(Slot& slot, Model& model, bool patient) {
  const auto ids = Holders::Identities(slot.mode, model.place);
  world_.holders.MustEnd(ids, slot.name);
  const Call call = MakeCall({&slot}, patient);
  const Result result =
      world_.manager.DeleteTunnel(call.context, slot.name, call.options);
  Note("delete", call, result.status(), true);
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
  if (next.Hearing()) slot.deaf_from.store(0, std::memory_order_relaxed);
  const Call call = MakeCall({&slot}, patient);
  const Result result = act(call);
  Note(verb, call, result.status(), true);
  if (result.ok()) {
    model = std::move(next);
    ++model.generation;
  }
  slot.silent.store(!model.Audible());
  SetHearing(slot, model);
  Verify(slot, model, verb);
}

void Client::Swap(bool take_over) {
  Slot* const slots[] = {slots_[0], slots_[1]};
  std::vector<std::string> ids[2];
  const Place places[] = {models_[0].place, models_[1].place};
  EndpointConfig configs[2];
  for (int i : {0, 1}) {
    ids[i] = Holders::Identities(slots[i]->mode, models_[i].place);
    configs[i] = slots[i]->Propose(models_[1 - i].place);
    configs[i].admin_up = models_[i].config.admin_up;
  }
  for (int i : {0, 1}) {
    world_.holders.MayBegin(ids[1 - i], slots[i]->name);
    world_.holders.MustEnd(ids[i], slots[i]->name);
  }
  const char* verb = take_over ? "take over" : "swap";
  const Call call = MakeCall({slots[0], slots[1]}, false);
  const auto result = world_.manager.Apply(call.context,
                                           [&](TunnelManager::Configs all) {
                                             all[slots[0]->name] = configs[0];
                                             if (take_over)
                                               all.erase(slots[1]->name);
                                             else
                                               all[slots[1]->name] = configs[1];
                                             return all;
                                           },
                                           {call.options, std::nullopt});
  const bool ok = result.ok();
  Note(verb, call, result.status(), true);
  for (int i : {0, 1}) {
    Model& model = models_[i];
    const bool gone = ok && take_over && i == 1;
    slots[i]->Settle(ok && !gone);
    if (gone) {
      slots[i]->current.store(0);
      slots[i]->silent.store(true);
      model = Model{};
    } else {
      world_.holders.MustBegin(ok ? ids[1 - i] : ids[i], slots[i]->name);
    }
    world_.holders.MayEnd(ok ? ids[i] : ids[1 - i], slots[i]->name);
    if (gone) world_.holders.MayEnd(ids[0], slots[i]->name);
  }
  if (ok) {
    for (int i : {0, 1}) models_[i].place = places[1 - i];
    for (int i : {0, 1}) {
      if (!models_[i].exists) continue;
      models_[i].config = configs[i];
      ++models_[i].generation;
      moves_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  for (int i : {0, 1}) Verify(*slots[i], models_[i], verb);
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

}  // namespace tunnel
