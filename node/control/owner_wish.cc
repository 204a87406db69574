// SPDX-License-Identifier: Apache-2.0
#include "node/control/owner_wish.h"

namespace shoal::node {

Wish OwnerWish::at(std::int64_t unix_s, LocalTime local) {
  const bool open = hours_.open(local);
  if (const auto* pause = std::get_if<Pause>(&order_)) {
    if (!pause->until_unix_s || unix_s < *pause->until_unix_s) {
      return {.serve = false,
              .all_the_time = pause->all_the_time,
              .stop = pause->stop,
              .free = pause->free,
              .until_unix_s = pause->until_unix_s};
    }
    order_ = {};
  }
  if (std::holds_alternative<Serve>(order_)) {
    if (!open) return {};
    order_ = {};
  }
  if (open) return {};
  Wish wish{.serve = false, .by_hours = true, .free = free_by_hours_};
  if (const auto minutes = hours_.minutes_to_change(local)) {
    // By the clock on the wall: off by an hour across the change of summer time, and then right.
    wish.until_unix_s = unix_s - unix_s % 60 + 60 * std::int64_t{*minutes};
  }
  return wish;
}

}  // namespace shoal::node
