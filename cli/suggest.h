// SPDX-License-Identifier: Apache-2.0
// "Did you mean": which of the known words somebody meant who typed another one. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace shoal::cli {

// Letters to add, drop, replace or swap with their neighbour.
std::size_t edit_distance(std::string_view a, std::string_view b);

// The likely ones among `known`, in their order, at most four: those that begin with what was
// typed, else those nearest to it. Case, "_" for "-" and the number of leading dashes do not count.
std::vector<std::string> similar(std::string_view typed, const std::vector<std::string>& known);

// ": did you mean a, b or c?", or nothing.
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& known);

// "a", "a or b", "a, b or c".
std::string either(const std::vector<std::string>& words, const char* last = "or");

}  // namespace shoal::cli
