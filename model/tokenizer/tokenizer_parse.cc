// SPDX-License-Identifier: Apache-2.0
#include <exception>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"
#include "model/tokenizer/tokenizer_impl.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr int kMaxJsonDepth = 32;
constexpr std::size_t kMaxJsonValues = std::size_t{1} << 24;
constexpr std::size_t kMaxAddedTokens = 1 << 20;
constexpr std::size_t kMaxAddedBytes = 1024;  // of one content

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer::Impl>> Tokenizer::Impl::parse(
    const std::string& json_text) {
  if (!has_bounded_shape(json_text, kMaxJsonDepth, kMaxJsonValues)) {
    return absl::InvalidArgumentError("tokenizer.json nests too deep or has too many values");
  }
  try {
    const Json json = Json::parse(json_text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) {
      return absl::InvalidArgumentError("tokenizer.json is not valid JSON; fetch the file again");
    }
    absl::Status status;
    ObjectReader reader(json, "", &status);
    if (reader.text("version", "1.0") != "1.0") reader.refuse("has an unknown version");
    for (const char* key : {"truncation", "padding"}) {
      if (reader.has(key)) reader.refuse(absl::StrCat("sets ", key, ", which is not supported"));
    }
    const auto part = [&](const char* key) -> const Json& {
      static const Json none;
      const Json* value = reader.get(key);
      return value == nullptr ? none : *value;
    };
    auto impl = std::make_unique<Impl>();
    impl->normalizer_ = Normalizer::parse(part("normalizer"), "normalizer", &status);
    impl->pre_tokenizer_ = PreTokenizer::parse(part("pre_tokenizer"), "pre_tokenizer",
                                               impl->normalizer_.moves_start(), &status);
    impl->post_processor_ = PostProcessor::parse(part("post_processor"), "post_processor", &status);
    impl->decoder_ = Decoder::parse(part("decoder"), "decoder", &status);
    const Json& added = part("added_tokens");
    const Json& model = part("model");
    reader.done();
    if (status.ok()) impl->bpe_ = Bpe::parse(model, &status);
    if (status.ok()) impl->size_ = impl->bpe_.end_id();
    if (status.ok()) impl->read_added_tokens(added, &status);
    if (status.ok()) impl->check_template(&status);
    if (!status.ok()) return status;
    return impl;
  } catch (const std::exception& error) {  // out of memory; exceptions do not leave the room
    return absl::ResourceExhaustedError(
        absl::StrCat("tokenizer.json could not be read: ", error.what()));
  }
}

void Tokenizer::Impl::read_added_tokens(const Json& value, absl::Status* status) {
  if (value.is_null()) return;
  if (!value.is_array() || value.size() > kMaxAddedTokens) {
    *status = absl::InvalidArgumentError(
        absl::StrCat("tokenizer.json: added_tokens is not a list of at most ", kMaxAddedTokens));
    return;
  }
  std::size_t index = 0;
  // The reference numbers tokens that its vocabulary lacks one after another, whatever their stated
  // id.
  std::int32_t next_id = bpe_.vocab_size();
  for (const Json& item : value) {
    ObjectReader reader(item, absl::StrCat("added_tokens[", index++, "]"), status);
    AddedToken token;
    token.id = static_cast<std::int32_t>(reader.number("id", 0, kMaxTokenId - 1));
    token.content = reader.text("content");
    token.single_word = reader.flag("single_word");
    token.lstrip = reader.flag("lstrip");
    token.rstrip = reader.flag("rstrip");
    token.normalized = reader.flag("normalized");
    token.special = reader.flag("special");
    reader.done();
    if (!status->ok()) return;
    if (token.content.empty()) continue;
    if (token.content.size() > kMaxAddedBytes) {
      return reader.refuse(absl::StrCat("is longer than ", kMaxAddedBytes, " bytes"));
    }
    if (added_by_content_.contains(token.content)) {
      return reader.refuse(absl::StrCat(in_quotes(token.content), " is listed twice"));
    }
    const std::int32_t id = bpe_.id_of(token.content).value_or(next_id);
    if (id == next_id) ++next_id;
    if (id != token.id || added_by_id_.contains(id)) {
      return reader.refuse(absl::StrCat(in_quotes(token.content), " states the id ", token.id,
                                        ", but the vocabulary gives it ", id));
    }
    added_by_content_.emplace(token.content, added_.size());
    added_by_id_.emplace(id, added_.size());
    size_ = std::max<std::int64_t>(size_, std::int64_t{id} + 1);
    added_.push_back(std::move(token));
  }
  // Special tokens come first: of equal normalized contents the first wins.
  for (const bool special : {true, false}) {
    for (std::size_t i = 0; i < added_.size(); ++i) {
      if (added_[i].special != special) continue;
      std::string content = added_[i].content;
      if (added_[i].normalized) {
        if (*status = normalizer_.apply(&content); !status->ok()) return;
      }
      (added_[i].normalized ? normalized_trie_ : trie_).add(content, i);
    }
  }
}

void Tokenizer::Impl::check_template(absl::Status* status) const {
  for (const auto* side : {&post_processor_.before(), &post_processor_.after()}) {
    for (const std::int32_t id : *side) {
      if (token(id) != nullptr) continue;
      *status = absl::InvalidArgumentError(
          absl::StrCat("tokenizer.json: post_processor adds the id ", id, ", which no token has"));
      return;
    }
  }
}

}  // namespace shoal::model
