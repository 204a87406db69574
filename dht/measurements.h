// SPDX-License-Identifier: Apache-2.0
// What finds and publishes of one participant cost and brought, summed since its start: for status
// and metrics. Plain values, copied; one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace shoal::dht {

// Counts by upper bound, as Prometheus wants them. A value belongs to the first bucket whose bound
// is not below it; the last bucket is for whatever is above all bounds.
class Histogram {
 public:
  static constexpr std::size_t kMaxBounds = 13;
  explicit Histogram(std::span<const double> bounds);  // ascending; outlive the histogram

  void add(double value);
  std::span<const double> bounds() const { return bounds_; }
  std::span<const std::uint64_t> counts() const {  // of each bucket alone; one more than bounds
    return std::span(counts_).first(bounds_.size() + 1);
  }
  std::uint64_t count() const;
  double sum() const { return sum_; }
  double mean() const { return count() == 0 ? 0 : sum_ / static_cast<double>(count()); }
  // The value below which a share q lies, as well as the buckets tell: linear within one, the
  // last bound above all. 0 when nothing was counted.
  double quantile(double q) const;

 private:
  std::span<const double> bounds_;
  std::array<std::uint64_t, kMaxBounds + 1> counts_{};
  double sum_ = 0;
};

struct Measurements {
  Measurements();

  std::uint64_t finds = 0;        // ended
  std::uint64_t finds_found = 0;  // of them, with at least one record
  std::uint64_t finds_wide =
      0;  // went on over the whole region: the answers disagreed, or ids crowded
  std::uint64_t finds_secure =
      0;  // went over disjoint paths, asked for or because nothing was found
  std::uint64_t read_repairs = 0;     // replicas stored by finds where one was missing
  std::uint64_t publishes = 0;        // ended
  std::uint64_t publishes_short = 0;  // of them, with fewer replicas than wanted
  Histogram find_ms, first_record_ms, publish_ms;
  Histogram find_requests, publish_requests;
  Histogram hops;            // of the way to the first record
  Histogram replicas_found;  // peers that answered a find with a record
  Histogram replicas_made;   // of a publish: of its least replicated key
  Histogram record_age_s;    // of each record read: since its owner last refreshed it there
};

}  // namespace shoal::dht
