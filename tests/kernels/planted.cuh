// SPDX-License-Identifier: Apache-2.0
// Kernels to prove the emulator with: each does one thing that kernels do, right or with one of the
// faults that are planted in it. Compiled for the emulator only.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"
#include "kernels/step_tables.h"

namespace shoal::kernels::cuda::planted {

inline constexpr int kThreads = 64;

// So that a local array is there.
SHOAL_DEVICE void keep(const float (&local)[2]) { asm volatile("" ::"r"(&local) : "memory"); }

// out[cta] [kThreads] = in[cta] [kThreads], reversed through shared memory, which is then used
// anew.
struct Reverse {
  const float* in = nullptr;
  float* out = nullptr;
  bool no_barrier = false, reuses_early = false;
  bool past_shared = false, past_global = false, past_local = false;
};
SHOAL_KERNEL void reverse(Reverse a) {
  Shared shared;
  float* const row = shared.take<float>(kThreads);
  float* const next = shared.take<float>(kThreads);  // where a step past `row` would fall
  const int at = block_x() * kThreads;
  float local[2] = {};
  local[a.past_local ? thread() : thread() % 2] = 1.0f;
  keep(local);
  row[thread() + (a.past_shared ? 1 : 0)] = a.in[at + thread() + (a.past_global ? 1 : 0)];
  next[thread()] = 0.0f;
  if (!a.no_barrier) barrier();
  a.out[at + thread()] = row[kThreads - 1 - thread()];
  if (!a.reuses_early) barrier();
  row[thread()] = 0.0f;
  barrier();
}

// out[cta] = the sum of in[cta] [tiles, kThreads] in the order of tiles, then of threads by halves.
// Tiles come by asynchronous copies, two under way, each warp its own part.
struct Stream {
  const float* in = nullptr;
  float* out = nullptr;
  int tiles = 0;
  bool waits_for_too_few = false, folds_upwards = false;
  bool no_warp_barrier = false;  // behind the reading of a tile
  bool trusts_shuffle = false;   // in its place: all come together there, but it orders nothing
};
SHOAL_KERNEL void stream(Stream a) {
  constexpr int kStages = 2, kWords = 4, kLoads = 32 / kWords;  // of a warp's part of a tile
  Shared shared;
  float* const stages = shared.take<float>(kStages * kThreads);
  float* const sums = shared.take<float>(kThreads);
  const float* const in = a.in + block_x() * a.tiles * kThreads;
  const auto fetch = [&](int tile) {
    if (lane() < kLoads) {
      const int at = warp() * 32 + lane() * kWords;
      copy_async(stages + tile % kStages * kThreads + at, in + tile * kThreads + at,
                 tile < a.tiles);
    }
    commit_copies();
  };
  for (int tile = 0; tile < kStages - 1; ++tile) fetch(tile);
  float sum = 0.0f;
  for (int tile = 0; tile < a.tiles; ++tile) {
    fetch(tile + 1);
    if (a.waits_for_too_few) {
      wait_copies<kStages>();
    } else {
      wait_copies<kStages - 1>();
    }
    warp_barrier();
    // A neighbour's value, which the neighbour's copy may replace as soon as it goes on.
    sum = add(sum, stages[tile % kStages * kThreads + (thread() ^ 8)]);
    if (a.trusts_shuffle) {
      shuffle_xor(sum, 1);
    } else if (!a.no_warp_barrier) {
      warp_barrier();
    }
  }
  sums[thread()] = sum;
  barrier();
  for (int step = kThreads / 2; step >= 1; step /= 2) {
    if (thread() < step) {
      const int other = a.folds_upwards ? kThreads / 2 / step : step;
      const int mine = a.folds_upwards ? thread() * 2 * other : thread();
      sums[mine] = add(sums[mine], sums[mine + other]);
    }
    barrier();
  }
  if (thread() == 0) a.out[block_x()] = sums[0];
}

// out[cta] = cta; or of all CTAs in one place.
struct Mark {
  float* out = nullptr;
  bool one_place = false;
  bool between_barriers = false;
};
SHOAL_KERNEL void mark(Mark a) {
  Shared shared;
  float* const scratch = shared.take<float>(kThreads);
  const auto meet_all = [&] {
    if (!a.between_barriers) return;
    for (int i = 0; i < 2; ++i) {
      scratch[thread()] = 1.0f;
      warp_barrier();
      scratch[thread() ^ 1] = 2.0f;
      barrier();
    }
  };
  meet_all();
  if (thread() == 0) a.out[a.one_place ? 0 : block_x()] = static_cast<float>(block_x());
  meet_all();
}

// What breaks a rule of device.cuh.
enum class Breach : std::uint8_t {
  kNone,
  kBarrierInBranch,
  kEndsBeforeBarrier,
  kLanesPart,
  kLaneHasEnded,
  kLaneEndsLater,
  kShuffleOfHalf,
  kMaskTooLarge,
  kLoadMisaligned,
  kVectorMisaligned,
  kCopyFromMisaligned,
  kCopyToMisaligned,
  kCopyToGlobal,
  kCopyPastShared,
  kCopyFromShared,
  kTooMuchShared,
  kSharedDisagrees,
};
struct Break {
  float* memory;  // [kThreads + 4], aligned to 16 bytes
  Breach breach;
};
// Asks for kBreakShared bytes.
inline constexpr int kBreakShared = kThreads * 4 + 64;
SHOAL_KERNEL void break_rule(Break a) {
  Shared shared;
  const Breach breach = a.breach;
  float* const row = shared.take<float>(kThreads);
  row[thread()] = a.memory[thread()];
  barrier();
  float got = row[kThreads - 1 - thread()];
  const bool one_lane = lane() == 5;
  switch (breach) {
    case Breach::kNone:
      break;
    case Breach::kBarrierInBranch:
      if (warp() == 0) barrier();
      break;
    case Breach::kEndsBeforeBarrier:
      if (thread() == 3) return;
      barrier();
      break;
    case Breach::kLanesPart:
      if (one_lane) {
        warp_barrier();
      } else {
        got = shuffle_xor(got, 1);
      }
      break;
    case Breach::kLaneHasEnded:
      if (one_lane) return;
      got = shuffle_xor(got, 1);
      break;
    case Breach::kLaneEndsLater:
      if (one_lane) {
        barrier();
      } else {
        got = shuffle_xor(got, 1);
      }
      break;
    case Breach::kShuffleOfHalf:
      if (lane() < 16) got = shuffle_xor(got, 1);
      break;
    case Breach::kMaskTooLarge:
      got = shuffle_xor(got, 32);
      break;
    case Breach::kLoadMisaligned:
      got = float_of(load_once(reinterpret_cast<const uint4*>(a.memory + 1)).x);
      break;
    case Breach::kVectorMisaligned:
      got = reinterpret_cast<const float2*>(a.memory + 1)->x;
      break;
    case Breach::kCopyFromMisaligned:
      copy_async(row, a.memory + 1, true);
      break;
    case Breach::kCopyToMisaligned:
      copy_async(row + 1, a.memory, true);
      break;
    case Breach::kCopyToGlobal:
      copy_async(a.memory, a.memory, true);
      break;
    case Breach::kCopyPastShared:
      copy_async(row + kThreads, a.memory, true);
      break;
    case Breach::kCopyFromShared:
      copy_async(row, row, true);
      break;
    case Breach::kTooMuchShared:
      shared.take<char>(65);
      break;
    case Breach::kSharedDisagrees:
      shared.take<float>(one_lane ? 2 : 1);
      break;
  }
  barrier();
  a.memory[thread()] = got;
}

// out[row] = position of the row, for the rows of a step. Forgetful: as many rows as when it was
// recorded.
struct Positions {
  StepTables step;
  std::int32_t* out;
  std::int64_t rows;
  bool forgetful;
};
SHOAL_KERNEL void positions(Positions a) {
  const int row = block_x() * threads() + thread();
  const std::int64_t rows = a.forgetful ? a.rows : a.step.header->rows;
  if (row < rows) a.out[row] = a.step.positions[row];
}

}  // namespace shoal::kernels::cuda::planted
