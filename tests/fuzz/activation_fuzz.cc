// SPDX-License-Identifier: Apache-2.0
// An Activation message from a peer: decoded to finite rows of the expected width, or refused.
#include <cmath>

#include "base/check.h"
#include "proto/activation.h"
#include "proto/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal;
  wire::Activation message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  for (const std::uint32_t hidden : {4u, proto::kMaxHidden}) {
    const auto rows = proto::decode_activation(message, hidden, proto::kMaxRowsPerStep);
    if (!rows.ok()) continue;
    CHECK(rows->size() == std::size_t{message.rows()} * hidden);
    for (const float value : *rows) CHECK(std::isfinite(value));
    const auto again = proto::encode_activation(*rows, message.rows(), hidden, message.codec());
    CHECK(again.ok() && again->data() == message.data()) << "decoding lost something";
  }
  return 0;
}
