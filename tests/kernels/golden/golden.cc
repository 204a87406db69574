// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/golden/golden.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rotate_append.h"
#include "kernels/step_plan.h"
#include "tests/kernels/golden/seeded.h"

namespace shoal::kernels::golden {
namespace {

struct Format {
  WeightFormat format;
  DType stored;  // what it is packed from
  const char* name;
};
constexpr Format kFormats[] = {
    {WeightFormat::kBF16, DType::kBF16, "bf16"}, {WeightFormat::kF16, DType::kF16, "f16"},
    {WeightFormat::kF32, DType::kF32, "f32"},    {WeightFormat::kQ8, DType::kBF16, "q8"},
    {WeightFormat::kQ4, DType::kBF16, "q4"},     {WeightFormat::kQ4S, DType::kBF16, "q4s"}};

// Everything that one device computes.
class Runner {
 public:
  Runner(Executor& executor, const Shapes& shapes, const Choice& choice,
         const std::function<void(const Found&)>& tell)
      : executor_(executor), shapes_(shapes), choice_(choice), tell_(tell) {}

  void run() {
    for (const Format& format : kFormats) {
      linears(format, shapes_.hidden, shapes_.mlp);
      linears(format, shapes_.mlp, shapes_.hidden);
    }
    for (const Format& format : kFormats) projections(format);
    for (const Format& format : kFormats) gates(format);
    elementwise();
    for (const Heads& heads : shapes_.heads) {
      rope_of(heads);
      for (const KvDType dtype : kKvDTypes) attentions(heads, dtype);
    }
  }

 private:
  std::string named(const std::string& what, std::int64_t rows) const {
    return std::string(shapes_.name) + "/" + what + "/rows=" + std::to_string(rows);
  }
  bool wanted(const std::string& name) const {
    return choice_.only.empty() || name.find(choice_.only) != std::string::npos;
  }
  // Whether one of them is: what they share has to be made.
  bool any_wanted(const std::string& what, std::int64_t other_rows = 0) const {
    return std::any_of(shapes_.rows.begin(), shapes_.rows.end(),
                       [&](std::int64_t rows) { return wanted(named(what, rows)); }) ||
           (other_rows > 0 && wanted(named(what, other_rows)));
  }
  void tell(const std::string& name, const std::vector<float>& values, std::int64_t alone = 0,
            std::int64_t differ = 0) {
    tell_({name, hash_of(values), alone, differ});
  }

  // A layer, and what it may be a view of.
  struct Layer {
    std::vector<char> values, bias;
    PackedLinear packed;
    const LinearWeight& weight() const { return packed.weight(); }
  };
  Layer layer(const Format& format, std::uint64_t seed, std::int64_t k, std::int64_t n,
              bool biased = false) {
    Layer made;
    made.values = seeded_weights(seed, format.stored, n * k);
    if (biased) made.bias = seeded_weights(seed + 100, DType::kF32, n);
    const WeightView bias{biased ? made.bias.data() : nullptr, DType::kF32, biased ? 1 : 0,
                          biased ? n : 0};
    std::optional<PackedLinear> packed =
        pack_linear(executor_, {made.values.data(), format.stored, n, k}, bias, format.format);
    CHECK(packed.has_value()) << "no memory for weights of " << n << " x " << k;
    executor_.synchronize();
    made.packed = *std::move(packed);
    if (made.packed.owned_bytes() > 0) made.values = {};
    return made;
  }

  void linears(const Format& format, std::int64_t k, std::int64_t n) {
    const std::string what =
        std::string("linear/") + format.name + "/" + std::to_string(k) + "x" + std::to_string(n);
    const bool of_many = k == shapes_.hidden;
    if (!any_wanted(what, of_many ? shapes_.many : 0)) return;
    const Layer one = layer(format, 11, k, n);
    for (const std::int64_t rows : shapes_.rows) {
      if (!wanted(named(what, rows))) continue;
      DeviceRows x(executor_, seeded_rows(5, rows * k), rows, k);
      DeviceRows out(executor_, seeded_rows(6, rows * n), rows, n);  // added to
      linear(executor_, x.view(), one.weight(), out.view(), /*accumulate=*/true);
      tell(named(what, rows), out.fetch());
    }
    if (of_many && wanted(named(what, shapes_.many)))
      many(named(what, shapes_.many), one.weight(), k, n);
  }

