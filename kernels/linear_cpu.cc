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
constexpr std::int64_t kManyRows = 8;
// Parts begin at multiples of the widest register tile.
constexpr std::int64_t kOutStep = 8;
// Of gate_up with few rows: outputs of `up` that wait in scratch for those of the gate.
constexpr std::int64_t kUpOuts = kUpScratchFloats / kManyRows / kOutStep * kOutStep;
static_assert(kUpOuts >= kBlockOuts);

std::int64_t round_up(std::int64_t n, std::int64_t step) { return (n + step - 1) / step * step; }

LinearPart whole_product(const ConstF32Rows& x, const LinearWeight& weight, const F32Rows& out) {
  LinearPart part;
  part.x = x.data;
  part.x_stride = x.stride;
  part.format = weight.format;
  part.values = weight.values;
  part.k = x.cols;
  part.bias = weight.bias.present() ? weight.bias.data : nullptr;
  part.bias_dtype = weight.bias.dtype;
  part.out = out.data;
  part.out_stride = out.stride;
  part.row_end = x.rows;
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

void few_rows(CpuExecutor& executor, const Products& products) {
  const LinearPart& any = products.any();
  const std::int64_t grain = round_up(grain_for(any.row_end * any.k), kOutStep);
  executor.parallel_for(products.width(), grain, [&](std::int64_t begin, std::int64_t end) {
    products.each_in(begin, end, [&](const LinearPart& p, std::int64_t from, std::int64_t to) {
      executor.kernels().linear_few(block_of(p, 0, p.row_end, from, to));
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
            executor.kernels().linear_many(
                block_of(p, row, std::min(row + cut.rows, p.row_end), from, to), scratch);
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
  if (many) {
    kernels.linear_many(gate, scratch);
    kernels.linear_many(up, scratch);
  } else {
    kernels.linear_few(gate);
    kernels.linear_few(up);
  }
  for (std::int64_t r = gate.row_begin; r < gate.row_end; ++r) {
    float* out = gate.out + r * gate.out_stride + gate.out_begin;
    kernels.silu_mul(out, up.out + (r - up.out_row) * up.out_stride, up.out_stride, out);
  }
}

}  // namespace

void linear(Executor& executor, const ConstMatrixView& x, const LinearWeight& weight,
            const MatrixView& out, bool accumulate) {
  LinearPart part = whole_product(f32_rows(x), weight, f32_rows(out));
  part.accumulate = accumulate;
  multiply(of(executor), {&part, 1});
}

void project(Executor& executor, const ConstMatrixView& x, std::span<const Projection> parts) {
  constexpr std::size_t kAtOnce = 8;
  std::array<LinearPart, kAtOnce> products;
  while (!parts.empty()) {
    const std::size_t count = std::min(parts.size(), kAtOnce);
    for (std::size_t i = 0; i < count; ++i) {
      products[i] = whole_product(f32_rows(x), *parts[i].weight, f32_rows(parts[i].out));
    }
    multiply(of(executor), std::span(products).first(count));
    parts = parts.subspan(count);
  }
}

void gate_up(Executor& executor, const ConstMatrixView& x, const LinearWeight& gate,
             const LinearWeight& up, const MatrixView& out) {
  CpuExecutor& cpu = of(executor);
  const F32Rows to = f32_rows(out);
  const LinearPart gates = whole_product(f32_rows(x), gate, to);
  const LinearPart ups = whole_product(f32_rows(x), up, to);
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

}  // namespace shoal::kernels::cpu
