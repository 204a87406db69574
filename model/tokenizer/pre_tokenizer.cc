// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/pre_tokenizer.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {

PreTokenizer PreTokenizer::parse(const Json& value, const std::string& place, bool start_moved,
                                 absl::Status* status) {
  PreTokenizer result;
  if (value.is_null()) return result;
  result.add(value, place, 0, status);
  for (const auto& step : result.steps_) {
    if (step->needs_start() && start_moved && status->ok()) {
      *status = absl::InvalidArgumentError(absl::StrCat(
          "tokenizer.json: ", place,
          " uses prepend_scheme \"first\" after a part that moves the beginning of the text; this "
          "version does not support the two together"));
    }
    start_moved = start_moved || step->moves_start();
  }
  return result;
}

void PreTokenizer::add(const Json& value, const std::string& place, int depth,
                       absl::Status* status) {
  ObjectReader reader(value, place, status);
  const std::string type = reader.text("type");
  if (type == "Sequence") {
    for_each_part(reader, "pretokenizers", depth, [&](const Json& part, const std::string& at) {
      add(part, at, depth + 1, status);
    });
  } else if (type == "ByteLevel") {
    steps_.push_back(parse_byte_level(reader));
  } else if (type == "Split") {
    steps_.push_back(parse_split(reader));
  } else if (type == "Metaspace") {
    steps_.push_back(parse_metaspace(reader));
  } else if (type == "Digits") {
    steps_.push_back(parse_digits(reader));
  } else if (reader.ok()) {
    return reader.refuse(absl::StrCat(
        "is a ", in_quotes(type),
        " pre-tokenizer; supported are ByteLevel, Split, Metaspace, Digits, Sequence"));
  }
  reader.done();
}

absl::Status PreTokenizer::run(Pieces* pieces) const {
  for (const auto& step : steps_) {
    if (absl::Status status = step->run(pieces); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::vector<Cut> cuts_between(std::string_view text, const std::vector<Range>& matches) {
  std::vector<Cut> cuts;
  cuts.reserve(matches.size() * 2 + 1);
  std::size_t at = 0;
  for (const Range& match : matches) {
    if (at != match.first) cuts.push_back({{at, match.first}, false});
    cuts.push_back({match, true});
    at = match.second;
  }
  if (at != text.size()) cuts.push_back({{at, text.size()}, false});
  return cuts;
}

void append_split(const Piece& piece, const std::vector<Cut>& cuts, SplitBehavior behavior,
                  std::vector<Piece>* out) {
  const auto emit = [&](Range range) {
    if (range.first == range.second) return;
    out->push_back({piece.text.substr(range.first, range.second - range.first),
                    piece.at_start && range.first == 0});
  };
  if (behavior == SplitBehavior::kIsolated || behavior == SplitBehavior::kRemoved) {
    for (const Cut& cut : cuts) {
      if (behavior == SplitBehavior::kIsolated || !cut.is_match) emit(cut.range);
    }
    return;
  }
  // The others join neighbours; MergedWithNext is MergedWithPrevious read from the end.
  const bool backward = behavior == SplitBehavior::kMergedWithNext;
  std::vector<Range> joined;
  bool previous_match = false;
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    const Cut& cut = cuts[backward ? cuts.size() - 1 - i : i];
    const bool joins = behavior == SplitBehavior::kContiguous ? cut.is_match == previous_match
                                                              : cut.is_match && !previous_match;
    if (joins && !joined.empty()) {
      (backward ? joined.back().first : joined.back().second) =
          backward ? cut.range.first : cut.range.second;
    } else {
      joined.push_back(cut.range);
    }
    previous_match = cut.is_match;
  }
  if (backward) {
    for (auto range = joined.rbegin(); range != joined.rend(); ++range) emit(*range);
  } else {
    for (const Range& range : joined) emit(range);
  }
}

}  // namespace shoal::model
