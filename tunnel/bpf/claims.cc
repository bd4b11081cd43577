#include "tunnel/bpf/claims.h"

#include <netinet/in.h>

#include <cstring>

#include "tunnel/base/log.h"

namespace tunnel {
namespace {

template <typename Bytes>
Bytes BytesOf(const fp_input_key& key) {
  Bytes bytes;
  std::memcpy(bytes.data(), &key, sizeof(key));
  return bytes;
}

// In UDP the port says whose it is.
fp_input_key ClaimOf(fp_input_key key) {
  if (key.protocol == IPPROTO_UDP) key.has_key = 0, key.key = 0;
  return key;
}

}  // namespace

void Claims::Use(const KernelObject& object) {
  object_ = &object;
  SetMode(kFpBound, bound_ != 0);
  for (const auto& [claim, keys] : claims_) Tell(claim, true);
  SetMode(kFpClaims, on_);
}

void Claims::Add(const fp_input_key& key) {
  const Bytes claim = BytesOf<Bytes>(ClaimOf(key));
  std::set<Bytes>& keys = claims_[claim];
  if (keys.empty()) {
    if (key.ifindex != 0 && bound_++ == 0) SetMode(kFpBound, true);
    Tell(claim, true);
  }
  keys.insert(BytesOf<Bytes>(key));
}

void Claims::Remove(const fp_input_key& key) {
  const auto it = claims_.find(BytesOf<Bytes>(ClaimOf(key)));
  if (it == claims_.end()) return;
  it->second.erase(BytesOf<Bytes>(key));
  if (!it->second.empty()) return;
  Tell(it->first, false);
  claims_.erase(it);
  if (key.ifindex != 0 && --bound_ == 0) SetMode(kFpBound, false);
}

void Claims::Switch(bool on) {
  if (on_ == on) return;
  on_ = on;
  SetMode(kFpClaims, on);
}

void Claims::SetMode(uint32_t bit, bool on) const {
  if (object_ == nullptr) return;
  if (const int error = object_->SetMode(bit, on); error != 0) {
    LogError("the fast path does not know what it is to look for",
             {{"cause", std::strerror(error)}});
  }
}

void Claims::Tell(const Bytes& claim, bool claimed) {
  if (object_ == nullptr) return;
  fp_input_key key;
  std::memcpy(&key, claim.data(), sizeof(key));
  // Without a claim the stack gets packets that it has no use for.
  if (object_->SetClaim(key, claimed) != 0 && claimed)
    LogWarning("packets of a tunnel pass the IP stack as well", {});
}

}  // namespace tunnel