  // A row alone has the bits that it has among many.
  void many(const std::string& name, const LinearWeight& weight, std::int64_t k, std::int64_t n) {
    const std::int64_t rows = shapes_.many;
    DeviceRows x(executor_, seeded_rows(8, rows * k), rows, k);
    DeviceRows out(executor_, rows, n), one(executor_, 1, n);
    linear(executor_, x.view(), weight, out.view());
    const std::vector<float> all = out.fetch();
    std::int64_t alone = 0, differ = 0;
    for (std::int64_t row = 0; row < rows; row += choice_.each, ++alone) {
      linear(executor_, x.view(row, 1), weight, one.view());
      const std::vector<float> got = one.fetch();
      const bool same = std::memcmp(got.data(), all.data() + row * n,
                                    static_cast<std::size_t>(n) * sizeof(float)) == 0;
      differ += same ? 0 : 1;
    }
    tell(name, all, alone, differ);
  }

  void projections(const Format& format) {
    const std::string what = std::string("project/") + format.name;
    if (!any_wanted(what)) return;
    const std::int64_t k = shapes_.hidden;
    const std::int64_t outs[] = {shapes_.hidden, shapes_.kv, shapes_.kv};
    std::vector<Layer> layers;
    for (const std::int64_t n : outs) {
      layers.push_back(layer(format, 21 + layers.size(), k, n, /*biased=*/true));
    }
    for (const std::int64_t rows : shapes_.rows) {
      if (!wanted(named(what, rows))) continue;
      DeviceRows x(executor_, seeded_rows(9, rows * k), rows, k);
      std::vector<DeviceRows> made;
      for (const std::int64_t n : outs) made.emplace_back(executor_, rows, n);
      std::vector<Projection> parts;
      for (std::size_t i = 0; i < made.size(); ++i) {
        parts.push_back({&layers[i].weight(), made[i].view()});
      }
      project(executor_, x.view(), parts);
      std::vector<float> all;
      for (DeviceRows& each : made) {
        const std::vector<float> some = each.fetch();
        all.insert(all.end(), some.begin(), some.end());
      }
      tell(named(what, rows), all);
    }
  }

  void gates(const Format& format) {
    const std::string what = std::string("gate_up/") + format.name;
    if (!any_wanted(what)) return;
    const std::int64_t k = shapes_.hidden, n = shapes_.mlp;
    const Layer gate = layer(format, 31, k, n), up = layer(format, 33, k, n);
    for (const std::int64_t rows : shapes_.rows) {
      if (!wanted(named(what, rows))) continue;
      // Small enough that the gate is not all 0 or 1.
      DeviceRows x(executor_, seeded_rows(9, rows * k, 0.01f), rows, k);
      DeviceRows out(executor_, rows, n);
      gate_up(executor_, x.view(), gate.weight(), up.weight(), out.view());
      tell(named(what, rows), out.fetch());
    }
  }

  void elementwise() {
    const std::int64_t rows = shapes_.rows.back(), hidden = shapes_.hidden, mlp = shapes_.mlp;
    if (wanted(named("rms_norm", rows))) {
      const std::vector<char> weight = seeded_weights(41, DType::kBF16, hidden);
      const DeviceValues placed(executor_, weight.data(), weight.size());
      DeviceRows x(executor_, seeded_rows(42, rows * hidden), rows, hidden);
      DeviceRows out(executor_, rows, hidden);
      rms_norm(executor_, x.view(), {placed.data(), DType::kBF16, 1, hidden, executor_.device()},
               1e-5f, out.view());
      tell(named("rms_norm", rows), out.fetch());
    }
    if (wanted(named("silu_mul", rows))) {
      DeviceRows gate(executor_, seeded_rows(43, rows * mlp, 8.0f), rows, mlp);
      DeviceRows up(executor_, seeded_rows(44, rows * mlp), rows, mlp);
      silu_mul(executor_, gate.view(), up.view(), gate.view());
      tell(named("silu_mul", rows), gate.fetch());
    }
  }

