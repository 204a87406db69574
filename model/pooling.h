// SPDX-License-Identifier: Apache-2.0
// How a model makes one vector of a text, as sentence-transformers writes it into a folder:
// modules.json (a Transformer, then Pooling, then perhaps Normalize) and the Pooling's config.json.
// What is asked for there and not done here is refused by name. Plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::model {

struct Pooling {
  enum class Rows { kMean, kFirst, kLast };  // of the last hidden state
  Rows rows = Rows::kMean;
  bool normalize = false;  // to length 1
  // Beginnings of the vector that stand for themselves (Matryoshka), as config.json names them.
  bool any_beginning = false;
  std::vector<std::int64_t> beginnings{};

  bool may_shorten_to(std::int64_t dimensions) const;
};

// NOT_FOUND where the model has no such rule; UNIMPLEMENTED for one that is not followed.
absl::StatusOr<Pooling> load_pooling(const std::string& directory);

}  // namespace shoal::model
