// SPDX-License-Identifier: Apache-2.0
#include "dht/size_estimate.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace shoal::dht {
namespace {

constexpr std::size_t kMinAnswered = 3;

std::uint32_t whole_seconds(TimePoint time) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<seconds>(time.time_since_epoch()).count());
}

std::uint32_t first_bytes(const Key& key) {
  std::uint32_t result = 0;
  for (std::size_t i = 0; i < sizeof(result); ++i) result = result << 8 | key.bytes[i];
  return result;
}

}  // namespace

double fraction(const Key& distance) {
  double result = 0;
  for (std::size_t byte = 8; byte-- > 0;) result = (result + distance.bytes[byte]) / 256;
  return result;
}

void SizeEstimate::add(const Key& target, std::span<const Key> answered, TimePoint now) {
  answered = answered.first(std::min(answered.size(), config_.max_closest));
  if (answered.size() < kMinAnswered) return;
  const double within = fraction(dht::distance(target, answered.back()));
  if (within <= 0) return;
  // The distance of the n-th says all that n distances say; n - 1/3 makes the median, not the mean,
  // come out right.
  const auto n = static_cast<double>(answered.size());
  Sample sample;
  sample.target = first_bytes(target);
  sample.taken_s = whole_seconds(now);
  sample.peers = static_cast<float>(std::max(n, (n - 1.0 / 3) / within));
  sample.weight = static_cast<float>(n);
  std::erase_if(samples_, [&](const Sample& other) {
    return other.target == sample.target || is_old(other, now);
  });
  if (samples_.size() >= config_.max_samples) samples_.erase(samples_.begin());
  samples_.push_back(sample);
}

bool SizeEstimate::is_old(const Sample& sample, TimePoint now) const {
  return seconds(whole_seconds(now) - sample.taken_s) > config_.max_age;
}

std::optional<double> SizeEstimate::peers(TimePoint now) const {
  std::vector<Sample> young;
  young.reserve(samples_.size());
  double total = 0;
  for (const Sample& sample : samples_) {
    if (is_old(sample, now)) continue;
    young.push_back(sample);
    total += sample.weight;
  }
  if (young.size() < config_.min_samples) return std::nullopt;
  std::sort(young.begin(), young.end(),
            [](const Sample& a, const Sample& b) { return a.peers < b.peers; });
  double below = 0;
  for (const Sample& sample : young) {
    below += sample.weight;
    if (2 * below >= total) return sample.peers;
  }
  return young.back().peers;
}

bool is_crowded(std::span<const Key> closest_distances, double peers, double chance) {
  for (std::size_t n = kMinAnswered; n <= closest_distances.size(); ++n) {
    // Poisson: the probability of n or more, where so many are expected.
    const double expected = peers * fraction(closest_distances[n - 1]);
    double term = std::exp(-expected), fewer = 0;
    for (std::size_t i = 0; i < n; ++i) {
      fewer += term;
      term *= expected / static_cast<double>(i + 1);
    }
    if (1 - fewer < chance) return true;
  }
  return false;
}

Key radius(double peers, double expected) {
  Key result;
  result.bytes.fill(0xff);
  if (!(expected < peers)) return result;
  result.bytes.fill(0);
  double rest = std::max(expected, 0.0) / peers;
  for (std::size_t i = 0; i < 8; ++i) {
    rest *= 256;
    const double byte = std::floor(rest);
    result.bytes[i] = static_cast<std::uint8_t>(byte);
    rest -= byte;
  }
  return result;
}

}  // namespace shoal::dht
