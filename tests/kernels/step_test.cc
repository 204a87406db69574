// SPDX-License-Identifier: Apache-2.0
// Steps of one kind, one after the other: a device may record the first of them and repeat it, with
// fewer rows, other sessions and other pages. What comes out is what the CPU gives, bit for bit.
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/held_weight.h"
#include "kernels/linear.h"
#include "kernels/rotate_append.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/data.h"
#include "tests/kernels/executors.h"

namespace shoal::kernels {
namespace {

constexpr std::int64_t kHidden = 40, kHeads = 4, kKvHeads = 2, kHeadDim = 16, kMlp = 72;
constexpr std::int64_t kMostRows = 48, kPages = 12;
constexpr float kStepEps = 1e-5f;

// Of two blocks, as files store them.
struct StoredBlock {
  explicit StoredBlock(Random& random)
      : norm(random, DType::kF32, 1, kHidden),
        head_norm(random, DType::kBF16, 1, kHeadDim),
        q(random, DType::kBF16, kHeads * kHeadDim, kHidden),
        k(random, DType::kF16, kKvHeads * kHeadDim, kHidden),
        v(random, DType::kBF16, kKvHeads * kHeadDim, kHidden),
        v_bias(random, DType::kF32, 1, kKvHeads * kHeadDim),
        output(random, DType::kF32, kHidden, kHeads * kHeadDim),
        gate(random, DType::kBF16, kMlp, kHidden),
        up(random, DType::kBF16, kMlp, kHidden),
        down(random, DType::kF16, kHidden, kMlp) {}
  Weights norm, head_norm, q, k, v, v_bias, output, gate, up, down;
};

struct StepRows {
  std::int64_t start = 0;
  std::vector<std::int32_t> pages;
  std::vector<float> x;  // [rows, kHidden]
};

// A block with memory that stays, as recorded steps need it.
class Block {
 public:
  // repeats: else every step is run anew.
  Block(Executor& executor, const StoredBlock& stored, std::int64_t owner, WeightFormat format,
        bool repeats = true)
      : executor_(executor),
        repeats_(repeats),
        owner_(owner),
        plan_(StepPlan::make(executor, {frequencies(), 1.0f}, {kMostRows, kPages}).value()),
        norm_(hold_weight(executor, stored.norm.view()).value()),
        head_norm_(hold_weight(executor, stored.head_norm.view()).value()),
        q_(pack(stored.q, format)),
        k_(pack(stored.k, format)),
        v_(pack(stored.v, format, stored.v_bias.view())),
        output_(pack(stored.output, format)),
        gate_(pack(stored.gate, format)),
        up_(pack(stored.up, format)),
        down_(pack(stored.down, format)),
        pages_(executor.allocate(static_cast<std::size_t>(kPages * page_bytes())).value()) {
    for (std::size_t i = 0; i < kWidths.size(); ++i) {
      memory_[i] =
          executor.allocate(static_cast<std::size_t>(kMostRows * kWidths[i]) * sizeof(float))
              .value();
    }
  }

  std::vector<float> step(const std::vector<StepRows>& sessions) {
    plan_.clear();
    for (const StepRows& session : sessions) {
      executor_.upload(static_cast<float*>(memory_[kX].data()) + plan_.rows() * kHidden,
                       session.x.data(), session.x.size() * sizeof(float));
      plan_.add(session.start, static_cast<std::int64_t>(session.x.size()) / kHidden,
                session.pages);
    }
    plan_.seal(executor_);
    const StepKey key{.owner = owner_,
                      .rows = plan_.padded_rows(),
                      .positions = plan_.most_positions(),
                      .pages = pages_.data()};
    if (repeats_) {
      executor_.run_step(key, [this] { run(); });
    } else {
      run();
    }
    std::vector<float> x(static_cast<std::size_t>(plan_.rows() * kHidden));
    executor_.download(x.data(), memory_[kX].data(), x.size() * sizeof(float));
    executor_.synchronize();
    return x;
  }
  std::string pages() {
    std::string bytes(pages_.bytes(), '\0');
    executor_.download(bytes.data(), pages_.data(), bytes.size());
    executor_.synchronize();
    return bytes;
  }
  int bodies() const { return bodies_; }  // that were run, not repeated

