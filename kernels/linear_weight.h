// SPDX-License-Identifier: Apache-2.0
// The weights of a linear layer as operators read them. What a file stores in one of our formats is
// used where it is mapped; another format is made once, by pack_linear, in the executor's memory. A
// new format is a WeightFormat (tensor.h), its bytes and a way to pack it (linear_weight_cpu.cc),
// and a reader (weight_rows.h). LinearWeight owns nothing; PackedLinear owns what was packed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// out[n] = bias[n] + sum over k of x[k] * weight[n, k].
struct LinearWeight {
  WeightFormat format = WeightFormat::kF32;
  Device device = Device::kCpu;
  std::int64_t rows = 0;   // outputs
  std::int64_t cols = 0;   // inputs: k
  std::int64_t group = 0;  // inputs that share a scale; 0: the format has no scales
  const void* values = nullptr;
  const void* scales = nullptr;
  const void* zeros = nullptr;
  WeightView bias;  // [1, rows], or absent

  LinearWeight() = default;
  LinearWeight(const WeightView& weight, const WeightView& bias = {})  // NOLINT: as it is stored
      : format(stored_format(weight.dtype)),
        device(weight.device),
        rows(weight.rows),
        cols(weight.cols),
        values(weight.data),
        bias(bias) {}

  bool present() const { return values != nullptr; }
  std::size_t bytes() const;  // bias and scales too
};

// Of values that are packed in a portable format.
LinearWeight portable_weight(const void* values, WeightFormat format, std::int64_t rows,
                             std::int64_t cols, const WeightView& bias);

class PackedLinear {
 public:
  PackedLinear() = default;
  PackedLinear(Buffer buffer, const LinearWeight& weight)
      : buffer_(std::move(buffer)), weight_(weight) {}

  const LinearWeight& weight() const { return weight_; }
  std::size_t owned_bytes() const { return buffer_.bytes(); }  // 0: a view of a file

 private:
  Buffer buffer_;
  LinearWeight weight_;
};

// Weights [rows, cols] that were packed in a portable format before: packed_bytes() of them, from a
// multiple of 64 bytes on, in the host's memory. A view where the executor reads them there, else a
// copy; nullopt when its memory is short.
std::optional<PackedLinear> place_packed(Executor& executor, const void* values,
                                         WeightFormat format, std::int64_t rows, std::int64_t cols,
                                         const WeightView& bias);

// `weight` [rows, cols] and `bias` [1, rows] in the host's memory. A view where the executor reads
// the stored values as they are; nullopt when its memory is short.
std::optional<PackedLinear> pack_linear(Executor& executor, const WeightView& weight,
                                        const WeightView& bias, WeightFormat format);

// Weights that somebody else quantized, in the host's memory: w = q s, or u s + m in q4, q and u as
// portable.h has them. Scales and minima are f16 and belong to `group` inputs: 32, 64 or 128.
// GGUF's Q8_0, Q4_1 and Q4_0 are q8, q4 and q4s in groups of 32; symmetric GPTQ is q4s in groups
// of 128. A zero point other than 8 is none of them exactly: its product with a scale is no f16.
struct QuantizedWeight {
  WeightFormat format = WeightFormat::kQ8;  // a portable one
  std::int64_t rows = 0, cols = 0;
  std::int64_t group = 0;
  const std::int8_t* values = nullptr;    // [rows, cols]
  const std::uint16_t* scales = nullptr;  // [rows, ceil(cols / group)]
  const std::uint16_t* minima = nullptr;  // likewise; q4 only
};

// The same values packed: nothing is rounded. CHECKs that all are in the format's range: who reads
// a file has looked. nullopt when the executor's memory is short.
std::optional<PackedLinear> pack_quantized(Executor& executor, const QuantizedWeight& weight,
                                           const WeightView& bias);

}  // namespace shoal::kernels
