// SPDX-License-Identifier: Apache-2.0
// How a node that finds nobody at its --join addresses goes on: it tries again, with growing
// pauses, for as long as it was told to. Value class; time and randomness by argument.
#pragma once

#include <cstdint>
#include <optional>

namespace shoal::node {

class JoinWait {
 public:
  // `limit_ms` from the first try on; without one, for ever.
  explicit JoinWait(std::optional<std::uint32_t> limit_ms) : limit_ms_(limit_ms) {}

  // How long the try that begins `elapsed_ms` after the first may take.
  std::uint32_t try_ms(std::uint64_t elapsed_ms) const;
  // The pause after a try that failed; nullopt: give up. `unit` is random in [0, 1): machines that
  // were switched on together do not ask together.
  std::optional<std::uint32_t> pause_ms(std::uint64_t elapsed_ms, double unit);
  // Whether what we wait for is to be said now: after the first failure, then once a minute.
  bool tell(std::uint64_t elapsed_ms);

 private:
  std::uint64_t left_ms(std::uint64_t elapsed_ms) const;

  const std::optional<std::uint32_t> limit_ms_;
  std::uint32_t failures_ = 0;
  std::optional<std::uint64_t> told_ms_;
};

}  // namespace shoal::node
