// SPDX-License-Identifier: Apache-2.0
// How well the swarm's directory works, as one client of it sees: its own table, and the lookups
// that it made. Plain value.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace shoal::client {

struct DhtHealth {
  std::size_t contacts = 0;           // in the client's routing table
  std::size_t verified_contacts = 0;  // of them, those that answered it
  double estimated_peers = 0;         // in the swarm
  std::size_t lookups_found = 0;      // of those made, with at least one record
  std::vector<double> lookup_ms;      // of each one made, to its end
  // Datagrams of one request are one request; a failed one found its peer gone.
  std::uint64_t requests_answered = 0, requests_failed = 0;

  double verified_share() const { return share(verified_contacts, contacts); }
  double success() const { return share(lookups_found, lookup_ms.size()); }
  // The smallest time that a share q of the lookups did not exceed; 0 without lookups.
  double quantile_ms(double q) const {
    if (lookup_ms.empty()) return 0;
    std::vector<double> sorted = lookup_ms;
    std::sort(sorted.begin(), sorted.end());
    const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted.size())));
    return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
  }

 private:
  static double share(std::size_t part, std::size_t whole) {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

}  // namespace shoal::client
