// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/pre_tokenizer.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::shared_ptr<const Regex> compile(ObjectReader& reader, std::string_view pattern) {
  auto regex = Regex::compile(pattern);
  if (!regex.ok()) {
    reader.refuse(absl::StrCat("is refused: ", regex.status().message()));
    return nullptr;
  }
  return std::make_shared<const Regex>(*std::move(regex));
}

class Split final : public PreTokenizerStep {
 public:
  Split(std::shared_ptr<const Regex> regex, std::string text, SplitBehavior behavior, bool invert)
      : regex_(std::move(regex)), text_(std::move(text)), behavior_(behavior), invert_(invert) {}

  absl::Status run(Pieces* pieces) const override {
    std::vector<Piece> result;
    std::vector<Range> matches;
    for (const Piece& piece : pieces->list) {
      matches.clear();
      if (absl::Status status = find(piece.text, &matches); !status.ok()) return status;
      std::vector<Cut> cuts = cuts_between(piece.text, matches);
      if (invert_) {
        for (Cut& cut : cuts) cut.is_match = !cut.is_match;
      }
      append_split(piece, cuts, behavior_, &result);
    }
    pieces->list = std::move(result);
    return absl::OkStatus();
  }

 private:
  absl::Status find(std::string_view text, std::vector<Range>* matches) const {
    if (regex_ != nullptr) return regex_->find_all(text, matches);
    for (std::size_t hit = 0; (hit = text.find(text_, hit)) != std::string_view::npos;) {
      matches->emplace_back(hit, hit + text_.size());
      hit += text_.size();
    }
    return absl::OkStatus();
  }

  std::shared_ptr<const Regex> regex_;  // or, without one:
  std::string text_;
  SplitBehavior behavior_;
  bool invert_;
};

class ByteLevel final : public PreTokenizerStep {
 public:
  ByteLevel(std::unique_ptr<Split> split, bool add_prefix_space)
      : split_(std::move(split)), add_prefix_space_(add_prefix_space) {}

  absl::Status run(Pieces* pieces) const override {
    if (add_prefix_space_) {
      for (Piece& piece : pieces->list) {
        if (!piece.text.starts_with(' ')) {
          piece.text = pieces->buffers.emplace_back(absl::StrCat(" ", as_absl(piece.text)));
        }
      }
    }
    if (split_ != nullptr) {
      if (absl::Status status = split_->run(pieces); !status.ok()) return status;
    }
    std::size_t bytes = 0;
    for (const Piece& piece : pieces->list) bytes += piece.text.size();
    std::string& letters = pieces->buffers.emplace_back();
    letters.reserve(bytes * 2);  // no letter is longer: the views below stay valid
    for (Piece& piece : pieces->list) {
      const std::size_t begin = letters.size();
      append_letters(piece.text, &letters);
      piece.text = std::string_view(letters).substr(begin);
    }
    return absl::OkStatus();
  }
  bool moves_start() const override { return add_prefix_space_; }

 private:
  std::unique_ptr<Split> split_;  // GPT-2's pattern, or null
  bool add_prefix_space_;
};

class Metaspace final : public PreTokenizerStep {
 public:
  enum class Prepend { kAlways, kFirst, kNever };
  Metaspace(std::string mark, Prepend prepend, bool split)
      : mark_(std::move(mark)), prepend_(prepend), cut_(split) {}

  absl::Status run(Pieces* pieces) const override {
    std::vector<Piece> result;
    for (const Piece& piece : pieces->list) {
      std::string text = replace_spaces(piece.text);
      if (!text.starts_with(mark_) &&
          (prepend_ == Prepend::kAlways || (prepend_ == Prepend::kFirst && piece.at_start))) {
        text.insert(0, mark_);
      }
      const Piece whole{pieces->buffers.emplace_back(std::move(text)), piece.at_start};
      if (!cut_) {
        result.push_back(whole);
        continue;
      }
      std::vector<Range> marks;
      for (std::size_t hit = 0; (hit = whole.text.find(mark_, hit)) != std::string_view::npos;) {
        marks.emplace_back(hit, hit + mark_.size());
        hit += mark_.size();
      }
      append_split(whole, cuts_between(whole.text, marks), SplitBehavior::kMergedWithNext, &result);
    }
    pieces->list = std::move(result);
    return absl::OkStatus();
  }
  bool needs_start() const override { return prepend_ == Prepend::kFirst; }
  bool moves_start() const override { return prepend_ != Prepend::kNever; }

