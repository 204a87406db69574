// SPDX-License-Identifier: Apache-2.0
#include "client/text/scores_needed.h"

#include <algorithm>
#include <span>
#include <unordered_set>

#include "proto/limits.h"

namespace shoal::client {
namespace {

// Ids, each once, those that come first before the others; those outside of the vocabulary are
// passed over, as the sampler does.
class NamedIds {
 public:
  explicit NamedIds(std::size_t vocabulary) : vocabulary_(vocabulary) {}

  void add(std::int32_t id) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_) return;
    if (ids_.size() < proto::kMaxAlsoIds && seen_.insert(id).second) ids_.push_back(id);
  }
  // The latest first: they are the likeliest to come again.
  void add_text(std::span<const std::int32_t> ids) {
    for (std::size_t i = ids.size(); i-- > 0;) add(ids[i]);
  }
  std::vector<std::int32_t> take() { return std::move(ids_); }

 private:
  const std::size_t vocabulary_;
  std::vector<std::int32_t> ids_;
  std::unordered_set<std::int32_t> seen_;
};

}  // namespace

proto::ScoresWanted scores_needed(const SamplingOptions& options, const ScoreContext& context,
                                  int shown, std::size_t vocabulary,
                                  const std::vector<std::int32_t>* allowed) {
  const model::ScoreRules& rules = options.rules;
  const bool changed = rules.any() || options.repetition_penalty != 1 ||
                       options.presence_penalty != 0 || options.frequency_penalty != 0;
  proto::ScoresWanted wanted{proto::kMaxTopLogits, {}};
  if (is_greedy(options) && !changed && allowed == nullptr) {
    wanted.top = std::clamp<std::uint32_t>(static_cast<std::uint32_t>(std::max(shown, 1)), 1,
                                           proto::kMaxTopLogits);
    return wanted;
  }
  NamedIds named(vocabulary);
  if (allowed != nullptr) {
    for (const std::int32_t id : *allowed) named.add(id);
  }
  for (const model::SequenceBias& bias : rules.sequence_bias) {
    if (bias.bias > 0) named.add(bias.ids.back());
  }
  if (rules.decay_start >= 0) {
    for (const std::int32_t id : context.eos_ids) named.add(id);
  }
  const auto output = context.ids.subspan(context.prompt_length);
  if (options.repetition_penalty < 1) {
    named.add_text(context.ids);
  } else if (options.presence_penalty < 0 || options.frequency_penalty < 0) {
    named.add_text(output);
  }
  if (rules.encoder_repetition_penalty > 1) {
    named.add_text(context.ids.first(context.prompt_length));
  }
  wanted.also = named.take();
  return wanted;
}

}  // namespace shoal::client
