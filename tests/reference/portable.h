// SPDX-License-Identifier: Apache-2.0
// The law of q8, q4 and q4s in plain C++, from its text (kernels/portable.h and
// portable_pack_kernel.h): shares no code with the kernels. All arithmetic f32, round to nearest
// even.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace shoal::reference {

enum class Portable { kQ8, kQ4, kQ4S };

// To f16's 11 significant bits (fewer below 2^-14), held within its range.
inline float as_f16(float value) {
  if (value == 0) return value;
  const double held = std::clamp(static_cast<double>(value), -65504.0, 65504.0);
  int exponent = 0;
  std::frexp(held, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent, -13) - 11);
  return static_cast<float>(std::clamp(std::nearbyint(held / unit) * unit, -65504.0, 65504.0));
}

struct Group {
  float scale = 0, least = 0;
  std::array<int, 32> q{};
};

inline float inverse(float scale) { return scale == 0 ? 0 : 1.0f / scale; }

inline Group with_scale(Portable format, const std::array<float, 32>& w, float scale, float least) {
  const int low = format == Portable::kQ8 ? -127 : format == Portable::kQ4 ? 0 : -8;
  const int high = format == Portable::kQ8 ? 127 : format == Portable::kQ4 ? 15 : 7;
  Group group{scale, least, {}};
  for (int k = 0; k < 32; ++k) {
    const float shifted = format == Portable::kQ4 ? w[k] - least : w[k];
    const float held =
        std::clamp(shifted * inverse(scale), static_cast<float>(low), static_cast<float>(high));
    group.q[k] = static_cast<int>(std::nearbyint(held));
  }
  return group;
}

inline float squared_error(Portable format, const Group& group, const std::array<float, 32>& w) {
  float sum = 0;
  for (int k = 0; k < 32; ++k) {
    const auto q = static_cast<float>(group.q[k]);
    const float miss = format == Portable::kQ4 ? std::fma(q, group.scale, group.least) - w[k]
                                               : std::fma(q, group.scale, -w[k]);
    sum = std::fma(miss, miss, sum);
  }
  return sum;
}

inline std::vector<Group> candidates(Portable format, const std::array<float, 32>& w) {
  std::vector<Group> all;
  float low = w[0], high = w[0], largest = w[0];
  for (const float value : w) {
    low = std::min(low, value);
    high = std::max(high, value);
    if (std::abs(value) > std::abs(largest)) largest = value;
  }
  if (format == Portable::kQ8) {
    for (const float f : {1.0f, 0.997f, 0.994f}) {
      all.push_back(with_scale(format, w, as_f16(std::abs(largest) * f / 127.0f), 0));
    }
  } else if (format == Portable::kQ4S) {
    for (const float f : {1.0f, 0.97f, 0.94f, 0.91f, 0.88f, 0.85f, 0.82f, 0.79f}) {
      all.push_back(with_scale(format, w, as_f16(largest * f / -8.0f), 0));
      all.push_back(with_scale(format, w, as_f16(largest * f / 8.0f), 0));
    }
  } else {
    const float middle = (high + low) * 0.5f, reach = (high - low) * 0.5f;
    for (const float f : {1.0f, 0.97f, 0.94f, 0.91f, 0.88f, 0.85f}) {
      const float half = reach * f;
      all.push_back(with_scale(format, w, as_f16((half + half) / 15.0f), as_f16(middle - half)));
    }
  }
  return all;
}

inline Group quantize_weights(Portable format, const std::array<float, 32>& w) {
  const std::vector<Group> all = candidates(format, w);
  const Group* best = &all.front();
  for (const Group& each : all) {
    if (squared_error(format, each, w) < squared_error(format, *best, w)) best = &each;
  }
  return *best;
}

inline std::array<float, 32> group_at(const float* row, std::int64_t k, std::int64_t begin) {
  std::array<float, 32> values{};
  for (int i = 0; i < 32 && begin + i < k; ++i) values[i] = row[begin + i];
  return values;
}

inline Group quantize_activations(const std::array<float, 32>& x) {
  float largest = 0;
  bool finite = true;
  for (const float value : x) {
    largest = std::max(largest, std::abs(value));
    finite = finite && std::isfinite(value);
  }
  Group group;
  if (!finite) {
    group.scale = std::numeric_limits<float>::quiet_NaN();
    return group;
  }
  group.scale = largest / 127.0f;
  if (group.scale < std::ldexp(1.0f, -126)) group.scale = 0;
  for (int k = 0; k < 32; ++k) {
    group.q[k] =
        static_cast<int>(std::nearbyint(std::clamp(x[k] * inverse(group.scale), -127.0f, 127.0f)));
  }
  return group;
}

// w [k] of one output.
inline std::vector<Group> quantize_output(Portable format, const float* w, std::int64_t k) {
  std::vector<Group> groups;
  for (std::int64_t begin = 0; begin < k; begin += 32) {
    groups.push_back(quantize_weights(format, group_at(w, k, begin)));
  }
  return groups;
}

// x [k]: without bias.
inline float product(Portable format, const float* x, const std::vector<Group>& weights,
                     std::int64_t k) {
  float value = 0, acc = 0;
  for (std::int64_t begin = 0; begin < k; begin += 32) {
    if (begin % 512 == 0) acc = 0;
    const Group a = quantize_activations(group_at(x, k, begin));
    const Group& b = weights[static_cast<std::size_t>(begin / 32)];
    int dot = 0, sum = 0;
    for (int i = 0; i < 32; ++i) {
      dot += a.q[i] * b.q[i];
      sum += a.q[i];
    }
    acc = std::fma(static_cast<float>(dot), b.scale * a.scale, acc);
    if (format == Portable::kQ4) {
      acc = std::fma(static_cast<float>(sum), b.least * a.scale, acc);
    }
    const bool ends = begin % 512 == 480 || begin + 32 >= k;
    if (ends) value = begin < 512 ? acc : value + acc;
  }
  return value;
}

}  // namespace shoal::reference
