// SPDX-License-Identifier: Apache-2.0
// Cuts products into parts: those of one linear layer, of several with the same input, or of a gate
// and its `up`. Results do not depend on the cut: each output is reduced by one thread, in one
// order.
#include <algorithm>
#include <array>

#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {
namespace {

// From this many rows on, converting weights once per tile pays for writing them to scratch.
constexpr std::int64_t kManyRows = 20;
// Parts begin at multiples of the widest register tile.
constexpr std::int64_t kOutStep = kTileOutputs;
// Of gate_up with few rows: outputs of `up` that wait in scratch for those of the gate.
constexpr std::int64_t kUpOuts = kUpScratchFloats / kManyRows / kOutStep * kOutStep;
static_assert(kUpOuts >= kBlockOuts);

std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

// Some consecutive rows of an operator's x, and the same quantized where a weight is portable.
struct Inputs {
  ConstF32Rows x;
  std::int64_t first = 0;  // of the operator's rows
  QuantizedRows quantized;
};

// Calls body(inputs) for all rows: as many at once as there is room for, quantized.
template <class Body>
void in_row_blocks(CpuExecutor& executor, const ConstF32Rows& x, bool portable, const Body& body) {
  if (!portable) return body(Inputs{x, 0, {}});
  const std::int64_t at_once = kQuantizedBytes / quantized_row_bytes(x.cols);
  for (std::int64_t first = 0; first < x.rows; first += at_once) {
    Inputs inputs{{x.row(first), std::min(at_once, x.rows - first), x.cols, x.stride}, first, {}};
    inputs.quantized = executor.quantized_rows(inputs.x.rows, x.cols);
    executor.parallel_for(
        inputs.x.rows, grain_for(8 * x.cols), [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t r = begin; r < end; ++r) {
            executor.kernels().quantize_row(inputs.x.row(r), x.cols, inputs.quantized, r);
          }
        });
    body(inputs);
  }
}

LinearPart whole_product(const Inputs& inputs, const LinearWeight& weight, const F32Rows& out) {
  LinearPart part;
  part.x = inputs.x.data;
  part.x_stride = inputs.x.stride;
  part.format = weight.format;
  part.values = weight.values;
  part.quantized = inputs.quantized;
  part.k = inputs.x.cols;
  part.bias = weight.bias.present() ? weight.bias.data : nullptr;
  part.bias_dtype = weight.bias.dtype;
  part.out = out.row(inputs.first);
  part.out_stride = out.stride;
  part.row_end = inputs.x.rows;
  part.out_end = out.cols;
  return part;
}

LinearPart block_of(LinearPart part, std::int64_t row_begin, std::int64_t row_end,
                    std::int64_t out_begin, std::int64_t out_end) {
  part.row_begin = row_begin;
  part.row_end = row_end;
  part.out_begin = out_begin;
  part.out_end = out_end;
  return part;
}

// Products of one x, their outputs laid side by side, each from a multiple of kOutStep on.
class Products {
 public:
  explicit Products(std::span<const LinearPart> parts) : parts_(parts) {
    for (const LinearPart& part : parts) width_ += round_up(part.out_end, kOutStep);
  }
  std::int64_t width() const { return width_; }
  const LinearPart& any() const { return parts_.front(); }

  // Calls body(product, begin, end) for the outputs of each that lie in [begin, end).
  template <class Body>
  void each_in(std::int64_t begin, std::int64_t end, const Body& body) const {
    std::int64_t first = 0;
    for (const LinearPart& part : parts_) {
      const std::int64_t from = std::max<std::int64_t>(begin - first, 0);
      const std::int64_t to = std::min(end - first, part.out_end);
      if (from < to) body(part, from, to);
      first += round_up(part.out_end, kOutStep);
    }
  }

 private:
  std::span<const LinearPart> parts_;
  std::int64_t width_ = 0;
};

// As the part's format asks; `scratch` with many rows.
void multiply_part(const CpuKernels& kernels, const LinearPart& part, bool many, float* scratch) {
  if (is_portable(part.format)) {
    kernels.integers.linear_portable(part);
  } else if (many) {
    kernels.linear_many(part, scratch);
  } else {
    kernels.linear_few(part);
  }
}

void few_rows(CpuExecutor& executor, const Products& products) {
  const LinearPart& any = products.any();
  const std::int64_t grain = round_up(grain_for(any.row_end * any.k), kOutStep);
  executor.parallel_for(products.width(), grain, [&](std::int64_t begin, std::int64_t end) {
    products.each_in(begin, end, [&](const LinearPart& p, std::int64_t from, std::int64_t to) {
      multiply_part(executor.kernels(), block_of(p, 0, p.row_end, from, to), false, nullptr);
    });
  });
}

// How many rows are cut into blocks, and the outputs of each into columns.
struct Cut {
  std::int64_t rows, outs;  // of one block
  std::int64_t blocks, grain;

  Cut(const CpuExecutor& executor, std::int64_t row_end, std::int64_t k, std::int64_t width) {
    // Narrower blocks where the matrix is small, so that every thread gets some.
    const std::int64_t row_blocks = (row_end + kBlockRows - 1) / kBlockRows;
    const std::int64_t per_thread =
        round_up(width * row_blocks / (2 * executor.threads()) + 1, kOutStep);
    outs = std::clamp<std::int64_t>(per_thread, kOutStep, kBlockOuts);
    rows = round_up((row_end + row_blocks - 1) / row_blocks, 12);
    blocks = (row_end + rows - 1) / rows;
    grain = grain_for(std::min(rows, row_end) * outs * k);
  }
};

