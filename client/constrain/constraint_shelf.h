// SPDX-License-Identifier: Apache-2.0
// The constraints of one model: made when they are asked for, and the latest kept, as clients ask
// for the same form again and again. Thread-safe; the tokenizer must outlive it.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "client/constrain/constraint.h"
#include "client/constrain/token_constraint.h"
#include "model/tokenizer.h"

namespace shoal::client::constrain {

class ConstraintShelf {
 public:
  explicit ConstraintShelf(const model::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  // INVALID_ARGUMENT says what is wrong with the forms.
  absl::StatusOr<std::shared_ptr<TokenConstraint>> find(const std::vector<Form>& forms);

 private:
  static constexpr std::size_t kKept = 8;

  const model::Tokenizer& tokenizer_;
  base::Mutex mutex_;
  std::shared_ptr<const PieceTrie> pieces_ ABSL_GUARDED_BY(mutex_);
  std::list<std::pair<std::string, std::shared_ptr<TokenConstraint>>> kept_
      ABSL_GUARDED_BY(mutex_);  // the latest first
};

}  // namespace shoal::client::constrain
