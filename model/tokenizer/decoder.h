// SPDX-License-Identifier: Apache-2.0
// Decoders of tokenizer.json, as a stream: tokens go in one by one, text that can no longer change
// comes out. Decoder is the immutable description, DecoderState the state of one text. Both
// decode() and TextStream run on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "model/tokenizer/json_reader.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {

class Decoder {
 public:
  // null: tokens are joined by blanks, as in the reference. After an error in *status the object is
  // of no use.
  static Decoder parse(const Json& value, const std::string& place, absl::Status* status);

  // The bytes that a token adds behind others; nothing where they depend on its neighbours.
  std::optional<std::string> piece(std::string_view token) const;

 private:
  friend class DecoderState;
  enum class Kind { kReplace, kByteFallback, kStrip, kMetaspace };
  struct Step {
    Kind kind;
    std::string pattern;  // kReplace, kStrip and kMetaspace: what is replaced or stripped
    std::string content;  // kReplace
    std::size_t start = 0, stop = 0;  // kStrip: at most how many at either end
    bool drop_in_first = false;       // kMetaspace
  };
  enum class Join { kConcatenate, kBytes, kBlanks };

  void add(const Json& value, const std::string& place, int depth, absl::Status* status);
  void add_step(ObjectReader& reader, const std::string& type);

  std::vector<Step> token_steps_;  // each works on whole tokens
  Join join_ = Join::kConcatenate;
  std::vector<Step> text_steps_;  // after the join: each works on the one text
  bool joined_ = false;
};

class DecoderState {
 public:
  explicit DecoderState(const Decoder& decoder);
  void push(std::string_view token, std::string* out);
  void finish(std::string* out);

 private:
  struct TokenState {
    std::string run;  // kByteFallback: bytes so far
    Utf8State utf8;
    bool broken = false;   // the run is no UTF-8 any more
    bool started = false;  // kMetaspace: the first token has passed
  };
  struct TextState {
    std::string held;            // kReplace: a possible beginning of the pattern
    std::size_t stripped = 0;    // kStrip: how many at the start
    bool start_over = false;     // kStrip: something else has come
    std::size_t held_count = 0;  // kStrip: how many are held back at the end
  };
  void token(std::size_t step, std::string text, std::string* out);
  void end_tokens(std::size_t step, std::string* out);
  void byte_token(std::size_t step, unsigned char byte, std::string* out);
  void end_run(std::size_t step, std::string* out);
  void text(std::size_t step, std::string_view piece, std::string* out);
  void end_text(std::size_t step, std::string* out);
  void strip_text(std::size_t step, std::string_view piece, std::string* out);

  const Decoder* decoder_;
  std::vector<TokenState> token_states_;
  std::vector<TextState> text_states_;
  LossyUtf8 lossy_;
  bool first_ = true;
};

}  // namespace shoal::model
