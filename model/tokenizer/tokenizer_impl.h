// SPDX-License-Identifier: Apache-2.0
// The parts of a loaded tokenizer. Immutable after parse, may be shared by threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "model/tokenizer.h"
#include "model/tokenizer/added_tokens.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/decoder.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/post_processor.h"
#include "model/tokenizer/pre_tokenizer.h"

namespace shoal::model {

class Tokenizer::Impl {
 public:
  static absl::StatusOr<std::unique_ptr<Impl>> parse(const std::string& json_text);

  absl::StatusOr<std::vector<std::int32_t>> encode(std::string_view text,
                                                   const EncodeOptions& options) const;
  const std::string* token(std::int32_t id) const;  // null when no token has this id
  const AddedToken* added(std::int32_t id) const;   // null when it is not an added token
  std::optional<std::int32_t> id_of(std::string_view token) const;
  std::int64_t size() const { return size_; }
  const Decoder& decoder() const { return decoder_; }

 private:
  void read_added_tokens(const Json& value, absl::Status* status);
  void check_template(absl::Status* status) const;
  absl::Status encode_part(std::string_view text, bool at_start, bool skip_special, BpeCache* cache,
                           std::vector<std::int32_t>* ids) const;

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  Bpe bpe_;
  PostProcessor post_processor_;
  Decoder decoder_;
  std::vector<AddedToken> added_;
  absl::flat_hash_map<std::string, std::size_t> added_by_content_;
  absl::flat_hash_map<std::int32_t, std::size_t> added_by_id_;
  TokenTrie trie_;             // looked for before normalization
  TokenTrie normalized_trie_;  // and after
  std::int64_t size_ = 0;
};

}  // namespace shoal::model
