// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/truth/truth.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "base/half.h"
#include "kernels/cuda/emulator/mma.h"
#include "tests/kernels/truth/tiles.h"

namespace shoal::kernels::cuda::truth {
namespace {

using base::bits_of;
using base::float_of;
using emulator::MmaRule;

// What the host computes of one item: in [words_of(part).in] to out [words_of(part).out].
using Expect = std::function<void(const std::uint32_t* in, std::uint32_t* out)>;

std::uint16_t half_of(std::uint32_t word, int which) {
  return static_cast<std::uint16_t>(word >> 16 * which);
}

void expect_bf16(MmaRule rule, int steps, const std::uint32_t* in, std::uint32_t* out) {
  std::copy(in, in + kTileD, out);
  for (int step = 0; step < steps; ++step) {
    const std::uint32_t* const a = in + kTileD + step * (kTileA + kTileB);
    const std::uint32_t* const b = a + kTileA;
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        std::uint16_t left[16], right[16];
        for (int k = 0; k < 16; ++k) {
          left[k] = half_of(a[row * 8 + k / 2], k % 2);
          right[k] = half_of(b[column * 8 + k / 2], k % 2);
        }
        std::uint32_t& d = out[row * 8 + column];
        d = bits_of(emulator::multiply_bf16(rule, left, right, float_of(d)));
      }
    }
  }
}

void expect_s8(const std::uint32_t* in, std::uint32_t* out) {
  const std::uint32_t* const a = in + kTileD;
  const std::uint32_t* const b = a + kTileA;
  const auto at = [](const std::uint32_t* row, int k) {
    return std::int64_t{static_cast<std::int8_t>(row[k / 4] >> k % 4 * 8)};
  };
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      std::int64_t sum = static_cast<std::int32_t>(in[row * 8 + column]);
      for (int k = 0; k < 32; ++k) sum += at(a + row * 8, k) * at(b + column * 8, k);
      out[row * 8 + column] = static_cast<std::uint32_t>(sum);
    }
  }
}

// Values of 16 bits, 16 in a row of the tile.
void expect_matrices(const std::uint32_t* in, std::uint32_t* out) {
  const auto value = [in](int matrix, int row, int column) {
    const int place = (matrix / 2 * 8 + row) * 16 + matrix % 2 * 8 + column;
    return std::uint32_t{half_of(in[place / 2], place % 2)};
  };
  for (int lane = 0; lane < 32; ++lane, out += 12) {
    const int one = lane / 4, pair = lane % 4 * 2;
    for (int i = 0; i < 4; ++i) {
      out[i] = value(i, one, pair) | value(i, one, pair + 1) << 16;
      out[4 + i] = value(i, pair, one) | value(i, pair + 1, one) << 16;
      const int other = lane ^ 1;
      out[8 + i] = other % 3 != 0 ? in[other * 4 + i] : 0;
    }
  }
}

void expect_shuffles(const std::uint32_t* in, std::uint32_t* out) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 2 * kMasks; ++i) *out++ = in[lane ^ 1 << i % kMasks];
  }
}

void expect_scalars(const std::uint32_t* in, std::uint32_t* out) {
  const float a = float_of(in[0]), b = float_of(in[1]), c = float_of(in[2]);
  out[kAdd] = bits_of(a + b);
  out[kSub] = bits_of(a - b);
  out[kMul] = bits_of(a * b);
  out[kFma] = bits_of(std::fma(a, b, c));
  out[kDiv] = bits_of(a / b);
  out[kSqrt] = bits_of(std::sqrt(a));
  out[kLarger] = bits_of(a > b ? a : b);
  out[kSmaller] = bits_of(a < b ? a : b);
  out[kFromF16] = bits_of(base::from_f16(half_of(in[0], 0)));
  out[kFromBf16] = bits_of(base::from_bf16(half_of(in[0], 0)));
  out[kToF16] = base::to_f16(a);
  out[kToBf16] = base::to_bf16(a);
}

bool is_nan(std::uint32_t bits) { return (bits & 0x7fffffffu) > 0x7f800000u; }
// Which NaN arithmetic gives is nobody's promise; conversions to 16 bits are integers' work.
bool equal(Part part, std::size_t place, std::uint32_t want, std::uint32_t have) {
  if (want == have) return true;
  const bool is_float = part == Part::kScalars && place != kToF16 && place != kToBf16;
  return is_float && is_nan(want) && is_nan(have);
}

std::string place_name(Part part, std::size_t place) {
  if (part == Part::kScalars) return kScalarNames[place];
  return "output " + std::to_string(place);
}

std::string difference(Part part, std::int64_t item, std::size_t place, std::uint32_t want,
                       std::uint32_t have) {
  char words[64];
  std::snprintf(words, sizeof(words), ": %08x, not %08x", have, want);
  return "item " + std::to_string(item) + ", " + place_name(part, place) + words;
}

// Whose items are so many that what they need stays small.
constexpr std::int64_t kAtOnce = 8192;

class Question {
 public:
  Question(std::string what, Part part, Expect expect) : part_(part), expect_(std::move(expect)) {
    outcome_.what = std::move(what);
  }

