#include "tunnel/endpoint/sender_index.h"

#include <algorithm>
#include <span>

#include "encap/outer_parse.h"
#include "encap/wire/gre.h"
#include "encap/wire/udp.h"

namespace tunnel {
namespace {

// What the GRE header at the start of `bytes` says about the key; no change
// where the quote does not reach that far.
void ReadGreKey(std::span<const uint8_t> bytes, SenderKey& key) noexcept {
  if (bytes.size() < encap::ConstGreHeader::kMinLen) return;
  const encap::ConstGreHeader gre(bytes.data());
  if (gre.has_key()) {
    const size_t at =
        encap::ConstGreHeader::HeaderLen(gre.has_checksum(), false, false);
    if (bytes.size() < at + 4) return;
    key.key = encap::Get32(bytes.data() + at);
  }
  key.any_key = false;
}

}  // namespace

std::vector<SenderKey> SenderKeys(const encap::EncapConfig& config) {
  std::vector<SenderKey> keys;
  SenderKey key;
  key.addresses = {config.local, config.remote};
  const auto add = [&](uint8_t protocol, uint16_t udp_port) {
    key.protocol = protocol;
    key.udp_port = udp_port;
    key.any_key = true;
    key.key.reset();
    keys.push_back(key);
    if (!encap::IsGre(config.mode)) return;
    key.any_key = false;
    key.key = config.output_key;
    keys.push_back(key);
  };
  if (config.transport == encap::OuterTransport::kUdp) {
    add(encap::kProtoUdp, encap::UdpPort(config));
  } else if (encap::IsGre(config.mode)) {
    add(encap::kProtoGre, 0);
  } else {
    if (encap::Carries(config.mode, encap::IpFamily::kV4))
      add(encap::kProtoIpip, 0);
    if (encap::Carries(config.mode, encap::IpFamily::kV6))
      add(encap::kProtoIpv6, 0);
  }
  return keys;
}

const Endpoint* SenderIndex::Find(
    const encap::OuterError& error) const noexcept {
  SenderKey key;
  key.addresses = error.addresses;
  key.protocol = error.protocol;
  key.any_key = true;
  std::span<const uint8_t> upper = error.upper;
  if (error.protocol == encap::kProtoUdp) {
    if (upper.size() < encap::ConstUdpHeader::kLen) return nullptr;
    key.udp_port = encap::ConstUdpHeader(upper.data()).destination_port();
    upper = upper.subspan(encap::ConstUdpHeader::kLen);
  }
  if (error.protocol == encap::kProtoGre || error.protocol == encap::kProtoUdp)
    ReadGreKey(upper, key);
  if (const Endpoint* endpoint = First(key)) return endpoint;
  // Behind UDP may be no GRE header at all.
  if (error.protocol != encap::kProtoUdp || key.any_key) return nullptr;
  key.any_key = true;
  key.key.reset();
  return First(key);
}

const Endpoint* SenderIndex::First(const SenderKey& key) const noexcept {
  const Senders* senders = senders_.Find(key);
  return senders == nullptr ? nullptr : senders->first.Load();
}

void SenderIndex::Set(const ConfigSection&, const Endpoint& endpoint,
                      const std::vector<SenderKey>& keys) {
  const auto held = keys_.find(&endpoint);
  const std::vector<SenderKey> before =
      held == keys_.end() ? std::vector<SenderKey>{} : held->second;
  if (before == keys) return;
  for (const SenderKey& key : before) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      Erase(key, endpoint);
  }
  for (const SenderKey& key : keys) {
    if (std::find(before.begin(), before.end(), key) == before.end())
      Add(key, endpoint);
  }
  if (keys.empty()) {
    keys_.erase(&endpoint);
  } else {
    keys_[&endpoint] = keys;
  }
}

void SenderIndex::Add(const SenderKey& key, const Endpoint& endpoint) {
  Senders* senders = senders_.Find(key);
  if (senders == nullptr) senders = senders_.Insert(key);
  senders->all.push_back(&endpoint);
  senders->first.Publish(&endpoint);
}

void SenderIndex::Erase(const SenderKey& key, const Endpoint& endpoint) {
  Senders* senders = senders_.Find(key);
  std::vector<const Endpoint*>& all = senders->all;
  // Mostly one of the last: the order of the others does not matter.
  const auto it = std::find(all.rbegin(), all.rend(), &endpoint);
  std::swap(*it, all.back());
  all.pop_back();
  senders->first.Publish(all.empty() ? nullptr : all.back());
  if (all.empty()) senders_.Erase(key);
}

}  // namespace tunnel
