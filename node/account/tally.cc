// SPDX-License-Identifier: Apache-2.0
#include "node/account/tally.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/account/amounts.h"

namespace shoal::node {
namespace {

template <typename Number, typename Join>
void join(Number& into, Number other, Join how) {
  into = how(into, other);
}

// Every sum of the two, once.
template <typename Join>
Tally joined(Tally a, const Tally& b, Join how) {
  join(a.sessions_opened, b.sessions_opened, how);
  join(a.sessions_ended, b.sessions_ended, how);
  join(a.sessions_failed, b.sessions_failed, how);
  join(a.hops_lost, b.hops_lost, how);
  join(a.prefill_tokens, b.prefill_tokens, how);
  join(a.decode_tokens, b.decode_tokens, how);
  join(a.bytes_in, b.bytes_in, how);
  join(a.bytes_out, b.bytes_out, how);
  join(a.session_s, b.session_s, how);
  join(a.up_s, b.up_s, how);
  join(a.paused_s, b.paused_s, how);
  join(a.computing_s, b.computing_s, how);
  join(a.energy_j, b.energy_j, how);
  join(a.energy_s, b.energy_s, how);
  return a;
}

}  // namespace

double Tally::computing_share() const {
  return up_s > 0 ? std::clamp(computing_s / up_s, 0.0, 1.0) : 0;
}

Tally operator+(const Tally& a, const Tally& b) {
  Tally sum = joined(a, b, [](auto x, auto y) { return x + y; });
  sum.peak_sessions = std::max(a.peak_sessions, b.peak_sessions);
  sum.peak_kv_positions = std::max(a.peak_kv_positions, b.peak_kv_positions);
  return sum;
}

Tally since(const Tally& now, const Tally& before) {
  return joined(now, before, [](auto x, auto y) { return x > y ? x - y : decltype(x){}; });
}

std::string tally_text(const Tally& tally) {
  std::string text = count_of(tally.sessions_opened, "session", "sessions");
  if (tally.sessions_failed > 0) {
    text += fmt::format(", {} of them failed", count_text(tally.sessions_failed));
  }
  text += fmt::format("; {}; {} in, {} out; computing {:.1f} % of the time",
                      count_of(tally.tokens(), "token", "tokens"), bytes_text(tally.bytes_in),
                      bytes_text(tally.bytes_out), 100 * tally.computing_share());
  if (tally.hops_lost > 0) {
    text += "; lost " + count_of(tally.hops_lost, "next hop", "next hops");
  }
  if (tally.paused_s >= 1) text += "; paused for " + duration_text(tally.paused_s);
  if (tally.energy_s > 0) {
    text += "; energy of the whole machine " + energy_text(tally.energy_j);
  }
  return text;
}

}  // namespace shoal::node
