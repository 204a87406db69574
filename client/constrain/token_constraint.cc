// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/token_constraint.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "client/constrain/limits.h"

namespace shoal::client::constrain {

TokenConstraint::TokenConstraint(Grammar grammar, std::shared_ptr<const PieceTrie> pieces)
    : grammar_(std::move(grammar)),
      pieces_(std::move(pieces)),
      space_(std::make_shared<StateSpace>(grammar_)) {}

std::size_t TokenConstraint::masks_made() const {
  base::MutexLock lock(mutex_);
  return made_;
}

TokenConstraint::Place TokenConstraint::begin() {
  base::MutexLock lock(mutex_);
  Place place{space_, space_->start()};
  tell(place);
  return place;
}

void TokenConstraint::tell(Place& place) const {
  place.accepts = place.space->accepts(place.state);
  place.is_last = place.space->is_last(place.state);
}

absl::StatusOr<TokenConstraint::Bits> TokenConstraint::look(Place& place) {
  base::MutexLock lock(mutex_);
  if (place.space != space_ || space_->size() > kKeptStates) {
    if (space_->size() > kKeptStates) {
      space_ = std::make_shared<StateSpace>(grammar_);
      masks_.clear();
      by_state_.clear();
    }
    place.state = space_->adopt(*place.space, place.state);
    place.space = space_;
  }
  if (const auto found = by_state_.find(place.state); found != by_state_.end()) {
    masks_.splice(masks_.begin(), masks_, found->second);
    return found->second->second;
  }
  ++made_;
  std::vector<std::uint64_t> bits;
  if (auto status = space_->allowed(*pieces_, place.state, bits); !status.ok()) return status;
  masks_.emplace_front(place.state,
                       std::make_shared<const std::vector<std::uint64_t>>(std::move(bits)));
  by_state_[place.state] = masks_.begin();
  if (masks_.size() > kKeptMasks) {
    by_state_.erase(masks_.back().first);
    masks_.pop_back();
  }
  return masks_.front().second;
}

bool TokenConstraint::step(Place& place, std::int32_t id) {
  base::MutexLock lock(mutex_);
  if (id < 0 || static_cast<std::size_t>(id) >= pieces_->tokens()) return false;
  const auto& piece = pieces_->piece(id);
  if (!piece || piece->empty() || piece->size() > kMaxPieceBytes) return false;
  const StateId reached = place.space->next(place.state, *piece);
  if (reached == kDead) return false;
  place.state = reached;
  tell(place);
  return true;
}

ConstrainedText::ConstrainedText(std::shared_ptr<TokenConstraint> constraint,
                                 std::vector<std::int32_t> eos_ids)
    : constraint_(std::move(constraint)),
      eos_ids_(std::move(eos_ids)),
      place_(constraint_->begin()),
      ended_(place_.is_last) {}

absl::Status ConstrainedText::mask(std::span<float> logits) {
  const auto look = constraint_->look(place_);
  if (!look.ok()) return look.status();
  constexpr float kForbidden = -std::numeric_limits<float>::infinity();
  const std::vector<std::uint64_t>& bits = **look;
  std::vector<std::pair<std::size_t, float>> ends;
  for (const std::int32_t id : eos_ids_) {
    const auto at = static_cast<std::size_t>(id);
    if (place_.accepts && id >= 0 && at < logits.size()) ends.emplace_back(at, logits[at]);
  }
  bool some = false;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const bool may = i / 64 < bits.size() && (bits[i / 64] >> (i % 64) & 1) != 0;
    if (!may) logits[i] = kForbidden;
    some = some || logits[i] > kForbidden;
  }
  for (const auto& [at, logit] : ends) {
    logits[at] = logit;
    some = some || logit > kForbidden;
  }
  if (some) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "no token that this model offers here continues a text that the request allows: ask for "
      "another form, or for none");
}

absl::StatusOr<std::vector<std::int32_t>> ConstrainedText::allowed(std::size_t vocabulary,
                                                                   std::size_t most) {
  const auto look = constraint_->look(place_);
  if (!look.ok()) return look.status();
  std::vector<std::int32_t> ids;
  const auto add = [&](std::size_t id) {
    if (id < vocabulary && ids.size() <= most) ids.push_back(static_cast<std::int32_t>(id));
  };
  const std::vector<std::uint64_t>& bits = **look;
  for (std::size_t word = 0; word < bits.size(); ++word) {
    for (std::uint64_t left = bits[word]; left != 0 && ids.size() <= most; left &= left - 1) {
      add(word * 64 + static_cast<std::size_t>(std::countr_zero(left)));
    }
  }
  for (const std::int32_t id : eos_ids_) {
    if (place_.accepts && id >= 0) add(static_cast<std::size_t>(id));
  }
  if (ids.size() > most) ids.clear();
  return ids;
}

absl::Status ConstrainedText::accept(std::int32_t id) {
  const bool is_end = std::ranges::find(eos_ids_, id) != eos_ids_.end();
  if (is_end && place_.accepts) {
    ended_ = true;
    return absl::OkStatus();
  }
  if (!constraint_->step(place_, id)) {
    return absl::InvalidArgumentError(
        "other rules of the request or of the model (min_tokens, logit_bias, bad words, n-grams) "
        "forbid all that its constraint allows here: ask for less at once");
  }
  ended_ = place_.is_last;
  return absl::OkStatus();
}

}  // namespace shoal::client::constrain
