// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"
#include "model/json_text.h"
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
      const absl::Status why = parse_json_object(json_text, "tokenizer.json").status();
      return !why.ok() ? why
                       : absl::InvalidArgumentError(
                             "tokenizer.json is not valid JSON: it has NaN or Infinity");
    }
    absl::Status status;
    ObjectReader reader(json, "", &status);
    if (reader.text("version", "1.0") != "1.0") reader.refuse("has an unknown version");
    // Settings of a batch; the reference's plain call works without them, whatever the file says.
    reader.ignore("truncation");
    std::string padding_token;
    if (const Json* padding = reader.get("padding"); padding != nullptr && padding->is_object()) {
      const auto token = padding->find("pad_token");
      if (token != padding->end() && token->is_string()) padding_token = token->get<std::string>();
    }
    const auto part = [&](const char* key) -> const Json& {
      static const Json none;
      const Json* value = reader.get(key);
      return value == nullptr ? none : *value;
    };
    auto impl = std::make_unique<Impl>();
    impl->padding_token_ = std::move(padding_token);
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
    keep(std::move(token));
  }
}

// Once noted it stays, even if the token's flags change.
void Tokenizer::Impl::note_normalized(const AddedToken& token) {
  if (!token.normalized) return;
  std::string content = token.content;
  if (normalizer_.apply(&content).ok() && content != token.content) {
    normalized_.insert_or_assign(token.id, std::move(content));
  }
}

void Tokenizer::Impl::keep(AddedToken token) {
  note_normalized(token);
  const auto found = added_by_content_.find(token.content);
  if (found != added_by_content_.end()) {
    // The flags are replaced; what was a control token once stays one, as in the reference.
    AddedToken& old = added_[found->second];
    token.special = token.special || old.special;
    old = std::move(token);
    return;
  }
  added_by_content_.emplace(token.content, added_.size());
  added_by_id_.insert_or_assign(token.id, added_.size());
  size_ = std::max<std::int64_t>(size_, std::int64_t{token.id} + 1);
  added_.push_back(std::move(token));
}

void Tokenizer::Impl::add(SideFiles side) {
  // New tokens get the ids behind all others, one after another, whatever the files state.
  std::int32_t next_id = bpe_.vocab_size();
  for (const AddedToken& token : added_) next_id = std::max(next_id, token.id + 1);
  warnings_ = std::move(side.warnings);
  bool said = false;
  for (AddedToken& token : side.tokens) {
    if (token.content.empty() || next_id >= kMaxTokenId) continue;
    const std::int32_t stated = token.id;
    const auto known = id_of(token.content);
    token.id = known ? *known : next_id++;
    if (stated >= 0 && stated != token.id && !std::exchange(said, true)) {
      warnings_.push_back(absl::StrCat("tokenizer_config.json or added_tokens.json states the id ",
                                       stated, " for ", in_quotes(token.content), ", but it gets ",
                                       token.id, ", as in the reference"));
    }
    keep(std::move(token));
  }
  named_ = std::move(side.named);
  split_special_ = side.split_special;
  compare_template("add_bos_token", "bos_token", side.add_bos, post_processor_.before());
  compare_template("add_eos_token", "eos_token", side.add_eos, post_processor_.after());
}

// What stands around a text is the post-processor's affair alone; a flag that says otherwise is
// named.
void Tokenizer::Impl::compare_template(const char* key, const char* name, std::optional<bool> flag,
                                       const std::vector<std::int32_t>& side) {
  if (!flag) return;
  const auto id = named_id(name);
  const bool adds = id ? std::find(side.begin(), side.end(), *id) != side.end() : !side.empty();
  if (adds == *flag || (*flag && !id)) return;
  warnings_.push_back(
      absl::StrCat("tokenizer_config.json says ", key, " ", *flag ? "true" : "false",
                   ", but the post-processor of tokenizer.json ", adds ? "adds it" : "adds none",
                   ": the latter is followed, as in the reference"));
}

std::optional<std::int32_t> Tokenizer::Impl::named_id(std::string_view name) const {
  const auto found = named_.find(std::string(name));
  return found == named_.end() ? std::nullopt : id_of(found->second);
}

absl::Status Tokenizer::Impl::finish() {
  // Special tokens come first: of equal normalized contents the first wins.
  for (const bool special : {true, false}) {
    for (std::size_t i = 0; i < added_.size(); ++i) {
      if (added_[i].special != special) continue;
      std::string content = added_[i].content;
      if (added_[i].normalized) {
        if (absl::Status status = normalizer_.apply(&content); !status.ok()) return status;
      }
      (added_[i].normalized ? normalized_trie_ : trie_).add(content, i);
    }
  }
  for (const auto* side : {&post_processor_.before(), &post_processor_.after()}) {
    for (const std::int32_t id : *side) {
      if (token(id) != nullptr) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("tokenizer.json: post_processor adds the id ", id, ", which no token has"));
    }
  }
  return absl::OkStatus();
}

}  // namespace shoal::model
