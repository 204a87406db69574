// SPDX-License-Identifier: Apache-2.0
// What was seen of the swarm last, for many sessions of one process: a session that begins need not
// look for itself, which costs three round trips and each node a few calls. One look at a time;
// whoever comes while it is under way waits for it. Thread-safe. Owns nothing but the sighting.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/stop_token.h"
#include "client/ring/swarm_scout.h"
#include "client/swarm/route.h"

namespace shoal::client {

class SharedSighting {
 public:
  using Look = std::function<absl::StatusOr<Sighting>(const base::StopToken& stop)>;

  // How old what is given out may be. Loads change faster, but what this process adds to them is
  // counted.
  static constexpr std::chrono::milliseconds kLifetime{1'000};

  explicit SharedSighting(Look look) : look_(std::move(look)) {}
  SharedSighting(const SharedSighting&) = delete;
  SharedSighting& operator=(const SharedSighting&) = delete;

  // The last one, or a new one by the caller's thread. An error is nobody else's.
  absl::StatusOr<Sighting> get(const base::StopToken& stop);
  // A session of so many positions was sent along `route`: others of the same sighting see its
  // nodes busier by that.
  void add_load(const Route& route, std::uint32_t positions);
  // It led somebody astray: the next to come looks.
  void forget();

  std::size_t looks() const;

 private:
  using Clock = std::chrono::steady_clock;

  const Look look_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::optional<Sighting> sighting_ ABSL_GUARDED_BY(mutex_);
  Clock::time_point seen_at_ ABSL_GUARDED_BY(mutex_);
  bool looking_ ABSL_GUARDED_BY(mutex_) = false;
  std::size_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace shoal::client
