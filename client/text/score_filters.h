// SPDX-License-Identifier: Apache-2.0
// Filters by entropy and by absolute probability: top-h, typical, epsilon and eta, as in Hugging
// Face transformers. Pure; in double, in a fixed order, by arithmetic that every machine does
// alike.
#pragma once

#include <cstdint>
#include <vector>

namespace shoal::client {

struct Score {
  std::int32_t id;
  double value;  // finite
};

// Each keeps at least one; `scores` are logits that other filters left, in any order.
void keep_top_h(std::vector<Score>& scores, double h);
void keep_typical(std::vector<Score>& scores, double mass);
void keep_epsilon(std::vector<Score>& scores, double epsilon);
void keep_eta(std::vector<Score>& scores, double epsilon);

// The natural logarithm of x > 0 by IEEE additions, multiplications and divisions alone.
double portable_log(double x);

}  // namespace shoal::client
