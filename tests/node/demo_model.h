// SPDX-License-Identifier: Apache-2.0
// The bundled model for tests of this room: random rows, and what a span computes of them when
// nothing else runs.
#pragma once

#include <cstdint>
#include <vector>

#include "node/device/loaded_model.h"

namespace shoal::node {

inline constexpr const char* kDemoModel = SHOAL_SOURCE_DIR "/models/demo";

const LoadedModel& demo();
std::vector<float> random_rows(std::uint32_t seed, std::uint32_t count);  // [count, hidden]
std::vector<float> computed_alone(proto::Span span, const std::vector<float>& x);
std::vector<float> joined(std::vector<float> a, const std::vector<float>& b);
bool bitwise_equal(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace shoal::node
