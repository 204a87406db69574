// SPDX-License-Identifier: Apache-2.0
// Every kernel for GPUs once on the emulator, with asynchronous copies early and late: for the
// thread sanitizer, which sees each thread of a CTA as a thread. Bits are held against the CPU's by
// the way.
#include <cmath>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/attention.h"
#include "kernels/cpu_executor.h"
#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/executor.h"
#include "kernels/elementwise.h"
#include "kernels/finite_rows.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/kv_pages.h"

namespace shoal::kernels {
namespace {

class Race : public testing::TestWithParam<bool> {
 protected:
  // work(executor) gives the same on both.
  template <class Work>
  void compare(const std::string& what, const Work& work) {
    SCOPED_TRACE(what);
    EXPECT_TRUE(bitwise_equal(work(cpu_), work(*gpu_)));
  }

  CpuExecutor cpu_{1};
  const std::unique_ptr<Executor> gpu_ =
      cuda::CudaExecutor::open(
          cuda::emulator::module({.machine = {.seed = 5, .late_copies = GetParam()}}), 0)
          .executor;
};

std::vector<float> joined(std::vector<float> a, const std::vector<float>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

struct Product {
  WeightFormat format;
  DType stored;
  const char* name;
};

// The numbers of rows are those where another kernel, or another shape of it, takes over.
TEST_P(Race, Products) {
  for (const Product& p : {Product{WeightFormat::kF32, DType::kF32, "f32"},
                           {WeightFormat::kBF16, DType::kBF16, "bf16"},
                           {WeightFormat::kF16, DType::kF16, "f16"},
                           {WeightFormat::kQ8, DType::kF32, "q8"},
                           {WeightFormat::kQ4, DType::kBF16, "q4"},
                           {WeightFormat::kQ4S, DType::kF16, "q4s"}}) {
    for (const std::int64_t rows : is_portable(p.format)
                                       ? std::vector<std::int64_t>{1, 8, 16, 32, 50, 130}
                                       : std::vector<std::int64_t>{1, 2, 8, 50}) {
      // Of 130 rows more outputs, so that CTAs are wide; else two segments.
      const std::int64_t k = rows > 50 ? 96 : 544, n = rows > 50 ? 260 : 18;
      const std::int64_t gap = rows <= 2 || rows == 50 ? 0 : 5;  // aligned to 16 bytes, or not
      Random random(1);
      const Weights gate(random, p.stored, n, k), up(random, p.stored, n, k);
      const Weights bias(random, DType::kF32, 1, n), weight(random, p.stored, 1, k);
      const std::vector<float> data = random.normals(rows * k);
      compare(std::string(p.name) + " rows " + std::to_string(rows), [&](Executor& executor) {
        const auto packed_gate = pack_linear(executor, gate.view(), bias.view(), p.format);
        const auto packed_up = pack_linear(executor, up.view(), {}, p.format);
        Guarded x(data, rows, k, gap), sum(rows, n), both(rows, n);
        linear(executor, x.view(executor), packed_gate->weight(), sum.view(executor));
        gate_up(executor, x.view(executor), packed_gate->weight(), packed_up->weight(),
                both.view(executor));
        EXPECT_TRUE(sum.intact() && both.intact());
        // With a norm, where other kernels have it than the norm's own.
        const bool norms = rows <= 2 || (rows == 8 && is_portable(p.format));
        if (!norms) return joined(sum.content(), both.content());
        Guarded room(rows, k), normed_sum(rows, n), normed_both(rows, n);
        const InputNorm norm{weight.view(executor), 1e-5f, room.view(executor)};
        const Projection part{&packed_gate->weight(), normed_sum.view(executor)};
        project(executor, x.view(executor), {&part, 1}, norm);
        gate_up(executor, x.view(executor), packed_gate->weight(), packed_up->weight(),
                normed_both.view(executor), norm);
        return joined(joined(sum.content(), both.content()),
                      joined(normed_sum.content(), normed_both.content()));
      });
    }
  }
}

// The CPU has no float tensor cores: rows are held against each of them alone.
TEST_P(Race, ProductsOnFloatTensorCores) {
  for (const std::int64_t rows : {8, 16, 32, 50, 130}) {
    const std::int64_t k = rows > 50 ? 70 : 544, n = rows > 50 ? 260 : 18;
    const std::int64_t gap = rows == 50 ? 0 : 5;
    const bool f16 = rows == 16 || rows == 50;
    const DType stored = f16 ? DType::kF16 : DType::kBF16;
    const WeightFormat format = f16 ? WeightFormat::kMmaF16 : WeightFormat::kMmaBF16;
    Random random(4);
    const Weights gate(random, stored, n, k), up(random, stored, n, k);
    const Weights bias(random, DType::kF32, 1, n);
    const auto g = pack_linear(*gpu_, gate.view(), bias.view(), format);
    const auto u = pack_linear(*gpu_, up.view(), {}, format);
    Guarded x(random.normals(rows * k), rows, k, gap), sum(rows, n), both(rows, n);
    linear(*gpu_, x.view(*gpu_), g->weight(), sum.view(*gpu_));
    gate_up(*gpu_, x.view(*gpu_), g->weight(), u->weight(), both.view(*gpu_));
    EXPECT_TRUE(sum.intact() && both.intact());
    const std::vector<float> sums = sum.content(), pairs = both.content();
    for (const std::int64_t row : {std::int64_t{0}, rows - 1}) {
      SCOPED_TRACE("rows " + std::to_string(rows) + " row " + std::to_string(row));
      Guarded one(1, n), pair(1, n);
      const MatrixView own = rows_of(x.view(*gpu_), row, 1);
      linear(*gpu_, own, g->weight(), one.view(*gpu_));
      gate_up(*gpu_, own, g->weight(), u->weight(), pair.view(*gpu_));
      const auto of = [&](const std::vector<float>& all) {
        return std::vector<float>(all.begin() + row * n, all.begin() + (row + 1) * n);
      };
      EXPECT_TRUE(bitwise_equal(one.content(), of(sums)));
      EXPECT_TRUE(bitwise_equal(pair.content(), of(pairs)));
    }
  }
}

TEST_P(Race, Rows) {
  Random random(2);
  const Weights weight(random, DType::kF32, 1, 300);
  const std::vector<float> data = random.normals(3 * 300);
  compare("norm and gate", [&](Executor& executor) {
    Guarded x(data, 3, 300), normed(3, 300);
    rms_norm(executor, x.view(executor), weight.view(executor), 1e-5f, normed.view(executor));
    silu_mul(executor, normed.view(executor), x.view(executor), x.view(executor));
    return joined(normed.content(), x.content());
  });
  const Weights table(random, DType::kBF16, 9, 300);
  compare("embedding", [&](Executor& executor) {
    Guarded out(2, 300);
    const std::vector<std::int32_t> ids = {7, 0};
    embedding(executor, table.view(executor), ids, out.view(executor));
    return out.content();
  });
  compare("finite rows", [&](Executor& executor) {
    Guarded x(data, 3, 300);
    x.view().row(1)[299] = INFINITY;
    Placed<std::uint32_t> flags(std::vector<std::uint32_t>(3));
    finite_rows(executor, x.view(executor), flags.at(executor));
    return std::vector<float>(flags.host().begin(), flags.host().end());
  });
}

TEST_P(Race, RotateAppend) {
  Random random(4);
  const Weights q_norm(random, DType::kBF16, 1, 36), k_norm(random, DType::kF32, 1, 36);
  const std::vector<float> data = random.normals(3 * 4 * 36), frequencies = random.normals(18);
  for (const KvDType dtype : kKvDTypes) {
    for (const bool norms : {false, true}) {
      compare(std::string(kv_dtype_name(dtype)) + (norms ? " with norms" : ""),
              [&](Executor& executor) {
                StepPlan plan = StepPlan::make(executor, {frequencies, 1.0f}, {4, 2}).value();
                plan.add(30, 3, std::vector<std::int32_t>{1, 0});
                plan.seal(executor);
                Pages pages({4, 2, 36}, 2, dtype);
                Guarded q(data, 3, 4 * 36), k(data, 3, 2 * 36), v(data, 3, 2 * 36);
                ProjectedRows rows{.q = q.view(executor, plan),
                                   .k = k.view(executor, plan),
                                   .v = v.view(executor, plan),
                                   .norm_eps = 1e-5f};
                if (norms) rows.q_norm = q_norm.view(executor), rows.k_norm = k_norm.view(executor);
                rotate_append(executor, rows, pages.view(executor), pages.layout(), plan);
                const std::vector<char>& kept = pages.bytes();
                return joined(q.content(), {kept.begin(), kept.end()});
              });
    }
  }
}

// In one CTA for each row, and a CTA for each of three splits, whose results are merged.
TEST_P(Race, Attention) {
  for (const KvDType dtype : kKvDTypes) {
    for (const auto& [head_dim, length, rows] :
         {std::tuple{33, 70, 5}, std::tuple{32, 70, 1}, std::tuple{16, 530, 1}}) {
      const Shape shape{4, 2, head_dim};
      compare(std::string(kv_dtype_name(dtype)) + " x " + std::to_string(head_dim),
              [&, head_dim = head_dim, length = length, rows = rows](Executor& executor) {
                Random random(3);
                Session session(random, shape, length, dtype);
                session.append(executor, 0, length);
                const std::int64_t cols = shape.heads * head_dim;
                Guarded q(random.normals(rows * cols), rows, cols), out(rows, cols);
                const StepPlan plan = plan_of(executor, {session.rows(length - rows, rows)});
                attention(executor, q.view(executor, plan), shape.heads,
                          session.pages().view(executor), session.layout(), plan, 0.2f, 0,
                          out.view(executor, plan));
                EXPECT_TRUE(out.intact());
                return out.content();
              });
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Race, testing::Bool(),
                         [](const auto& info) { return info.param ? "late" : "early"; });

}  // namespace
}  // namespace shoal::kernels
