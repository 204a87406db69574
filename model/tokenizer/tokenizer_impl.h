// SPDX-License-Identifier: Apache-2.0
// The parts of a loaded tokenizer. Immutable after parse, may be shared by threads.
#pragma once

#include <map>
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
#include "model/tokenizer/side_files.h"

namespace shoal::model {

class Tokenizer::Impl {
 public:
  // Of tokenizer.json alone; finish() makes it ready for use.
  static absl::StatusOr<std::unique_ptr<Impl>> parse(const std::string& json_text);
  void add(SideFiles side);
  absl::Status finish();

  absl::StatusOr<std::vector<std::int32_t>> encode(std::string_view text,
                                                   const EncodeOptions& options) const;
  const std::string* token(std::int32_t id) const;  // null when no token has this id
  const AddedToken* added(std::int32_t id) const;   // null when it is not an added token
  // What decoding makes of an id: of an added token that is looked for after normalization, its
  // normalized form, as in the reference. Null when no token has this id.
  const std::string* decoded_token(std::int32_t id) const;
  bool is_special(std::string_view content) const;
  std::optional<std::int32_t> id_of(std::string_view token) const;
  std::int64_t size() const { return size_; }
  const Decoder& decoder() const { return decoder_; }
  const std::vector<AddedToken>& added_tokens() const { return added_; }
  const std::string& padding_token() const { return padding_token_; }
  std::optional<std::int32_t> named_id(std::string_view name) const;
  bool splits_special() const { return split_special_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void read_added_tokens(const Json& value, absl::Status* status);
  void keep(AddedToken token);  // its id being set
  void note_normalized(const AddedToken& token);
  void compare_template(const char* key, const char* name, std::optional<bool> flag,
                        const std::vector<std::int32_t>& side);
  absl::Status encode_part(std::string_view text, bool at_start, const StaysText& stays_text,
                           BpeCache* cache, std::vector<std::int32_t>* ids) const;

  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  Bpe bpe_;
  PostProcessor post_processor_;
  Decoder decoder_;
  std::vector<AddedToken> added_;
  absl::flat_hash_map<std::string, std::size_t> added_by_content_;
  absl::flat_hash_map<std::int32_t, std::size_t> added_by_id_;
  absl::flat_hash_map<std::int32_t, std::string> normalized_;  // where it is not the content
  TokenTrie trie_;                                             // looked for before normalization
  TokenTrie normalized_trie_;                                  // and after
  std::int64_t size_ = 0;
  std::map<std::string, std::string> named_;  // "eos_token" to its content
  std::string padding_token_;                 // of the setting "padding"; may be empty
  bool split_special_ = false;
  std::vector<std::string> warnings_;
};

}  // namespace shoal::model
