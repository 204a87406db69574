// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "model/tokenizer.h"
#include "model/tokenizer/tokenizer_impl.h"

namespace shoal::model {

class TextStream::State : public DecoderState {
 public:
  using DecoderState::DecoderState;
};

TextStream::TextStream(const Tokenizer& tokenizer, bool skip_special_tokens)
    : tokenizer_(&tokenizer),
      skip_special_tokens_(skip_special_tokens),
      state_(std::make_unique<State>(tokenizer.impl_->decoder())) {}
TextStream::TextStream(TextStream&&) noexcept = default;
TextStream& TextStream::operator=(TextStream&&) noexcept = default;
TextStream::~TextStream() = default;

absl::StatusOr<std::string> TextStream::push(std::int32_t id) {
  if (id < 0 || id >= kMaxTokenId) {
    return absl::InvalidArgumentError(
        absl::StrCat("the id ", id, " is in no vocabulary: ids go from 0 to ", kMaxTokenId - 1));
  }
  const std::string* token = tokenizer_->impl_->decoded_token(id);
  std::string text;
  if (token == nullptr || (skip_special_tokens_ && tokenizer_->impl_->is_special(*token)))
    return text;
  state_->push(*token, &text);
  return text;
}

std::string TextStream::finish() {
  std::string text;
  state_->finish(&text);
  return text;
}

}  // namespace shoal::model