 private:
  enum Part : std::size_t { kX, kNormed, kQ, kK, kV, kGated };
  static constexpr std::array<std::int64_t, 6> kWidths = {
      kHidden, kHidden, kHeads* kHeadDim, kKvHeads* kHeadDim, kKvHeads* kHeadDim, kMlp};

  static std::int64_t page_bytes() {
    return kPagePositions * kv_position_bytes(KvDType::kF32, kKvHeads, kHeadDim);
  }
  static std::vector<float> frequencies() {
    std::vector<float> v;
    for (int i = 0; i < kHeadDim; i += 2) v.push_back(std::pow(10.0f, -static_cast<float>(i) / 4));
    return v;
  }
  PackedLinear pack(const Weights& weight, WeightFormat format, const WeightView& bias = {}) {
    const WeightView view = weight.view();
    const bool mma = is_mma(format) && view.dtype != DType::kF32;
    const WeightFormat own = is_portable(format)          ? format
                             : !mma                       ? stored_format(view.dtype)
                             : view.dtype == DType::kBF16 ? WeightFormat::kMmaBF16
                                                          : WeightFormat::kMmaF16;
    return pack_linear(executor_, view, bias, own).value();
  }
  MatrixView part(Part part) const {
    return {memory_[part].data(), plan_.padded_rows(), kWidths[part],
            kWidths[part],        DType::kF32,         executor_.device()};
  }

  void run() {
    ++bodies_;
    const KvPages pages{pages_.data(), KvDType::kF32, executor_.device(), page_bytes()};
    const KvLayout layout{kKvHeads, kHeadDim, 0, page_bytes() / 2};
    const Projection projections[] = {
        {&q_.weight(), part(kQ)}, {&k_.weight(), part(kK)}, {&v_.weight(), part(kV)}};
    const InputNorm norm{norm_.view(), kStepEps, part(kNormed)};
    project(executor_, part(kX), projections, norm);
    rotate_append(executor_,
                  {.q = part(kQ),
                   .k = part(kK),
                   .v = part(kV),
                   .k_norm = head_norm_.view(),
                   .norm_eps = kStepEps},
                  pages, layout, plan_);
    attention(executor_, part(kQ), kHeads, pages, layout, plan_, 0.25f, 0, part(kQ));
    linear(executor_, part(kQ), output_.weight(), part(kX), true);
    gate_up(executor_, part(kX), gate_.weight(), up_.weight(), part(kGated), norm);
    linear(executor_, part(kGated), down_.weight(), part(kX), true);
  }