void many_rows(CpuExecutor& executor, const Products& products) {
  const LinearPart& any = products.any();
  const Cut cut(executor, any.row_end, any.k, products.width());
  const std::int64_t columns = (products.width() + cut.outs - 1) / cut.outs;
  const auto work = [&](std::int64_t begin, std::int64_t end, float* scratch) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / columns * cut.rows, out = i % columns * cut.outs;
      products.each_in(
          out, out + cut.outs, [&](const LinearPart& p, std::int64_t from, std::int64_t to) {
            multiply_part(executor.kernels(),
                          block_of(p, row, std::min(row + cut.rows, p.row_end), from, to), true,
                          scratch);
          });
    }
  };
  executor.parallel_for(cut.blocks * columns, cut.grain, work);
}

void multiply(CpuExecutor& executor, std::span<const LinearPart> parts) {
  const Products products(parts);
  if (products.width() == 0) return;
  if (products.any().row_end < kManyRows || products.any().k == 0) {
    few_rows(executor, products);
  } else {
    many_rows(executor, products);
  }
}

// One block of a gate and its `up`, the latter into scratch beside it, and what they make together.
void gate_up_block(const CpuKernels& kernels, const LinearPart& gate, LinearPart up, bool many,
                   float* scratch) {
  up.out = scratch + kLinearScratchFloats;
  up.out_row = up.row_begin;
  up.out_column = up.out_begin;
  up.out_stride = up.out_end - up.out_begin;
  multiply_part(kernels, gate, many, scratch);
  multiply_part(kernels, up, many, scratch);
  for (std::int64_t r = gate.row_begin; r < gate.row_end; ++r) {
    float* out = gate.out + r * gate.out_stride + gate.out_begin;
    kernels.silu_mul(out, up.out + (r - up.out_row) * up.out_stride, up.out_stride, out);
  }
}

void gate_up_products(CpuExecutor& cpu, const LinearPart& gates, const LinearPart& ups) {
  const std::int64_t rows = gates.row_end, outs = gates.out_end, k = gates.k;
  const auto block = [&](std::int64_t row, std::int64_t row_end, std::int64_t begin,
                         std::int64_t end, bool many, float* scratch) {
    gate_up_block(cpu.kernels(), block_of(gates, row, row_end, begin, end),
                  block_of(ups, row, row_end, begin, end), many, scratch);
  };
  if (rows < kManyRows) {
    const std::int64_t grain = round_up(grain_for(2 * rows * k), kOutStep);
    cpu.parallel_for(outs, grain, [&](std::int64_t begin, std::int64_t end, float* scratch) {
      for (std::int64_t n = begin; n < end; n += kUpOuts) {
        block(0, rows, n, std::min(n + kUpOuts, end), false, scratch);
      }
    });
    return;
  }
  const Cut cut(cpu, rows, k, outs);
  const std::int64_t columns = (outs + cut.outs - 1) / cut.outs;
  const auto work = [&](std::int64_t begin, std::int64_t end, float* scratch) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i / columns * cut.rows, n = i % columns * cut.outs;
      block(row, std::min(row + cut.rows, rows), n, std::min(n + cut.outs, outs), true, scratch);
    }
  };
  cpu.parallel_for(cut.blocks * columns, (cut.grain + 1) / 2, work);
}

// What a product is of.
ConstF32Rows normed(Executor& executor, const ConstMatrixView& x, const InputNorm& norm) {
  if (!norm.weight.present()) return f32_rows(x);
  rms_norm(executor, x, norm.weight, norm.eps, norm.room);
  return f32_rows(ConstMatrixView(norm.room));
}

}  // namespace

void linear(Executor& executor, const ConstMatrixView& x, const LinearWeight& weight,
            const MatrixView& out, bool accumulate) {
  in_row_blocks(of(executor), f32_rows(x), is_portable(weight.format), [&](const Inputs& inputs) {
    LinearPart part = whole_product(inputs, weight, f32_rows(out));
    part.accumulate = accumulate;
    multiply(of(executor), {&part, 1});
  });
}

void project(Executor& executor, const ConstMatrixView& x, std::span<const Projection> parts,
             const InputNorm& norm) {
  constexpr std::size_t kAtOnce = 8;
  const bool portable = std::any_of(parts.begin(), parts.end(), [](const Projection& part) {
    return is_portable(part.weight->format);
  });
  in_row_blocks(of(executor), normed(executor, x, norm), portable, [&](const Inputs& inputs) {
    std::array<LinearPart, kAtOnce> products;
    for (std::size_t first = 0; first < parts.size(); first += kAtOnce) {
      const std::size_t count = std::min(parts.size() - first, kAtOnce);
      for (std::size_t i = 0; i < count; ++i) {
        const Projection& part = parts[first + i];
        products[i] = whole_product(inputs, *part.weight, f32_rows(part.out));
      }
      multiply(of(executor), std::span(products).first(count));
    }
  });
}

void gate_up(Executor& executor, const ConstMatrixView& x, const LinearWeight& gate,
             const LinearWeight& up, const MatrixView& out, const InputNorm& norm) {
  CpuExecutor& cpu = of(executor);
  const bool portable = is_portable(gate.format) || is_portable(up.format);
  in_row_blocks(cpu, normed(executor, x, norm), portable, [&](const Inputs& inputs) {
    const F32Rows to = f32_rows(out);
    gate_up_products(cpu, whole_product(inputs, gate, to), whole_product(inputs, up, to));
  });
}

}  // namespace shoal::kernels::cpu
