// SPDX-License-Identifier: Apache-2.0
// How many peers the swarm has, judged from lookups: where ids are spread evenly, the n-th closest
// peer to any key lies at n/N of the key space. Each lookup gives a sample; the median of many
// stands against a key that somebody has crowded with ids of his own. Value class, no clock, no
// I/O, bounded. After go-libp2p's netsize.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dht/config.h"
#include "dht/key.h"

namespace shoal::dht {

class SizeEstimate {
 public:
  explicit SizeEstimate(const SizeEstimateConfig& config) : config_(config) {}

  // A lookup for `target` ended and these are the ids of the closest that answered, closest first,
  // with nobody between them left unasked. Fewer than three say nothing. One sample per target: a
  // repeated lookup replaces its own.
  void add(const Key& target, std::span<const Key> answered, TimePoint now);

  // nullopt until there are enough samples that are young enough.
  std::optional<double> peers(TimePoint now) const;
  std::size_t samples() const { return samples_.size(); }

 private:
  struct Sample {
    std::uint32_t target = 0;  // first bytes: enough to tell targets apart
    std::uint32_t taken_s = 0;
    float peers = 0;
    float weight = 0;
  };
  bool is_old(const Sample& sample, TimePoint now) const;

  const SizeEstimateConfig config_;
  std::vector<Sample> samples_;  // oldest first
};

// Whether ids stand closer to a key than chance puts them: for some n from 3 on, the n-th closest
// is where n would stand with less than this probability, were `peers` spread evenly.
bool is_crowded(std::span<const Key> closest_distances, double peers, double chance);

// The part of the key space that lies within a distance, from its first 64 bits.
double fraction(const Key& distance);

// The distance within which `expected` of `peers` evenly spread peers lie: the region of a key. All
// ones when that is the whole swarm.
Key radius(double peers, double expected);

}  // namespace shoal::dht
