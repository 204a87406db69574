// SPDX-License-Identifier: Apache-2.0
// What the bundled model makes of its held-out text: for tests of what a format costs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "model/tokenizer.h"
#include "tests/model/local_model.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {

#ifdef SHOAL_SANITIZED
inline constexpr std::size_t kHeldoutWindows =
    1;  // instrumented code takes tens of seconds for all
#else
inline constexpr std::size_t kHeldoutWindows = 8;
#endif
// One window is eight times as few tokens: it may miss by more.
inline constexpr double kHeldoutSlack = kHeldoutWindows == 8 ? 1 : 3;

// Mean negative log likelihood, each window of 512 tokens a session of its own.
inline double heldout_nats(LocalModel& model, const std::string& directory) {
  const Ids ids = Tokenizer::load(directory)
                      .value()
                      .encode(tests::read_file(directory + "/heldout.txt"))
                      .value();
  constexpr std::size_t kWindow = 512;
  double sum = 0;
  for (std::size_t k = 0; k < kHeldoutWindows; ++k) {
    const std::size_t begin = k * kWindow, end = std::min(begin + kWindow, ids.size() - 1);
    const Ids window(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                     ids.begin() + static_cast<std::ptrdiff_t>(end));
    LocalSession session = model.session(static_cast<std::int64_t>(window.size()));
    const Rows logits = model.logits(model.run(session, 0, window));
    const auto vocabulary = static_cast<std::size_t>(model.config().vocabulary);
    for (std::size_t r = 0; r < window.size(); ++r) {
      const float* row = logits.data() + r * vocabulary;
      double total = 0;
      for (std::size_t v = 0; v < vocabulary; ++v) total += std::exp(static_cast<double>(row[v]));
      sum += std::log(total) - row[ids[begin + r + 1]];
    }
  }
  return sum / static_cast<double>(std::min(kHeldoutWindows * kWindow, ids.size() - 1));
}

}  // namespace shoal::model
