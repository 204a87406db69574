// SPDX-License-Identifier: Apache-2.0
// JSON numbers within bounds, digit by digit, exactly. Without an exponent, and with at most 15
// digits behind the point (none for whole numbers). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "client/constrain/grammar.h"

namespace shoal::client::constrain {

// Whole numbers beyond are not made, with or without a bound.
inline constexpr std::int64_t kMostWhole = 999'999'999'999'999'999;

// Both ends included.
NodeId add_whole_numbers(GrammarBuilder& builder, NodeId from, std::int64_t low, std::int64_t high);

// A bound as decimal digits.
struct Decimal {
  bool negative = false;
  std::int64_t whole = 0;  // at least 0
  std::string fraction;    // without zeros at its end
  bool exclusive = false;
};
// Nothing for numbers of more than 15 digits before or behind the point.
std::optional<Decimal> decimal_of(double number, bool exclusive);

NodeId add_numbers(GrammarBuilder& builder, NodeId from, const std::optional<Decimal>& low,
                   const std::optional<Decimal>& high);

}  // namespace shoal::client::constrain
