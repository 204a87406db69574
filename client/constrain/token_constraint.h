// SPDX-License-Identifier: Apache-2.0
// A grammar over the tokens of a model: which of them may come next. Masks are kept by state, and
// shared by all texts that are made under one constraint. TokenConstraint is thread-safe, a
// ConstrainedText belongs to one thread; both keep alive what they need.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "client/constrain/grammar.h"
#include "client/constrain/piece_trie.h"
#include "client/constrain/state_space.h"

namespace shoal::client::constrain {

class TokenConstraint {
 public:
  TokenConstraint(Grammar grammar, std::shared_ptr<const PieceTrie> pieces);
  TokenConstraint(const TokenConstraint&) = delete;
  TokenConstraint& operator=(const TokenConstraint&) = delete;

  std::size_t masks_made() const;  // and not found among those that are kept

 private:
  friend class ConstrainedText;
  using Bits = std::shared_ptr<const std::vector<std::uint64_t>>;
  struct Place {
    std::shared_ptr<StateSpace> space;  // under mutex_
    StateId state = kDead;
    bool accepts = false, is_last = false;
  };
  Place begin();
  absl::StatusOr<Bits> look(Place& place);
  bool step(Place& place, std::int32_t id);  // false: such a token may not come
  void tell(Place& place) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Grammar grammar_;
  const std::shared_ptr<const PieceTrie> pieces_;
  mutable base::Mutex mutex_;
  std::shared_ptr<StateSpace> space_ ABSL_GUARDED_BY(mutex_);
  // The masks of space_, the latest first.
  std::list<std::pair<StateId, Bits>> masks_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<StateId, std::list<std::pair<StateId, Bits>>::iterator> by_state_
      ABSL_GUARDED_BY(mutex_);
  std::size_t made_ ABSL_GUARDED_BY(mutex_) = 0;
};

// One text while it is made.
class ConstrainedText {
 public:
  // eos_ids may end the text, where it is allowed as it is; none: it ends where nothing can follow.
  ConstrainedText(std::shared_ptr<TokenConstraint> constraint, std::vector<std::int32_t> eos_ids);

  // -inf for what may not come next. RESOURCE_EXHAUSTED where the model's vocabulary, or what is
  // left of it, has nothing that may; INVALID_ARGUMENT where the constraint is too intricate.
  absl::Status mask(std::span<float> logits);
  // Those that mask() leaves; none where they are more than `most`. Fails as mask() does.
  absl::StatusOr<std::vector<std::int32_t>> allowed(std::size_t vocabulary, std::size_t most);
  // INVALID_ARGUMENT where mask() would have forbidden it.
  absl::Status accept(std::int32_t id);
  // It is allowed as it is, and nothing may follow.
  bool ended() const { return ended_; }

 private:
  std::shared_ptr<TokenConstraint> constraint_;
  std::vector<std::int32_t> eos_ids_;
  TokenConstraint::Place place_;
  bool ended_ = false;
};

}  // namespace shoal::client::constrain
