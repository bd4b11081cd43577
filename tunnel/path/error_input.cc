#include "tunnel/path/error_input.h"

#include <optional>

#include "encap/icmp_error.h"
#include "tunnel/base/clock.h"

namespace tunnel {

void ErrorInput::Run(size_t index) noexcept {
  const ReadSection section(reader_);
  const uint64_t now_ns = SteadyCoarseNs();
  counters_.calls(Syscall::kReceive).Add(1);
  for (const IncomingError& incoming : transport_.ReceiveErrors(index))
    Handle(incoming, now_ns);
}

void ErrorInput::Handle(const IncomingError& incoming,
                        uint64_t now_ns) noexcept {
  const std::optional<encap::OuterError> error =
      encap::ParseIcmpError(incoming.message, incoming.family);
  if (!error.has_value()) return;
  const Endpoint* endpoint = table_.senders().Find(*error);
  if (endpoint == nullptr) return;
  const Variant* variant = endpoint->output().Load();
  if (variant == nullptr || !encap::IsQuoteOf(*error, variant->config)) return;
  if (error->kind == encap::IcmpErrorKind::kTooBig && variant->path != nullptr)
    variant->path->Learn(error->head.info, error->packet_len, now_ns);
  // A frame has no sender that an address of the quote leads to.
  if (!variant->ethernet) Relay(*variant, *error, now_ns);
}

void ErrorInput::Relay(const Variant& variant, const encap::OuterError& error,
                       uint64_t now_ns) noexcept {
  const std::optional<encap::QuotedInner> inner =
      encap::FindQuotedInner(error, variant.config);
  if (!inner.has_value()) return;
  const uint32_t path_mtu =
      variant.path == nullptr ? 0 : variant.path->Mtu(now_ns);
  const std::optional<encap::InnerError> told =
      encap::RelayOuterError(error, *inner, path_mtu);
  if (!told.has_value()) return;
  Endpoint& endpoint = *variant.endpoint;
  reply_.Send(*told, inner->packet, /*ethernet=*/false,
              variant.contexts->of(worker_).inner_errors, now_ns,
              endpoint.write_queue(worker_));
}

}  // namespace tunnel
