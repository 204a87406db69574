// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/constraint_shelf.h"

#include <algorithm>

namespace shoal::client::constrain {

absl::StatusOr<std::shared_ptr<TokenConstraint>> ConstraintShelf::find(
    const std::vector<Form>& forms) {
  std::string key = key_of(forms);
  {
    base::MutexLock lock(mutex_);
    const auto found = std::ranges::find(kept_, key, &decltype(kept_)::value_type::first);
    if (found != kept_.end()) {
      kept_.splice(kept_.begin(), kept_, found);
      return found->second;
    }
  }
  auto grammar = grammar_of(forms);  // others need not wait for it
  if (!grammar.ok()) return grammar.status();
  base::MutexLock lock(mutex_);
  if (!pieces_) pieces_ = std::make_shared<const PieceTrie>(tokenizer_);
  auto made = std::make_shared<TokenConstraint>(*std::move(grammar), pieces_);
  kept_.emplace_front(std::move(key), made);
  if (kept_.size() > kKept) kept_.pop_back();
  return made;
}

}  // namespace shoal::client::constrain
