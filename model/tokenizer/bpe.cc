// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/bpe.h"

#include <algorithm>
#include <limits>
#include <queue>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr std::size_t kShortSymbols = 24;  // up to here looking at all pairs beats a heap

std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

}  // namespace

std::optional<std::int32_t> Bpe::id_of(std::string_view token) const {
  const auto found = vocab_.find(as_absl(token));
  return found == vocab_.end() ? std::nullopt : std::optional(found->second);
}

const std::string* Bpe::token(std::int32_t id) const {
  if (id < 0 || id >= end_id() || !has_token_[static_cast<std::size_t>(id)]) return nullptr;
  return &tokens_[static_cast<std::size_t>(id)];
}

const Bpe::Merge* Bpe::merge(std::int32_t left, std::int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

absl::Status Bpe::encode(std::string_view piece, BpeCache* cache,
                         std::vector<std::int32_t>* ids) const {
  if (piece.empty()) return absl::OkStatus();
  if (ignore_merges_) {
    if (const auto id = id_of(piece)) {
      ids->push_back(*id);
      return absl::OkStatus();
    }
  }
  const bool cacheable = piece.size() <= BpeCache::kMaxPieceBytes;
  if (cacheable) {
    const auto hit = cache->entries_.find(as_absl(piece));
    if (hit != cache->entries_.end()) {
      const auto begin = cache->ids_.begin() + hit->second.begin;
      ids->insert(ids->end(), begin, begin + hit->second.count);
      return absl::OkStatus();
    }
  }
  std::vector<std::int32_t> symbols;
  if (absl::Status status = characters(piece, &symbols); !status.ok()) return status;
  merge_all(&symbols);
  if (cacheable && cache->entries_.size() < BpeCache::kMaxEntries) {
    cache->entries_.emplace(as_absl(piece),
                            BpeCache::Ids{static_cast<std::uint32_t>(cache->ids_.size()),
                                          static_cast<std::uint32_t>(symbols.size())});
    cache->ids_.insert(cache->ids_.end(), symbols.begin(), symbols.end());
  }
  ids->insert(ids->end(), symbols.begin(), symbols.end());
  return absl::OkStatus();
}

// A character that is no token becomes its bytes' tokens, or the unknown token, or (without one)
// nothing: as the reference.
absl::Status Bpe::characters(std::string_view piece, std::vector<std::int32_t>* symbols) const {
  symbols->reserve(piece.size());
  std::int32_t unknown = -1;  // not written yet, because the next may be fused with it
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t begin = at;
    const auto known = characters_.find(next_code(piece, &at));
    if (known != characters_.end()) {
      if (unknown >= 0) symbols->push_back(unknown);
      unknown = -1;
      symbols->push_back(known->second);
      continue;
    }
    const std::string_view bytes = piece.substr(begin, at - begin);
    const auto byte_id = [this](char c) { return bytes_[static_cast<unsigned char>(c)]; };
    if (byte_fallback_ &&
        std::all_of(bytes.begin(), bytes.end(), [&](char c) { return byte_id(c) >= 0; })) {
      for (const char c : bytes) symbols->push_back(byte_id(c));
      continue;
    }
    if (!unk_token_) continue;
    const auto id = id_of(*unk_token_);
    if (!id) {
      return absl::InvalidArgumentError(
          absl::StrCat("the text has ", in_quotes(bytes), ", and the tokenizer's unk_token ",
                       in_quotes(*unk_token_), " is not in its vocabulary"));
    }
    if (unknown >= 0 && !fuse_unk_) symbols->push_back(unknown);
    unknown = *id;
  }
  if (unknown >= 0) symbols->push_back(unknown);
  return absl::OkStatus();
}

// No merge reaches over a pair of characters that is not in borders_, so the parts can be merged
// one by one: words of a SentencePiece text, which has no pre-tokenizer, are then as cheap as
// others.
void Bpe::merge_all(std::vector<std::int32_t>* symbols) const {
  const auto merge_part = [this](std::vector<std::int32_t>* part) {
    part->size() <= kShortSymbols ? merge_short(part) : merge_long(part);
  };
  if (symbols->size() <= kShortSymbols || !has_borders_) return merge_part(symbols);
  std::vector<std::int32_t> merged;
  std::vector<std::int32_t> part;
  for (std::size_t i = 0; i < symbols->size(); ++i) {
    part.push_back((*symbols)[i]);
    if (i + 1 < symbols->size() && borders_.contains(pair_key((*symbols)[i], (*symbols)[i + 1]))) {
      continue;
    }
    merge_part(&part);
    merged.insert(merged.end(), part.begin(), part.end());
    part.clear();
  }
  *symbols = std::move(merged);
}

void Bpe::merge_short(std::vector<std::int32_t>* symbols) const {
  constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();
  std::vector<std::int32_t>& word = *symbols;
  if (word.size() < 2) return;
  Merge pairs[kShortSymbols];
  const auto look = [&](std::size_t i) {
    const Merge* found = merge(word[i], word[i + 1]);
    pairs[i] = found == nullptr ? Merge{kNever, 0} : *found;
  };
  std::size_t count = word.size();
  for (std::size_t i = 0; i + 1 < count; ++i) look(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNever) break;
    word[best] = pairs[best].id;
    std::copy(word.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              word.begin() + static_cast<std::ptrdiff_t>(count),
              word.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    std::copy(pairs + best + 1, pairs + count - 1, pairs + best);
    --count;
    if (best > 0) look(best - 1);
    if (best + 1 < count) look(best);
  }
  word.resize(count);
}

void Bpe::merge_long(std::vector<std::int32_t>* symbols) const {
  struct Symbol {
    std::int32_t id, previous, next;  // id -1: swallowed by its left neighbour
  };
  struct Candidate {
    std::int32_t rank, position, left, right, id;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };
  const auto size = static_cast<std::int32_t>(symbols->size());
  std::vector<Symbol> word;
  word.reserve(symbols->size());
  for (std::int32_t i = 0; i < size; ++i) {
    word.push_back({(*symbols)[static_cast<std::size_t>(i)], i - 1, i + 1 < size ? i + 1 : -1});
  }
  const auto at = [&](std::int32_t i) -> Symbol& { return word[static_cast<std::size_t>(i)]; };
  std::vector<Candidate> candidates;
  const auto candidate = [&](std::int32_t position) -> std::optional<Candidate> {
    if (position < 0 || at(position).next < 0) return std::nullopt;
    const std::int32_t left = at(position).id;
    const std::int32_t right = at(at(position).next).id;
    const Merge* found = merge(left, right);
    if (found == nullptr) return std::nullopt;
    return Candidate{found->rank, position, left, right, found->id};
  };
  for (std::int32_t i = 0; i + 1 < size; ++i) {
    if (const auto found = candidate(i)) candidates.push_back(*found);
  }
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue(
      std::greater<>(), std::move(candidates));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = at(top.position);
    // Expired: one of the two has been merged with another neighbour since.
    if (left.id != top.left || left.next < 0 || at(left.next).id != top.right) continue;
    Symbol& right = at(left.next);
    left.id = top.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) at(left.next).previous = top.position;
    if (const auto found = candidate(left.previous)) queue.push(*found);
    if (const auto found = candidate(top.position)) queue.push(*found);
  }
  symbols->clear();
  for (const Symbol& symbol : word) {
    if (symbol.id >= 0) symbols->push_back(symbol.id);
  }
}

}  // namespace shoal::model
