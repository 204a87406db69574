// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/check.h"

namespace shoal::sim {

double Samples::mean() const {
  if (values_.empty()) return 0;
  return std::accumulate(values_.begin(), values_.end(), 0.0) / static_cast<double>(values_.size());
}

double Samples::max() const { return percentile(1); }

double Samples::percentile(double p) const {
  if (values_.empty()) return 0;
  if (sorted_ != values_.size()) std::sort(values_.begin(), values_.end());
  sorted_ = values_.size();
  const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(values_.size())));
  return values_[std::clamp<std::size_t>(rank, 1, values_.size()) - 1];
}

void Report::add(std::string name, double value) {
  entries_.push_back({std::move(name), {{"", value}}});
}
void Report::add(std::string name, std::uint64_t value) {
  entries_.push_back({std::move(name), {{"", value}}});
}
void Report::add(std::string name, std::string value) {
  entries_.push_back({std::move(name), {{"", std::move(value)}}});
}
void Report::add(std::string name, const Samples& samples) {
  entries_.push_back({std::move(name),
                      {{"min", samples.percentile(0)},
                       {"p50", samples.percentile(0.5)},
                       {"p99", samples.percentile(0.99)},
                       {"mean", samples.mean()},
                       {"max", samples.max()}}});
}
void Report::add(std::string name, Figures figures) {
  entries_.push_back({std::move(name), std::move(figures)});
}
void Report::add(const Report& other) {
  entries_.insert(entries_.end(), other.entries_.begin(), other.entries_.end());
}

std::string Report::table() const {
  const auto shown = [](const Value& value) -> std::string {
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* count = std::get_if<std::uint64_t>(&value)) return fmt::format("{}", *count);
    const double number = std::get<double>(value);
    if (number != 0 && std::abs(number) < 10) return fmt::format("{:.5g}", number);
    return fmt::format("{:.1f}", number);
  };
  std::string text;
  for (const Entry& entry : entries_) {
    text += fmt::format("{:<28} ", entry.name);
    for (const auto& [name, value] : entry.values) {
      text += name.empty() ? shown(value) : fmt::format("{} {:<10} ", name, shown(value));
    }
    while (text.ends_with(' ')) text.pop_back();
    text += '\n';
  }
  return text;
}

std::string Report::json() const {
  nlohmann::ordered_json object;
  for (const Entry& entry : entries_) {
    for (const auto& [name, value] : entry.values) {
      nlohmann::ordered_json& place = name.empty() ? object[entry.name] : object[entry.name][name];
      std::visit([&](const auto& v) { place = v; }, value);
    }
  }
  return object.dump();
}

double Report::number(std::string_view wanted) const {
  for (const Entry& entry : entries_) {
    for (const auto& [name, value] : entry.values) {
      if ((name.empty() ? entry.name : entry.name + "." + name) != wanted) continue;
      if (const auto* count = std::get_if<std::uint64_t>(&value))
        return static_cast<double>(*count);
      return std::get<double>(value);
    }
  }
  CHECK(false) << "no figure \"" << wanted << "\"";
  return 0;
}

}  // namespace shoal::sim