 private:
  std::string replace_spaces(std::string_view text) const {
    std::string result;
    result.reserve(text.size() * 3 / 2);
    for (const char c : text) c == ' ' ? result.append(mark_) : result.append(1, c);
    return result;
  }

  std::string mark_;
  Prepend prepend_;
  bool cut_;
};

class Digits final : public PreTokenizerStep {
 public:
  explicit Digits(bool individual) : individual_(individual) {}

  absl::Status run(Pieces* pieces) const override {
    std::vector<Piece> result;
    for (const Piece& piece : pieces->list) {
      std::vector<Range> matches;
      for (std::size_t at = 0; at < piece.text.size();) {
        const std::size_t begin = at;
        if (is_number(next_code(piece.text, &at))) matches.emplace_back(begin, at);
      }
      append_split(piece, cuts_between(piece.text, matches),
                   individual_ ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, &result);
    }
    pieces->list = std::move(result);
    return absl::OkStatus();
  }

 private:
  bool individual_;
};

SplitBehavior parse_behavior(ObjectReader& reader) {
  const std::string name = reader.text("behavior");
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  reader.refuse(absl::StrCat("has the unknown behavior ", in_quotes(name)));
  return SplitBehavior::kIsolated;
}

}  // namespace

std::unique_ptr<PreTokenizerStep> parse_byte_level(ObjectReader& reader) {
  const bool add_prefix_space = reader.flag("add_prefix_space");
  reader.ignore("trim_offsets");
  std::unique_ptr<Split> split;
  if (reader.flag("use_regex", true)) {
    split = std::make_unique<Split>(compile(reader, kGpt2Pattern), "", SplitBehavior::kIsolated,
                                    /*invert=*/false);
  }
  return std::make_unique<ByteLevel>(std::move(split), add_prefix_space);
}

std::unique_ptr<PreTokenizerStep> parse_split(ObjectReader& reader) {
  PatternText pattern = read_pattern(reader, "pattern");
  const SplitBehavior behavior = parse_behavior(reader);
  const bool invert = reader.flag("invert");
  std::shared_ptr<const Regex> regex;
  if (pattern.is_regex && reader.ok()) regex = compile(reader, pattern.text);
  return std::make_unique<Split>(std::move(regex), std::move(pattern.text), behavior, invert);
}

std::unique_ptr<PreTokenizerStep> parse_metaspace(ObjectReader& reader) {
  std::string mark;
  append_utf8(reader.character("replacement"), &mark);
  const std::string scheme = reader.text("prepend_scheme", "always");
  Metaspace::Prepend prepend = Metaspace::Prepend::kAlways;
  if (scheme == "first") {
    prepend = Metaspace::Prepend::kFirst;
  } else if (scheme == "never") {
    prepend = Metaspace::Prepend::kNever;
  } else if (scheme != "always") {
    reader.refuse(absl::StrCat("has the unknown prepend_scheme ", in_quotes(scheme)));
  }
  if (!reader.flag("add_prefix_space", true) && prepend != Metaspace::Prepend::kNever) {
    reader.refuse("says add_prefix_space false, but its prepend_scheme is not \"never\"");
  }
  reader.ignore("str_rep");
  return std::make_unique<Metaspace>(mark, prepend, reader.flag("split", true));
}

std::unique_ptr<PreTokenizerStep> parse_digits(ObjectReader& reader) {
  return std::make_unique<Digits>(reader.flag("individual_digits"));
}

}  // namespace shoal::model
