// SPDX-License-Identifier: Apache-2.0
// Counts how deep a rendering is within itself, and ends it before the stack does.
#pragma once

#include <string>

#include "model/chat/budget.h"

namespace shoal::model::chat {

class Nested {
 public:
  Nested(int* depth, const Budget& budget) : depth_(depth) {
    if (++*depth_ > budget.limits().depth) {
      --*depth_;
      throw TemplateError(TemplateError::Kind::kExhausted,
                          "macros or expressions are nested more than " +
                              std::to_string(budget.limits().depth) +
                              " deep; does a macro call itself without end?");
    }
  }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;
  ~Nested() { --*depth_; }

 private:
  int* depth_;
};

}  // namespace shoal::model::chat