  Executor& executor_;
  const bool repeats_;
  const std::int64_t owner_;
  StepPlan plan_;
  HeldWeight norm_, head_norm_;
  PackedLinear q_, k_, v_, output_, gate_, up_, down_;
  Buffer pages_;
  std::array<Buffer, 6> memory_;
  int bodies_ = 0;
};

std::int64_t next_owner() {
  static std::int64_t last = std::int64_t{1} << 40;
  return ++last;
}

class RepeatedStep : public testing::TestWithParam<WeightFormat> {
 protected:
  StepRows rows(std::int64_t start, std::int64_t count, std::vector<std::int32_t> pages) {
    return {start, std::move(pages), random_.normals(count * kHidden)};
  }
  // Two sessions, and a third that takes the place of the first.
  std::vector<std::vector<StepRows>> some_steps() {
    const std::vector<std::int32_t> a = {3, 7}, b = {0, 11}, c = {5, 2};
    return {
        {rows(0, 5, a), rows(0, 2, b)},                  // 7 rows of 8
        {rows(5, 3, a), rows(2, 3, b)},                  // 6 of them
        {rows(0, 8, c)},                                 // all of them, of one session
        {rows(2, 1, b), rows(5, 2, a), rows(8, 2, c)},   // truncated; 5 rows, further on
        {rows(3, 1, b), rows(7, 1, a), rows(10, 1, c)},  // 3 of 4
        {rows(11, 1, c), rows(8, 1, a), rows(4, 1, b)},  // in another order
        {rows(9, 1, a), rows(5, 1, b)},                  // 2
        {rows(10, 1, a), rows(6, 1, b)},                 //
        {rows(11, 1, a)},                                // 1
        {rows(12, 1, a)},                                //
        {rows(7, 40, b)},                                // more than are recorded
        {rows(47, 1, b)},                                // on its second page
        {rows(48, 1, b)},                                //
    };
  }
  Random random_{1};
};

TEST_P(RepeatedStep, GivesItsOwnRowsEveryTime) {
  const StoredBlock stored(random_);
  const auto steps = some_steps();
  std::vector<std::vector<float>> expected;
  Block cpu(cpu_executor(), stored, next_owner(), GetParam());
  for (const auto& step : steps) expected.push_back(cpu.step(step));
  for (const auto& [name, executor] : all_executors()) {
    Block block(*executor, stored, next_owner(), GetParam());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      ASSERT_TRUE(bitwise_equal(expected[i], block.step(steps[i]))) << name << " step " << i;
    }
    EXPECT_TRUE(block.pages() == cpu.pages()) << name;
    // Of 13 steps of 7 kinds.
    EXPECT_EQ(block.bodies() < 13, executor->device() != Device::kCpu) << block.bodies();
  }
}

// The CPU has no float tensor cores: a step that was recorded is held against one that was not.
TEST(RepeatedMmaStep, IsAsItWasTheFirstTime) {
  Random random(2);
  const StoredBlock stored(random);
  const auto rows = [&](std::int64_t start, std::int64_t count) {
    return StepRows{start, {4, 9}, random.normals(count * kHidden)};
  };
  const std::vector<StepRows> steps = {rows(0, 33), rows(33, 7), rows(40, 6), rows(46, 1),
                                       rows(47, 1), rows(48, 5), rows(53, 9)};
  for (const auto& [name, executor] : all_executors()) {
    if (executor->mma() == MmaKind::kNone) continue;
    constexpr WeightFormat kFormat = WeightFormat::kMmaBF16;
    Block plain(*executor, stored, next_owner(), kFormat, false);
    Block block(*executor, stored, next_owner(), kFormat);
    Block exact(*executor, stored, next_owner(), WeightFormat::kBF16);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const std::vector<float> expected = plain.step({steps[i]});
      ASSERT_TRUE(bitwise_equal(expected, block.step({steps[i]}))) << name << " step " << i;
      EXPECT_FALSE(bitwise_equal(expected, exact.step({steps[i]}))) << "of another law";
    }
    EXPECT_TRUE(block.pages() == plain.pages()) << name;
    EXPECT_EQ(plain.bodies(), 7);
    EXPECT_EQ(block.bodies(), 4);  // of 33 rows, which are too many, of 8, 1 and 16
  }
}

// Each has tables, workspace and pages of its own.
TEST_P(RepeatedStep, IsNotMistakenForAnothers) {
  const StoredBlock one(random_), two(random_);
  const auto steps = some_steps();
  Block cpu_one(cpu_executor(), one, next_owner(), GetParam());
  Block cpu_two(cpu_executor(), two, next_owner(), GetParam());
  std::vector<std::vector<float>> expected;
  for (const auto& step : steps) {
    expected.push_back(cpu_one.step(step));
    expected.push_back(cpu_two.step(step));
  }
  for (const auto& [name, executor] : all_executors()) {
    Block on_one(*executor, one, next_owner(), GetParam());
    Block on_two(*executor, two, next_owner(), GetParam());
    for (std::size_t i = 0; i < steps.size(); ++i) {
      ASSERT_TRUE(bitwise_equal(expected[2 * i], on_one.step(steps[i]))) << name << " step " << i;
      ASSERT_TRUE(bitwise_equal(expected[2 * i + 1], on_two.step(steps[i]))) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, RepeatedStep, testing::Values(WeightFormat::kBF16, WeightFormat::kQ8),
                         [](const auto& info) {
                           return info.param == WeightFormat::kQ8 ? "q8" : "stored";
                         });

}  // namespace
}  // namespace shoal::kernels
