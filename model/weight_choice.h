// SPDX-License-Identifier: Apache-2.0
// How a span keeps the matrices of its blocks: as they are stored, in a portable format
// (kernels/portable.h), made when the span is loaded, or as they are stored for float tensor cores
// (kernels/mma.h), which a GPU must have. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kernels/tensor.h"

namespace shoal::model {

enum class WeightChoice : std::uint8_t { kStored, kQ8, kQ4, kQ4S, kMma };
// Those that every device takes.
inline constexpr std::array<WeightChoice, 4> kWeightChoices = {
    WeightChoice::kStored, WeightChoice::kQ8, WeightChoice::kQ4,
    WeightChoice::kQ4S};  // the widest first

constexpr bool is_portable(WeightChoice choice) {
  return choice >= WeightChoice::kQ8 && choice <= WeightChoice::kQ4S;
}

// "stored", "q8", "q4" and "q4s"; nullopt for others.
std::optional<WeightChoice> weight_choice_named(std::string_view name);
// kMma is "stored" too: it is another computation, of the same weights.
const char* name_of(WeightChoice choice);

// Of a matrix that is stored as `stored`: for kMma as bf16 or f16 (check_mma in weight_check.h).
kernels::WeightFormat format_of(WeightChoice choice, kernels::DType stored);

}  // namespace shoal::model