  void rope_of(const Heads& h) {
    const std::int64_t rows = shapes_.rows.back(), width = h.heads * h.head_dim;
    const std::string name = named("rope/" + text_of(h), rows);
    if (!wanted(name)) return;
    std::vector<float> frequencies(static_cast<std::size_t>(h.head_dim / 2));
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
      frequencies[i] = 1.0f / static_cast<float>(1 + 3 * i);
    }
    StepPlan plan = StepPlan::make(executor_, {.inverse_frequency = frequencies},
                                   {executor_.padded_rows(rows), 0})
                        .value();
    plan.add(1'000, rows, {});
    plan.seal(executor_);
    DeviceRows x(executor_, seeded_rows(45, rows * width), rows, width, plan.padded_rows());
    MatrixView none = x.view();
    none.cols = 0;
    rotate_append(executor_, {.q = x.view(), .k = none, .v = none}, {}, {.head_dim = h.head_dim},
                  plan);
    tell(name, x.fetch());
  }

  static std::string text_of(const Heads& h) {
    return std::to_string(h.heads) + "over" + std::to_string(h.kv_heads) + "x" +
           std::to_string(h.head_dim);
  }

  void attentions(const Heads& h, KvDType dtype) {
    for (const std::int64_t context : shapes_.contexts) {
      const std::string what =
          "attention/" + text_of(h) + "/kv=" + kv_dtype_name(dtype) + "/" + std::to_string(context);
      const std::int64_t prefill =
          context == shapes_.contexts.front() ? shapes_.prefill : shapes_.prefill / 8;
      const std::string decode_name = named(what, 8), prefill_name = named(what, prefill);
      if (!wanted(decode_name) && !wanted(prefill_name)) continue;
      Kept kept(executor_, h, dtype, context);
      if (wanted(decode_name)) tell(decode_name, decode(kept, h, context));
      if (!wanted(prefill_name)) continue;
      const std::vector<float> all = attend(kept, h, {{context - prefill, prefill}}, 51, 0);
      // Each row alone sees what it sees among the others.
      const std::int64_t width = h.heads * h.head_dim;
      std::int64_t alone = 0, differ = 0;
      for (std::int64_t row = 0; row < prefill; row += std::max<std::int64_t>(choice_.each, 8)) {
        const std::vector<float> got =
            attend(kept, h, {{context - prefill + row, 1}}, 51, row * width);
        const bool same = std::memcmp(got.data(), all.data() + row * width,
                                      static_cast<std::size_t>(width) * sizeof(float)) == 0;
        differ += same ? 0 : 1;
        ++alone;
      }
      tell(prefill_name, all, alone, differ);
    }
  }

  // Keys and values of `context` positions, through rotate_append, in steps as a prefill has them.
  struct Kept {
    Kept(Executor& executor, const Heads& h, KvDType dtype, std::int64_t context)
        : layout{h.kv_heads, h.head_dim, 0, 0} {
      const std::int64_t width = h.kv_heads * h.head_dim;
      const std::int64_t pages = (context + kPagePositions - 1) / kPagePositions;
      const std::int64_t page_bytes =
          kPagePositions * kv_position_bytes(dtype, h.kv_heads, h.head_dim);
      layout.value_offset_bytes = page_bytes / 2;
      const std::vector<char> zeros(static_cast<std::size_t>(pages * page_bytes));
      memory = DeviceValues(executor, zeros.data(), zeros.size());
      pool = {memory.data(), dtype, executor.device(), page_bytes};
      ids.resize(static_cast<std::size_t>(pages));
      std::iota(ids.begin(), ids.end(), 0);
      std::reverse(ids.begin(), ids.end());
      constexpr std::int64_t kStep = 500;  // ends within pages
      const StepLimits limits{executor.padded_rows(kStep), pages};
      for (std::int64_t at = 0; at < context; at += kStep) {
        const std::int64_t rows = std::min(kStep, context - at);
        StepPlan plan = StepPlan::make(executor, {}, limits).value();
        plan.add(at, rows, ids);
        plan.seal(executor);
        const auto seed = static_cast<std::uint64_t>(1'000 + at);
        DeviceRows keys(executor, seeded_rows(seed, rows * width), rows, width, plan.padded_rows());
        DeviceRows values(executor, seeded_rows(seed + 1, rows * width), rows, width,
                          plan.padded_rows());
        MatrixView none = keys.view();
        none.cols = 0;
        rotate_append(executor, {.q = none, .k = keys.view(), .v = values.view()}, pool, layout,
                      plan);
        executor.synchronize();
      }
    }
    KvLayout layout;
    DeviceValues memory;
    KvPages pool;
    std::vector<std::int32_t> ids;
  };

