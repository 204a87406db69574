// SPDX-License-Identifier: Apache-2.0
// What a scenario found, as named figures: a table for people, one JSON object for programs. Value
// classes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "dht/time.h"

namespace shoal::sim {

// A bag of measurements.
class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  void add_ms(dht::Duration duration) { add(static_cast<double>(duration.count()) / 1e6); }
  std::size_t size() const { return values_.size(); }
  double mean() const;
  double max() const;
  double percentile(double p) const;  // 0.99: the smallest value that 99 % do not exceed

 private:
  mutable std::vector<double> values_;
  mutable std::size_t sorted_ = 0;
};

class Report {
 public:
  using Value = std::variant<double, std::uint64_t, std::string>;
  using Figures = std::vector<std::pair<std::string, Value>>;

  void add(std::string name, double value);
  void add(std::string name, std::uint64_t value);
  void add(std::string name, std::string value);
  // One entry with p50, p99, mean and max.
  void add(std::string name, const Samples& samples);
  void add(std::string name, Figures figures);
  void add(const Report& other);  // its entries behind ours

  std::string table() const;
  std::string json() const;  // one line
  // Tests read single figures: "first_record_ms.p99".
  double number(std::string_view name) const;

 private:
  struct Entry {
    std::string name;
    Figures values;  // one without a name, or several with
  };
  std::vector<Entry> entries_;
};

}  // namespace shoal::sim
