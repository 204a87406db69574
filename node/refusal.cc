// SPDX-License-Identifier: Apache-2.0
#include "node/refusal.h"

#include "proto/limits.h"

namespace shoal::node {

std::string printable(std::string text, std::size_t max_bytes) {
  if (text.size() > max_bytes) text.resize(max_bytes);
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  return text;
}

wire::Failure to_failure(const Refusal& refusal) {
  wire::Failure failure;
  failure.set_code(static_cast<std::uint32_t>(refusal.code));  // absl and gRPC share the numbers
  failure.set_reason(printable(refusal.reason, proto::kMaxReasonBytes));
  failure.set_retry_after_ms(refusal.retry_after_ms);
  if (refusal.at_fault) failure.set_peer_id(refusal.at_fault->to_bytes());
  failure.set_epoch(refusal.epoch);
  failure.set_step_id(refusal.step_id);
  return failure;
}

}  // namespace shoal::node