  struct Sequence {
    std::int64_t start, rows;
  };
  // Queries of seed `seed` from its `first` value on.
  std::vector<float> attend(Kept& kept, const Heads& h, const std::vector<Sequence>& sequences,
                            std::uint64_t seed, std::int64_t first, std::int64_t window = 0) {
    std::int64_t rows = 0;
    for (const Sequence& each : sequences) rows += each.rows;
    const auto pages = static_cast<std::int64_t>(kept.ids.size() * sequences.size());
    StepPlan plan = StepPlan::make(executor_, {}, {executor_.padded_rows(rows), pages}).value();
    for (const Sequence& each : sequences) plan.add(each.start, each.rows, kept.ids);
    plan.seal(executor_);
    const std::int64_t width = h.heads * h.head_dim;
    DeviceRows q(executor_, seeded_rows(seed, rows * width, 1.0f, first), rows, width,
                 plan.padded_rows());
    DeviceRows out(executor_, rows, width, plan.padded_rows());
    attention(executor_, q.view(), h.heads, kept.pool, kept.layout, plan, 0.088f, window,
              out.view());
    return out.fetch();
  }

  // Sessions of other lengths, one of them that sees a window only by itself.
  std::vector<float> decode(Kept& kept, const Heads& h, std::int64_t context) {
    std::vector<Sequence> sequences;
    for (const std::int64_t less : {0, 1, 2, 3, 5, 31, 32, 33}) {
      sequences.push_back({std::max<std::int64_t>(context - 1 - less, 0), 1});
    }
    std::vector<float> all = attend(kept, h, sequences, 52, 0);
    const std::vector<float> window = attend(kept, h, sequences, 52, 0, context / 3);
    all.insert(all.end(), window.begin(), window.end());
    return all;
  }

  Executor& executor_;
  const Shapes& shapes_;
  const Choice& choice_;
  const std::function<void(const Found&)>& tell_;
};

}  // namespace

const Shapes& small_shapes() {
  static const Shapes shapes{"small",   96, 160, 48, {1, 3, 9, 40}, {{8, 2, 32}, {8, 1, 32}},
                             {70, 300}, 40, 48};
  return shapes;
}

const Shapes& real_shapes() {
  static const Shapes shapes{
      "real",       4096, 14336, 1024, {1, 8, 33, 512}, {{32, 8, 128}, {64, 8, 128}, {32, 8, 64}},
      {1024, 8192}, 512,  2048};
  return shapes;
}

void run(Executor& executor, const Shapes& shapes, const Choice& choice,
         const std::function<void(const Found&)>& tell) {
  Runner(executor, shapes, choice, tell).run();
}

Read read_hashes(const std::string& text) {
  Read read;
  std::istringstream lines(text);
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    std::istringstream words(line);
    std::string name, hash, more;
    char* end = nullptr;
    const bool two = words >> name >> hash && !(words >> more);
    const std::uint64_t value = std::strtoull(hash.c_str(), &end, 16);
    if (!two || hash.size() != 16 || *end != '\0' || !read.hashes.emplace(name, value).second) {
      return {{}, "line " + std::to_string(number) + " is no name and hash: " + line};
    }
  }
  if (read.hashes.empty()) return {{}, "there are no hashes"};
  return read;
}

std::string line_of(const Found& found) {
  char hash[24];
  std::snprintf(hash, sizeof(hash), "%016llx", static_cast<unsigned long long>(found.hash));
  return found.name + " " + hash;
}

std::string fault_of(const Hashes& written, const Found& found) {
  if (found.differ > 0) {
    return std::to_string(found.differ) + " of " + std::to_string(found.alone) +
           " rows have other bits alone";
  }
  const auto entry = written.find(found.name);
  if (entry == written.end()) return "is not in the file of hashes";
  return entry->second == found.hash ? "" : "is not what a CPU makes of it";
}

}  // namespace shoal::kernels::golden
