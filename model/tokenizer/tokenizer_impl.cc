// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/tokenizer_impl.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {

const AddedToken* Tokenizer::Impl::added(std::int32_t id) const {
  const auto found = added_by_id_.find(id);
  return found == added_by_id_.end() ? nullptr : &added_[found->second];
}

const std::string* Tokenizer::Impl::token(std::int32_t id) const {
  const AddedToken* token = added(id);
  return token != nullptr ? &token->content : bpe_.token(id);
}

const std::string* Tokenizer::Impl::decoded_token(std::int32_t id) const {
  const auto found = normalized_.find(id);
  return found != normalized_.end() ? &found->second : token(id);
}

bool Tokenizer::Impl::is_special(std::string_view content) const {
  const auto found = added_by_content_.find(as_absl(content));
  return found != added_by_content_.end() && added_[found->second].special;
}

std::optional<std::int32_t> Tokenizer::Impl::id_of(std::string_view token) const {
  const auto found = added_by_content_.find(as_absl(token));
  return found != added_by_content_.end() ? added_[found->second].id : bpe_.id_of(token);
}

namespace {

// What of the ranges lies in [begin, end), seen from there.
std::vector<TextRange> cut_out(std::span<const TextRange> ranges, std::size_t begin,
                               std::size_t end) {
  std::vector<TextRange> result;
  auto range =
      std::upper_bound(ranges.begin(), ranges.end(), begin,
                       [](std::size_t at, const TextRange& each) { return at < each.end; });
  for (; range != ranges.end() && range->begin < end; ++range) {
    result.push_back({std::max(range->begin, begin) - begin, std::min(range->end, end) - begin});
  }
  return result;
}

}  // namespace

absl::StatusOr<std::vector<std::int32_t>> Tokenizer::Impl::encode(
    std::string_view text, const EncodeOptions& options) const {
  if (!is_utf8(text)) {
    return absl::InvalidArgumentError("the text is not valid UTF-8; convert it to UTF-8 first");
  }
  const StaysText stays_text{!options.parse_special_tokens, options.as_text};
  std::vector<std::int32_t> ids;
  BpeCache cache;
  for (const Segment& segment : split_on_added(text, trie_, added_, stays_text)) {
    if (segment.id) {
      ids.push_back(*segment.id);
      continue;
    }
    const auto begin = static_cast<std::size_t>(segment.text.data() - text.data());
    const std::vector<TextRange> within =
        cut_out(options.as_text, begin, begin + segment.text.size());
    absl::Status status =
        encode_part(segment.text, begin == 0, {stays_text.special, within}, &cache, &ids);
    if (!status.ok()) return status;
  }
  return post_processor_.apply(std::move(ids), options.add_special_tokens);
}

absl::Status Tokenizer::Impl::encode_part(std::string_view text, bool at_start,
                                          const StaysText& stays_text, BpeCache* cache,
                                          std::vector<std::int32_t>* ids) const {
  std::string normalized;
  StaysText within_normalized = stays_text;
  TextRange all_of;
  if (!normalizer_.empty()) {
    normalized = text;
    if (absl::Status status = normalizer_.apply(&normalized); !status.ok()) return status;
    // Where a stranger's text stands now nobody knows: all of it may be his.
    all_of = {0, normalized.size()};
    if (!stays_text.within.empty() && text != normalized) within_normalized.within = {&all_of, 1};
    text = normalized;
  }
  for (const Segment& segment : split_on_added(text, normalized_trie_, added_, within_normalized)) {
    if (segment.id) {
      ids->push_back(*segment.id);
      continue;
    }
    Pieces pieces;
    pieces.list.push_back({segment.text, at_start && segment.text.data() == text.data()});
    if (absl::Status status = pre_tokenizer_.run(&pieces); !status.ok()) return status;
    for (const Piece& piece : pieces.list) {
      if (absl::Status status = bpe_.encode(piece.text, cache, ids); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace shoal::model
