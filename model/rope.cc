// SPDX-License-Identifier: Apache-2.0
#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace shoal::model {
namespace {

// YaRN's temperature (Peng et al. 2023, equation 15) as transformers writes it.
double yarn_mscale(double scale, double mscale) {
  return scale <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

// Short waves stay, long waves are divided by the factor, those between are blended by wavelength.
double llama3_frequency(const RopeConfig& rope, double original_positions, double frequency) {
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  if (wavelength < original_positions / rope.high_freq_factor) return frequency;
  if (wavelength > original_positions / rope.low_freq_factor) return frequency / rope.factor;
  const double smooth = (original_positions / wavelength - rope.low_freq_factor) /
                        (rope.high_freq_factor - rope.low_freq_factor);
  return (1.0 - smooth) * frequency / rope.factor + smooth * frequency;
}

// Below `low` the dimensions keep their frequency, above `high` they are interpolated.
struct YarnRamp {
  double low = 0.0, high = 0.0;

  YarnRamp(const RopeConfig& rope, double original_positions, double dim) {
    const auto correction_dim = [&](double rotations) {
      return dim * std::log(original_positions / (rotations * 2.0 * std::numbers::pi)) /
             (2.0 * std::log(rope.theta));
    };
    low = correction_dim(rope.beta_fast);
    high = correction_dim(rope.beta_slow);
    if (rope.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, dim - 1.0);
    if (low == high) high += 0.001;
  }
  double at(double i) const { return std::clamp((i - low) / (high - low), 0.0, 1.0); }
};

double yarn_attention_factor(const RopeConfig& rope, double factor) {
  if (rope.attention_factor) return *rope.attention_factor;
  const double mscale = rope.mscale.value_or(0.0);
  const double mscale_all_dim = rope.mscale_all_dim.value_or(0.0);
  if (mscale != 0.0 && mscale_all_dim != 0.0) {
    return yarn_mscale(factor, mscale) / yarn_mscale(factor, mscale_all_dim);
  }
  return yarn_mscale(factor, 1.0);
}

}  // namespace

RopeTable make_rope_table(const RopeConfig& rope, std::int64_t head_dim,
                          std::int64_t max_positions) {
  const double original_positions = static_cast<double>(
      rope.original_max_positions > 0 ? rope.original_max_positions : max_positions);
  const double dim = static_cast<double>(head_dim);
  RopeTable table;
  table.inverse_frequency.resize(static_cast<std::size_t>(head_dim / 2));
  const YarnRamp ramp(rope, original_positions, dim);
  for (std::size_t i = 0; i < table.inverse_frequency.size(); ++i) {
    const double plain = std::pow(rope.theta, -2.0 * static_cast<double>(i) / dim);
    double scaled = plain;
    switch (rope.type) {
      case RopeConfig::Type::kDefault:
        break;
      case RopeConfig::Type::kLinear:
        scaled = plain / rope.factor;
        break;
      case RopeConfig::Type::kLlama3:
        scaled = llama3_frequency(rope, original_positions, plain);
        break;
      case RopeConfig::Type::kYarn: {
        const double interpolated = ramp.at(static_cast<double>(i));
        scaled = plain / rope.factor * interpolated + plain * (1.0 - interpolated);
        break;
      }
    }
    table.inverse_frequency[i] = static_cast<float>(scaled);
  }
  if (rope.type == RopeConfig::Type::kYarn) {
    table.attention_factor = static_cast<float>(yarn_attention_factor(rope, rope.factor));
  }
  return table;
}

}  // namespace shoal::model
