// SPDX-License-Identifier: Apache-2.0
#include "model/hub/retry.h"

#include <algorithm>

namespace shoal::model::hub {

bool is_passing(const HttpEnd& end) {
  if (end.status.ok()) return false;
  if (absl::IsUnavailable(end.status)) return true;  // no whole answer
  if (end.head.status < 400) return false;
  switch (end.head.status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return false;
  }
}

std::optional<std::chrono::milliseconds> wait_before_retry(const HttpEnd& end, int tries,
                                                           int most_tries) {
  if (!is_passing(end) || tries >= most_tries) return std::nullopt;
  if (end.retry_after_s > static_cast<double>(kMaxRetryAfter.count())) return std::nullopt;
  const std::chrono::milliseconds asked(static_cast<std::int64_t>(end.retry_after_s * 1000));
  const std::chrono::milliseconds own(500 << std::clamp(tries - 1, 0, 6));
  return std::max(asked, own);
}

}  // namespace shoal::model::hub
