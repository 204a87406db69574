// SPDX-License-Identifier: Apache-2.0
// Byte-pair encoding of one piece of text, n log n in its length: the pair of lowest rank first,
// the leftmost of equals. Immutable after parse; a BpeCache belongs to one call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "model/tokenizer/json_reader.h"

namespace shoal::model {

inline constexpr std::int32_t kMaxTokenId = 1 << 24;  // far above any published vocabulary

// Pieces already merged during one call.
class BpeCache {
 public:
  // Texts repeat short words; longer ones are not worth their key.
  static constexpr std::size_t kMaxPieceBytes = 48;
  static constexpr std::size_t kMaxEntries = 1 << 16;

 private:
  friend class Bpe;
  struct Ids {
    std::uint32_t begin, count;
  };
  absl::flat_hash_map<std::string, Ids> entries_;
  std::vector<std::int32_t> ids_;
};

class Bpe {
 public:
  // The "model" part of tokenizer.json. After an error in *status the object is of no use.
  static Bpe parse(const Json& value, absl::Status* status);

  // Appends the ids of one piece (valid UTF-8).
  absl::Status encode(std::string_view piece, BpeCache* cache,
                      std::vector<std::int32_t>* ids) const;

  std::optional<std::int32_t> id_of(std::string_view token) const;
  const std::string* token(std::int32_t id) const;  // null when no token has this id
  std::int32_t vocab_size() const { return static_cast<std::int32_t>(vocab_.size()); }
  std::int32_t end_id() const { return static_cast<std::int32_t>(tokens_.size()); }  // largest + 1

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;
  };

  void read_vocab(const Json& value, ObjectReader& reader);
  void read_merges(const Json& value, ObjectReader& reader);
  void add_merge(std::string_view left, std::string_view right, std::int32_t rank,
                 ObjectReader& reader);
  const Merge* merge(std::int32_t left, std::int32_t right) const;
  absl::Status characters(std::string_view piece, std::vector<std::int32_t>* symbols) const;
  void merge_all(std::vector<std::int32_t>* symbols) const;
  void note_border(std::string_view left, std::string_view right);
  void merge_short(std::vector<std::int32_t>* symbols) const;
  void merge_long(std::vector<std::int32_t>* symbols) const;

  absl::flat_hash_map<std::string, std::int32_t> vocab_;
  std::vector<std::string> tokens_;
  std::vector<bool> has_token_;
  absl::flat_hash_map<std::uint64_t, Merge> merges_;
  // Pairs of characters between which some merge may happen; everywhere else a text falls into
  // independent parts.
  absl::flat_hash_set<std::uint64_t> borders_;
  bool has_borders_ = true;  // false when a merge is made of more than characters
  absl::flat_hash_map<char32_t, std::int32_t> characters_;  // the vocabulary's single characters
  std::vector<std::int32_t> bytes_;                         // <0x00> .. <0xFF>, -1 where missing
  std::optional<std::string> unk_token_;
  bool fuse_unk_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;
};

}  // namespace shoal::model
