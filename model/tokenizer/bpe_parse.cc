// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {

Bpe Bpe::parse(const Json& value, absl::Status* status) {
  Bpe bpe;
  ObjectReader reader(value, "model", status);
  const std::string type = reader.text("type", "BPE");
  if (type != "BPE") {
    reader.refuse(absl::StrCat("is a ", in_quotes(type), " model; only BPE is supported"));
  }
  if (const Json* dropout = reader.get("dropout")) {
    if (!dropout->is_number() || dropout->get<double>() != 0.0) {
      reader.refuse("has a dropout: its encodings would be random");
    }
  }
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!reader.text(affix, "").empty()) {
      reader.refuse(absl::StrCat("has a ", affix, ", which is not supported"));
    }
  }
  if (reader.has("unk_token")) bpe.unk_token_ = reader.text("unk_token");
  bpe.fuse_unk_ = reader.flag("fuse_unk", false);
  bpe.byte_fallback_ = reader.flag("byte_fallback", false);
  bpe.ignore_merges_ = reader.flag("ignore_merges", false);
  const Json* vocab = reader.get("vocab");
  const Json* merges = reader.get("merges");
  if (vocab == nullptr || !vocab->is_object() || merges == nullptr || !merges->is_array()) {
    reader.refuse("needs an object \"vocab\" and a list \"merges\"");
  }
  reader.done();
  if (!reader.ok()) return bpe;
  bpe.read_vocab(*vocab, reader);
  if (reader.ok()) bpe.read_merges(*merges, reader);
  return bpe;
}

void Bpe::read_vocab(const Json& value, ObjectReader& reader) {
  if (value.empty()) return reader.refuse("has an empty vocabulary");
  vocab_.reserve(value.size());
  for (const auto& [token, number] : value.items()) {
    const std::uint64_t id =
        number.is_number_unsigned() ? number.get<std::uint64_t>() : std::uint64_t{kMaxTokenId};
    if (id >= std::uint64_t{kMaxTokenId}) {
      return reader.refuse(absl::StrCat("gives the token ", in_quotes(token),
                                        " an id that is not a ", "whole number from 0 to ",
                                        kMaxTokenId - 1));
    }
    if (id >= tokens_.size()) {
      tokens_.resize(id + 1);
      has_token_.resize(id + 1);
    }
    if (has_token_[id]) {
      return reader.refuse(absl::StrCat("gives the id ", id, " to both ", in_quotes(tokens_[id]),
                                        " and ", in_quotes(token)));
    }
    has_token_[id] = true;
    tokens_[id] = token;
    vocab_.emplace(token, static_cast<std::int32_t>(id));
    std::size_t first = 0;
    if (token.empty()) continue;
    const char32_t code = next_code(token, &first);
    if (first == token.size()) characters_.emplace(code, static_cast<std::int32_t>(id));
  }
  for (int byte = 0; byte < 256; ++byte) {
    bytes_.push_back(id_of(absl::StrFormat("<0x%02X>", byte)).value_or(-1));
  }
}

void Bpe::read_merges(const Json& value, ObjectReader& reader) {
  merges_.reserve(value.size());
  std::int32_t rank = 0;
  for (const Json& item : value) {
    if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string()) {
      add_merge(item[0].get_ref<const std::string&>(), item[1].get_ref<const std::string&>(), rank,
                reader);
    } else if (item.is_string()) {
      const std::string& line = item.get_ref<const std::string&>();
      if (line.starts_with("#version")) continue;
      const std::size_t space = line.find(' ');
      if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos) {
        return reader.refuse(
            absl::StrCat("has the merge ", in_quotes(line), ", which is not two tokens"));
      }
      add_merge(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1),
                rank, reader);
    } else {
      return reader.refuse(
          absl::StrCat("has a merge that is neither \"a b\" nor [\"a\", \"b\"], at ", rank));
    }
    if (!reader.ok()) return;
    ++rank;
  }
}

void Bpe::add_merge(std::string_view left, std::string_view right, std::int32_t rank,
                    ObjectReader& reader) {
  const std::string whole = absl::StrCat(as_absl(left), as_absl(right));
  const auto left_id = id_of(left);
  const auto right_id = id_of(right);
  const auto id = id_of(whole);
  if (!left_id || !right_id || !id) {
    const std::string_view missing = !left_id ? left : !right_id ? right : std::string_view(whole);
    return reader.refuse(absl::StrCat("has the merge ", in_quotes(left), " + ", in_quotes(right),
                                      ", but ", in_quotes(missing), " is not in the vocabulary"));
  }
  note_border(left, right);
  // Of a pair that is listed twice the last counts, as in the reference.
  merges_[static_cast<std::uint64_t>(*left_id) << 32 | static_cast<std::uint32_t>(*right_id)] =
      Merge{rank, *id};
}

// A merge happens between the last character of its left token and the first of its right one. That
// holds while all symbols are characters: bytes and the unknown token, which stand for other texts
// than their names, must not be merged.
void Bpe::note_border(std::string_view left, std::string_view right) {
  const auto is_byte = [this](std::int32_t id) {
    return std::find(bytes_.begin(), bytes_.end(), id) != bytes_.end();
  };
  if (!has_borders_) return;
  for (const std::string_view side : {left, right}) {
    if (side.empty() || side == unk_token_ ||
        (byte_fallback_ && side.starts_with("<0x") && is_byte(*id_of(side)))) {
      has_borders_ = false;
      return;
    }
  }
  std::size_t last = left.size();
  std::size_t first = 0;
  const auto left_id = characters_.find(previous_code(left, &last));
  const auto right_id = characters_.find(next_code(right, &first));
  // Without these characters in the vocabulary no text leads to this merge.
  if (left_id == characters_.end() || right_id == characters_.end()) return;
  borders_.insert(static_cast<std::uint64_t>(left_id->second) << 32 |
                  static_cast<std::uint32_t>(right_id->second));
}

}  // namespace shoal::model
