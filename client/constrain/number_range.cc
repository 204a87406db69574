// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/number_range.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <vector>

namespace shoal::client::constrain {
namespace {

constexpr int kMaxFraction = 15;
constexpr std::int64_t kMostWholePart = 999'999'999'999'999;  // of a number with a fraction

void digit(GrammarBuilder& builder, NodeId from, char low, char high, NodeId to) {
  if (low <= high) {
    builder.byte(from, static_cast<unsigned char>(low), static_cast<unsigned char>(high), to);
  }
}

// Numbers of as many digits as `low` and `high` have.
class SameLength {
 public:
  SameLength(GrammarBuilder& builder, std::string low, std::string high, NodeId to)
      : builder_(builder), low_(std::move(low)), high_(std::move(high)), rest_{to} {}

  void add(NodeId from, std::size_t at, bool at_low, bool at_high) {
    if (!builder_.spend(1)) return;
    if (at == low_.size()) return builder_.empty(from, rest_[0]);
    if (!at_low && !at_high) return builder_.empty(from, any(low_.size() - at));
    const char low = at_low ? low_[at] : '0', high = at_high ? high_[at] : '9';
    if (at_low && at_high && low == high) return one(from, low, at, true, true);
    if (at_low) one(from, low, at, true, false);
    if (at_high) one(from, high, at, false, true);
    digit(builder_, from, static_cast<char>(low + (at_low ? 1 : 0)),
          static_cast<char>(high - (at_high ? 1 : 0)), any(low_.size() - at - 1));
  }

 private:
  void one(NodeId from, char c, std::size_t at, bool at_low, bool at_high) {
    const NodeId next = builder_.node();
    digit(builder_, from, c, c, next);
    add(next, at + 1, at_low, at_high);
  }
  NodeId any(std::size_t digits) {
    while (rest_.size() <= digits) {
      const NodeId node = builder_.node();
      digit(builder_, node, '0', '9', rest_.back());
      rest_.push_back(node);
    }
    return rest_[digits];
  }

  GrammarBuilder& builder_;
  const std::string low_, high_;
  std::vector<NodeId> rest_;  // by digits that are left
};

// 0 <= low
void add_positive(GrammarBuilder& builder, NodeId from, std::int64_t low, std::int64_t high,
                  NodeId to) {
  std::int64_t first = 0, last = 9;  // of a length
  while (first <= high) {
    if (last >= low) {
      SameLength(builder, std::to_string(std::max(first, low)),
                 std::to_string(std::min(last, high)), to)
          .add(from, 0, true, true);
    }
    if (last >= kMostWhole) break;
    first = last + 1;
    last = last * 10 + 9;
  }
}

// "" or a point and digits, such that 0.DIGITS lies within bounds, each of which may be missing.
class Fraction {
 public:
  Fraction(GrammarBuilder& builder, const Decimal* low, const Decimal* high, NodeId to)
      : builder_(builder), low_(low), high_(high), to_(to) {}

  void add(NodeId from) {
    if (may_end(0, low_ != nullptr, high_ != nullptr)) builder_.empty(from, to_);
    digits(builder_.text(from, "."), 0, low_ != nullptr, high_ != nullptr);
  }

 private:
  static char at(const Decimal& bound, int i) {
    const auto index = static_cast<std::size_t>(i);
    return index < bound.fraction.size() ? bound.fraction[index] : '0';
  }
  // What is there so far equals the beginnings of these bounds: is it within them as it is?
  bool may_end(int i, bool at_low, bool at_high) const {
    const auto over = [i](const Decimal& bound) {
      return static_cast<std::size_t>(i) >= bound.fraction.size();
    };
    if (at_low && (!over(*low_) || low_->exclusive)) return false;
    return !at_high || !over(*high_) || !high_->exclusive;
  }
  void digits(NodeId from, int i, bool at_low, bool at_high) {
    if (i == kMaxFraction || !builder_.spend(1)) return;
    const char low = at_low ? at(*low_, i) : '0', high = at_high ? at(*high_, i) : '9';
    for (char c = low; c <= high; ++c) {
      digit(builder_, from, c, c, behind(i + 1, at_low && c == low, at_high && c == high));
    }
  }
  NodeId behind(int i, bool at_low, bool at_high) {
    const auto [found, is_new] = known_.try_emplace({i, at_low, at_high}, 0);
    if (!is_new) return found->second;
    const NodeId node = builder_.node();
    found->second = node;
    if (may_end(i, at_low, at_high)) builder_.empty(node, to_);
    digits(node, i, at_low, at_high);
    return node;
  }

