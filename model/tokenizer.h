// SPDX-License-Identifier: Apache-2.0
// tokenizer.json of Hugging Face: byte-level BPE (GPT-2, Llama-3, Qwen2 patterns) and Llama-2-style
// BPE with byte fallback. What it does not understand is refused by name at load. Immutable after
// load(), may be shared by threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::model {

// Bytes [begin, end) of a text.
struct TextRange {
  std::size_t begin = 0, end = 0;
};

class Tokenizer {
 public:
  // DIR/tokenizer.json, and the tokens of the files beside it (side_files.h).
  static absl::StatusOr<Tokenizer> load(const std::string& directory);
  static absl::StatusOr<Tokenizer> parse(const std::string& json_text);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  struct EncodeOptions {
    bool add_special_tokens = true;  // what the post-processor adds, e.g. begin-of-text
    bool parse_special_tokens =
        true;  // control tokens inside the text become control tokens, as in the reference
    // But not where they reach into one of these, in ascending order: what strangers wrote. There
    // an added token that is spelled like a tag (<think>) is text too. Else nothing differs from
    // the text as a whole.
    std::span<const TextRange> as_text = {};
  };
  // INVALID_ARGUMENT for text that is not UTF-8. Time n log n in the length.
  absl::StatusOr<std::vector<std::int32_t>> encode(std::string_view text,
                                                   EncodeOptions options) const;
  // As the reference's plain call: with special tokens, and those inside the text parsed, unless
  // tokenizer_config.json says split_special_tokens.
  absl::StatusOr<std::vector<std::int32_t>> encode(std::string_view text) const;
  // As in the reference, an id that no token has is passed over (a model's head may be padded
  // beyond the vocabulary, which may have gaps), and invalid UTF-8 becomes U+FFFD. INVALID_ARGUMENT
  // for what can be no id: below 0, or above what any supported model has.
  absl::StatusOr<std::string> decode(std::span<const std::int32_t> ids,
                                     bool skip_special_tokens = true) const;

  std::int64_t size() const;  // largest id + 1
  std::optional<std::int32_t> id_of(std::string_view token) const;
  bool is_special(std::int32_t id) const;
  // Its content, of a special token.
  std::optional<std::string> special_text(std::int32_t id) const;
  // The bytes that a token adds in the middle of a text, which need not be UTF-8 by themselves.
  // Nothing for special tokens, for ids that no token has, and where they depend on its neighbours.
  std::optional<std::string> piece(std::int32_t id) const;
  // Of a token that a file names, for example "eos_token"; nullopt when none does.
  std::optional<std::int32_t> named_id(std::string_view name) const;
  // One line each: where the files disagree, or say what is not followed.
  const std::vector<std::string>& warnings() const;

 private:
  friend class TextStream;
  class Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Incremental decoding: the concatenation of all pieces equals decode() of all ids; no piece ever
// ends inside a UTF-8 character. Cost per token does not grow with the length of the text.
class TextStream {
 public:
  explicit TextStream(const Tokenizer& tokenizer, bool skip_special_tokens = true);
  TextStream(TextStream&&) noexcept;
  TextStream& operator=(TextStream&&) noexcept;
  ~TextStream();
  absl::StatusOr<std::string> push(std::int32_t id);  // text that became certain, possibly empty
  std::string finish();                               // what was held back; the stream is over then

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_tokens_;
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace shoal::model
