// SPDX-License-Identifier: Apache-2.0
// What a node did in some time: sums that only grow, and peaks. Plain values; pure functions.
// Tokens are positions computed through this node's span. Bytes are those of the frames of
// sessions, before TLS.
#pragma once

#include <cstdint>
#include <string>

namespace shoal::node {

struct Tally {
  std::uint64_t sessions_opened = 0;
  std::uint64_t sessions_ended = 0;
  std::uint64_t sessions_failed = 0;  // of those that ended
  std::uint64_t hops_lost = 0;        // next hops of our sessions
  std::uint64_t prefill_tokens = 0;   // of steps of many rows
  std::uint64_t decode_tokens = 0;    // of steps of one
  std::uint64_t bytes_in = 0, bytes_out = 0;
  double session_s = 0;    // of all sessions that ended, together
  double up_s = 0;         // paused or not
  double paused_s = 0;     // of `up_s`
  double computing_s = 0;  // of `up_s`
  // Of the machine's processors and GPUs, whoever used them, over energy_s of `up_s`; both 0 where
  // the system does not tell.
  double energy_j = 0, energy_s = 0;
  std::uint64_t peak_sessions = 0, peak_kv_positions = 0;  // at a time

  std::uint64_t tokens() const { return prefill_tokens + decode_tokens; }
  double computing_share() const;  // 0 to 1
  bool operator==(const Tally&) const = default;
};

// Of two times: what was done in both, and the higher peaks.
Tally operator+(const Tally& a, const Tally& b);
// What was done since it was `before`; peaks are not known of a part, and stay.
Tally since(const Tally& now, const Tally& before);

// "12 sessions, 1 of them failed; 3,456 tokens; 1.2 MB in, 3.4 MB out; computing 12 % of the time;
// ...", for people.
std::string tally_text(const Tally& tally);

}  // namespace shoal::node
