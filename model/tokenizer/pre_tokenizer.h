// SPDX-License-Identifier: Apache-2.0
// Pre-tokenizers of tokenizer.json: ByteLevel, Split, Metaspace, Digits, and Sequence of them. They
// cut a text into the pieces inside which merges happen. Immutable.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "model/tokenizer/json_reader.h"
#include "model/tokenizer/regex.h"

namespace shoal::model {

struct Piece {
  std::string_view text;
  bool at_start = false;  // begins where the user's whole text begins
};

// Pieces, and the buffers into which they point.
struct Pieces {
  std::vector<Piece> list;
  std::deque<std::string> buffers;
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual absl::Status run(Pieces* pieces) const = 0;
  virtual bool needs_start() const { return false; }  // whether it asks for Piece::at_start
  virtual bool moves_start() const { return false; }  // whether it puts text before a piece
};

class PreTokenizer {
 public:
  // null means none. After an error in *status the object is of no use.
  static PreTokenizer parse(const Json& value, const std::string& place, bool start_moved,
                            absl::Status* status);
  absl::Status run(Pieces* pieces) const;

 private:
  void add(const Json& value, const std::string& place, int depth, absl::Status* status);

  std::vector<std::unique_ptr<PreTokenizerStep>> steps_;
};

// The steps, each from its JSON object.
std::unique_ptr<PreTokenizerStep> parse_byte_level(ObjectReader& reader);
std::unique_ptr<PreTokenizerStep> parse_split(ObjectReader& reader);
std::unique_ptr<PreTokenizerStep> parse_metaspace(ObjectReader& reader);
std::unique_ptr<PreTokenizerStep> parse_digits(ObjectReader& reader);

// What becomes of the matches and the text between them.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct Cut {
  Range range;
  bool is_match;
};
// Matches of one text, with the parts between them, in order and without holes.
std::vector<Cut> cuts_between(std::string_view text, const std::vector<Range>& matches);
void append_split(const Piece& piece, const std::vector<Cut>& cuts, SplitBehavior behavior,
                  std::vector<Piece>* out);

}  // namespace shoal::model