  GrammarBuilder& builder_;
  const Decimal *low_, *high_;
  const NodeId to_;
  std::map<std::tuple<int, bool, bool>, NodeId> known_;
};

// Without a sign; the bounds are not negative.
void add_magnitudes(GrammarBuilder& builder, NodeId from, const Decimal& low,
                    const std::optional<Decimal>& high, NodeId to) {
  const std::int64_t last = high ? high->whole : kMostWholePart + 1;
  if (low.whole > last) return;
  const auto with = [&](std::int64_t whole, const Decimal* low_end, const Decimal* high_end) {
    Fraction(builder, low_end, high_end, to).add(builder.text(from, std::to_string(whole)));
  };
  if (low.whole == last) return with(last, &low, &*high);
  with(low.whole, &low, nullptr);
  if (high) with(last, nullptr, &*high);
  if (low.whole + 1 > last - 1) return;
  const NodeId whole = builder.node();
  add_positive(builder, from, low.whole + 1, last - 1, whole);
  Fraction(builder, nullptr, nullptr, to).add(whole);
}

}  // namespace

NodeId add_whole_numbers(GrammarBuilder& builder, NodeId from, std::int64_t low,
                         std::int64_t high) {
  low = std::max(low, -kMostWhole);
  high = std::min(high, kMostWhole);
  const NodeId to = builder.node();
  if (high >= 0) add_positive(builder, from, std::max<std::int64_t>(low, 0), high, to);
  if (low < 0) {
    add_positive(builder, builder.text(from, "-"), std::max<std::int64_t>(-high, 1), -low, to);
  }
  return to;
}

std::optional<Decimal> decimal_of(double number, bool exclusive) {
  if (!(std::abs(number) <= static_cast<double>(kMostWholePart))) return std::nullopt;
  // The shortest digits that read as this double: what the schema's author wrote.
  const std::string shown = fmt::format("{}", std::abs(number));
  Decimal decimal{number < 0, 0, "", exclusive};
  const std::size_t mark = shown.find('e');
  std::string digits = shown.substr(0, mark);
  std::size_t point = digits.find('.');
  if (point == std::string::npos) point = digits.size();
  std::erase(digits, '.');
  auto whole_digits = static_cast<std::int64_t>(point);
  if (mark != std::string::npos) whole_digits += std::stoll(shown.substr(mark + 1));
  if (whole_digits < -kMaxFraction) return std::nullopt;
  if (whole_digits < 0) digits.insert(0, static_cast<std::size_t>(-whole_digits), '0');
  if (whole_digits > std::ssize(digits)) {
    digits.append(static_cast<std::size_t>(whole_digits - std::ssize(digits)), '0');
  }
  const auto cut = static_cast<std::size_t>(std::max<std::int64_t>(whole_digits, 0));
  decimal.whole = cut == 0 ? 0 : std::stoll(digits.substr(0, cut));
  decimal.fraction = digits.substr(cut);
  while (decimal.fraction.ends_with('0')) decimal.fraction.pop_back();
  if (decimal.fraction.size() > static_cast<std::size_t>(kMaxFraction)) return std::nullopt;
  return decimal;
}

NodeId add_numbers(GrammarBuilder& builder, NodeId from, const std::optional<Decimal>& low,
                   const std::optional<Decimal>& high) {
  const NodeId to = builder.node();
  const auto magnitude = [](std::optional<Decimal> bound) {
    if (bound) bound->negative = false;
    return bound;
  };
  if (!high || !high->negative) {
    const bool from_zero = !low || low->negative;
    add_magnitudes(builder, from, from_zero ? Decimal() : *low, high, to);
  }
  if (!low || low->negative) {
    Decimal least;
    if (high && high->negative) {
      least = *magnitude(high);
    } else if (high && high->whole == 0 && high->fraction.empty()) {
      least.exclusive = high->exclusive;
    }
    add_magnitudes(builder, builder.text(from, "-"), least, magnitude(low), to);
  }
  return to;
}

}  // namespace shoal::client::constrain
