// SPDX-License-Identifier: Apache-2.0
// What the files beside tokenizer.json say about its tokens: tokenizer_config.json,
// special_tokens_map.json and added_tokens.json, put together as transformers 5 does for a fast
// tokenizer (tokenization_utils_base.py, _from_pretrained; tokenization_utils_tokenizers.py). Pure
// but for read_side_files.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/tokenizer/added_tokens.h"

namespace shoal::model {

struct SideFiles {
  // To be added after those of tokenizer.json, in this order; a content that is there already gets
  // the new flags. The id is the stated one, or -1: what counts is the vocabulary.
  std::vector<AddedToken> tokens;
  std::map<std::string, std::string> named;  // "eos_token" to its content
  std::optional<bool> add_bos, add_eos;  // what tokenizer_config.json says, which nobody follows
  bool split_special = false;            // control tokens inside a text stay text
  std::vector<std::string> warnings;
};

// What counts of tokenizer.json: its added_tokens, and the pad_token of its setting "padding",
// which is one of the named tokens where no other file names it.
struct ListedTokens {
  const std::vector<AddedToken>& added;
  std::string padding_token;
};

// The objects of the three files, null for one that is not there.
SideFiles merge_side_files(const nlohmann::ordered_json& config,
                           const nlohmann::ordered_json& special_map,
                           const nlohmann::ordered_json& added, const ListedTokens& listed);

// Reads those of the three files that DIR has; an error for one that is no JSON object.
absl::StatusOr<SideFiles> read_side_files(const std::string& directory, const ListedTokens& listed);

}  // namespace shoal::model