  // fill(words of an item)
  template <class Fill>
  Outcome ask(Back& back, std::int64_t items, const Fill& fill) {
    const Words words = words_of(part_);
    for (std::int64_t done = 0; done < items && outcome_.failure.empty();) {
      const std::int64_t now = std::min(items - done, kAtOnce);
      std::vector<std::uint32_t> in(static_cast<std::size_t>(now * words.in));
      std::vector<std::uint32_t> out(static_cast<std::size_t>(now * words.out), 0x5a5a5a5au);
      for (std::int64_t i = 0; i < now; ++i) {
        fill(std::span(in).subspan(static_cast<std::size_t>(i * words.in),
                                   static_cast<std::size_t>(words.in)));
      }
      outcome_.failure = back.run(part_, in, now, out);
      if (outcome_.failure.empty()) compare(in, out, done, now);
      done += now;
    }
    return outcome_;
  }

 private:
  struct Found {
    std::int64_t differ = 0;
    std::string first;
  };

  // By all cores: the rules take longer than the card.
  void compare(const std::vector<std::uint32_t>& in, const std::vector<std::uint32_t>& out,
               std::int64_t before, std::int64_t items) {
    const auto threads =
        static_cast<std::int64_t>(std::clamp(std::thread::hardware_concurrency(), 1u, 64u));
    const std::int64_t each = (items + threads - 1) / threads;
    std::vector<Found> found(static_cast<std::size_t>(threads));
    std::vector<std::thread> working;
    for (std::int64_t t = 0; t < threads; ++t) {
      working.emplace_back([&, t] {
        const std::int64_t end = std::min(items, (t + 1) * each);
        for (std::int64_t i = t * each; i < end; ++i) {
          compare_item(in, out, before, i, found[static_cast<std::size_t>(t)]);
        }
      });
    }
    for (std::thread& one : working) one.join();
    for (const Found& one : found) {
      outcome_.differ += one.differ;
      if (outcome_.first.empty()) outcome_.first = one.first;
    }
    outcome_.items += items;
    outcome_.outputs += items * words_of(part_).out;
  }

  void compare_item(const std::vector<std::uint32_t>& in, const std::vector<std::uint32_t>& out,
                    std::int64_t before, std::int64_t item, Found& found) const {
    const Words words = words_of(part_);
    std::vector<std::uint32_t> want(static_cast<std::size_t>(words.out));
    expect_(in.data() + item * words.in, want.data());
    const std::uint32_t* const have = out.data() + item * words.out;
    for (std::size_t i = 0; i < want.size(); ++i) {
      if (equal(part_, i, want[i], have[i])) continue;
      ++found.differ;
      if (found.first.empty()) {
        found.first = difference(part_, before + item, i, want[i], have[i]);
      }
    }
  }

  const Part part_;
  const Expect expect_;
  Outcome outcome_;
};

Expect by(MmaRule rule, int steps) {
  return [=](const std::uint32_t* in, std::uint32_t* out) { expect_bf16(rule, steps, in, out); };
}

}  // namespace

const char* name_of(MmaRule rule) {
  switch (rule) {
    case MmaRule::kAmpere:
      return "mma8";
    case MmaRule::kHopper:
      return "mma9";
    case MmaRule::kOrdered:
      break;
  }
  return "ordered";
}

std::vector<Outcome> check(Back& back, const Options& options,
                           const std::function<void(const Outcome&)>& tell) {
  std::vector<Outcome> outcomes;
  const auto add = [&](Outcome outcome, bool decides = true) {
    outcome.decides = decides;
    if (tell) tell(outcome);
    outcomes.push_back(std::move(outcome));
  };
  Draw draw(options.seed);
  const auto any_words = [&draw](std::span<std::uint32_t> words) {
    for (std::uint32_t& word : words) word = draw.word();
  };
  add(Question("f32 and conversions", Part::kScalars, &expect_scalars)
          .ask(back, options.tiles * 32, [&](std::span<std::uint32_t> words) {
            for (std::uint32_t& word : words) word = any_float(draw);
          }));
  add(Question("shuffles", Part::kShuffles, &expect_shuffles).ask(back, options.tiles, any_words));
  add(Question("ldmatrix, copies", Part::kMatrices, &expect_matrices)
          .ask(back, options.tiles, any_words));
  add(Question("mma int8", Part::kMmaS8, &expect_s8).ask(back, options.tiles, any_words));

  const std::string rule = std::string(" by ") + name_of(options.rule);
  for (const Kind kind : kKinds) {
    const auto fill = [&](std::span<std::uint32_t> words) { fill_bf16_tile(draw, kind, 1, words); };
    add(Question(std::string("mma bf16, ") + name_of(kind) + rule, Part::kMmaBf16,
                 by(options.rule, 1))
            .ask(back, options.tiles, fill));
  }
  for (const Kind kind : {Kind::kSixBinades, Kind::kFortyBinades}) {
    const auto fill = [&](std::span<std::uint32_t> words) {
      fill_bf16_tile(draw, kind, kChain, words);
    };
    add(Question(std::string("chain of 32, ") + name_of(kind) + rule, Part::kMmaBf16Chain,
                 by(options.rule, kChain))
            .ask(back, std::max<std::int64_t>(options.tiles / kChain, 1), fill));
  }
  // What this machine would look like to who believes in another rule: it must not look right.
  for (const MmaRule other : {MmaRule::kAmpere, MmaRule::kHopper, MmaRule::kOrdered}) {
    if (other == options.rule) continue;
    const auto fill = [&](std::span<std::uint32_t> words) {
      fill_bf16_tile(draw, Kind::kSixBinades, 1, words);
    };
    add(Question(std::string("mma bf16, 6 binades by ") + name_of(other), Part::kMmaBf16,
                 by(other, 1))
            .ask(back, std::min<std::int64_t>(options.tiles, 3'000), fill),
        false);
  }
  return outcomes;
}

}  // namespace shoal::kernels::cuda::truth
