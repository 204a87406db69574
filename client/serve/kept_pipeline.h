// SPDX-License-Identifier: Apache-2.0
// One pipeline, lent to one session after the other: for blocks that run in this process, whose
// weights are made ready once. One caller at a time; all that it lends must be back before it ends.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "client/text/pipeline.h"

namespace shoal::client {

class KeptPipeline {
 public:
  using Open = std::function<absl::StatusOr<std::unique_ptr<Pipeline>>(std::int64_t positions)>;
  // `least`: positions that the first one has room for.
  KeptPipeline(Open open, std::int64_t least) : open_(std::move(open)), room_(least) {}

  // Empty, with room for so many positions: the one that there is, or a larger one.
  absl::StatusOr<std::unique_ptr<Pipeline>> lend(std::int64_t positions);

 private:
  const Open open_;
  std::int64_t room_;
  std::unique_ptr<Pipeline> kept_;
};

}  // namespace shoal::client
