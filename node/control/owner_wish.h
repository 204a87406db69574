// SPDX-License-Identifier: Apache-2.0
// Whether a node is to serve now: what its owner said last, and the hours that the owner named. A
// value class; time comes in by argument (unix seconds, so that two hours are two hours also for a
// machine that slept). Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "node/control/hours.h"

namespace shoal::node {

struct Wish {
  bool serve = true;
  bool by_hours = false;                          // it is not to serve because of the hours
  bool all_the_time = false;                      // sessions may finish, however long they take
  bool stop = false;                              // behind that, the program ends
  bool free = false;                              // give the memory back meanwhile
  std::optional<std::int64_t> until_unix_s = {};  // of a pause that ends by itself
  bool operator==(const Wish&) const = default;
};

class OwnerWish {
 public:
  explicit OwnerWish(Hours hours = {}, bool free_by_hours = false)
      : hours_(std::move(hours)), free_by_hours_(free_by_hours) {}

  struct Pause {
    std::optional<std::int64_t> until_unix_s = {};
    bool free = false;
    bool all_the_time = false;  // drain
    bool stop = false;
  };
  void pause(const Pause& pause) { order_ = pause; }
  // Serve, whatever the hours say; until the hours say so too, and then they hold again.
  void resume() { order_ = Serve{}; }

  void set_hours(Hours hours, bool free_by_hours) {
    hours_ = std::move(hours);
    free_by_hours_ = free_by_hours;
  }
  Wish at(std::int64_t unix_s, LocalTime local);
  const Hours& hours() const { return hours_; }

 private:
  struct Serve {};

  Hours hours_;
  bool free_by_hours_;
  std::variant<std::monostate, Pause, Serve> order_;
};

}  // namespace shoal::node
