// SPDX-License-Identifier: Apache-2.0
// What is worth another try, and after how long. Pure.
#pragma once

#include <chrono>
#include <optional>

#include "model/hub/http.h"

namespace shoal::model::hub {

inline constexpr int kMaxTries = 6;  // in a row, without a byte in between
// A server that asks for more patience than that has to be asked again by the user.
inline constexpr std::chrono::seconds kMaxRetryAfter{120};

// After `tries` in a row that failed, of which this was the last; nullopt: it is not to be tried
// again. Dropped connections, 408, 425, 429 and what 5xx a server says when it is busy are; waits
// are 0.5 s, 1 s, 2 s ..., and never less than the answer's Retry-After.
std::optional<std::chrono::milliseconds> wait_before_retry(const HttpEnd& end, int tries,
                                                           int most_tries = kMaxTries);
// Whether the same GET may succeed later.
bool is_passing(const HttpEnd& end);

}  // namespace shoal::model::hub
