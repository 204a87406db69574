// SPDX-License-Identifier: Apache-2.0
// Holds a card, or what emulates one, to what the host knows of each instruction: tensor cores by
// the rules of emulator/mma.h, floats by the host's own IEEE arithmetic, all over random and nasty
// values of a seed. NaNs are equal, but for those of tensor cores, whose bits the rule says.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/kernels/truth/back.h"

namespace shoal::kernels::cuda::truth {

struct Outcome {
  std::string what;
  std::int64_t items = 0, outputs = 0, differ = 0;
  std::string first;    // difference
  bool decides = true;  // else it is told, and no fault: what another rule would have given
  std::string failure;  // the back could not run it
  bool right() const { return failure.empty() && (!decides || differ == 0); }
};

struct Options {
  std::uint64_t seed = 1;
  std::int64_t tiles = 30'000;                          // of each kind
  emulator::MmaRule rule = emulator::MmaRule::kHopper;  // that the back is held to
};

const char* name_of(emulator::MmaRule rule);
// Tells each outcome as it comes.
std::vector<Outcome> check(Back& back, const Options& options,
                           const std::function<void(const Outcome&)>& tell = {});

}  // namespace shoal::kernels::cuda::truth
