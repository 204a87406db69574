// SPDX-License-Identifier: Apache-2.0
// How a span keeps the matrices of its blocks: as they are stored, or in a portable format
// (kernels/portable.h), made when the span is loaded. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "kernels/tensor.h"

namespace shoal::model {

enum class WeightChoice : std::uint8_t { kStored, kQ8, kQ4, kQ4S };
inline constexpr std::array<WeightChoice, 4> kWeightChoices = {
    WeightChoice::kStored, WeightChoice::kQ8, WeightChoice::kQ4,
    WeightChoice::kQ4S};  // the widest first

// "stored", "q8", "q4" and "q4s"; nullopt for others.
std::optional<WeightChoice> weight_choice_named(std::string_view name);
const char* name_of(WeightChoice choice);

// Of a matrix that is stored as `stored`.
kernels::WeightFormat format_of(WeightChoice choice, kernels::DType stored);

}  // namespace shoal::model
