// SPDX-License-Identifier: Apache-2.0
// From Oniguruma's Ruby syntax to PCRE2's. Only what both engines are known to agree on passes; \s,
// and the properties of newer Unicode versions, are spelled out.
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "model/tokenizer/regex.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr std::string_view kSpace =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
    "\\x{205f}\\x{3000}";
constexpr std::string_view kNotSpace =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-"
    "\\x{10ffff}";
constexpr std::array<std::string_view, 18> kProperties = {"L", "Lu", "Ll", "Lt", "Lm", "Lo",
                                                          "M", "N",  "Nd", "Nl", "No", "P",
                                                          "S", "Sm", "Sc", "Sk", "So", "Z"};
// Without regard to case Oniguruma takes these pairs for one character too (ß, ﬀ, ﬁ, ﬂ, ﬆ); PCRE2
// does not.
constexpr std::array<std::string_view, 5> kFoldingPairs = {"ss", "ff", "fi", "fl", "st"};

bool is_quantifier(char c) { return c == '?' || c == '*' || c == '+'; }

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  absl::StatusOr<std::string> run() {
    while (status_.ok() && at_ < in_.size()) step();
    if (status_.ok() && !groups_.empty()) refuse("\"(\" without \")\"");
    if (!status_.ok()) return status_;
    return std::move(out_);
  }

 private:
  struct Group {
    std::size_t start;  // in out_
    bool caseless;
  };

  void refuse(std::string_view what) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(absl::StrCat("the pattern ", in_quotes(in_), " uses ",
                                                      as_absl(what),
                                                      ", which this version does not support"));
  }
  bool peek(std::string_view text) const { return in_.substr(at_, text.size()) == text; }
  bool take(std::string_view text) {
    if (!peek(text)) return false;
    at_ += text.size();
    return true;
  }
  bool caseless() const { return !groups_.empty() && groups_.back().caseless; }

  void step() {
    const char c = in_[at_];
    if (is_quantifier(c)) return quantifier();
    if (c == '{') return interval();
    if (c == '(') return open_group();
    if (c == ')') return close_group();
    atom_ = out_.size();
    if (c == '[') return character_class();
    if (c == '\\') return escape(/*in_class=*/false);
    if (c == '|' || c == '.' || c == '^' || c == '$') {
      out_.push_back(c);
      ++at_;
      return;
    }
    literal();
  }

  void literal() {  // one code point as \x{..}: never special, whatever the engine
    absl::StrAppend(&out_, "\\x{", absl::Hex(static_cast<std::uint32_t>(next_code(in_, &at_))),
                    "}");
  }

  // ?, *, + with their lazy and possessive forms mean the same in both; more in a row does not.
  void quantifier() {
    out_.push_back(in_[at_++]);
    if (at_ < in_.size() && (in_[at_] == '?' || in_[at_] == '+')) out_.push_back(in_[at_++]);
    if (at_ < in_.size() && is_quantifier(in_[at_])) refuse("three quantifiers in a row");
  }

  void interval() {
    const std::size_t close = in_.find('}', at_);
    if (close == std::string_view::npos) return refuse("\"{\" without \"}\"");
    const std::string_view body = in_.substr(at_ + 1, close - at_ - 1);
    const std::size_t comma = body.find(',');
    const auto is_count = [](std::string_view text) {
      return text.size() <= 4 && text.find_first_not_of("0123456789") == std::string_view::npos;
    };
    const std::string_view low = body.substr(0, comma);
    const std::string_view high = comma == std::string_view::npos ? low : body.substr(comma + 1);
    if (low.empty() || !is_count(low) || !is_count(high)) {
      return refuse(in_quotes(in_.substr(at_, close + 1 - at_)));
    }
    at_ = close + 1;
    absl::StrAppend(&out_, "{", as_absl(body), "}");
    if (at_ >= in_.size() || !is_quantifier(in_[at_])) return;
    if (in_[at_] == '?') {
      // In Ruby's syntax {n}? is an optional {n}, in PCRE2 a lazy one.
      if (comma == std::string_view::npos) return refuse("\"{n}?\"");
      out_.push_back(in_[at_++]);
      if (at_ < in_.size() && is_quantifier(in_[at_])) refuse("three quantifiers in a row");
      return;
    }
    // In Ruby's syntax {n,m}+ repeats the interval, in PCRE2 it is possessive.
    out_.insert(atom_, "(?:");
    out_.push_back(')');
    quantifier();
  }

  void open_group() {
    const std::size_t start = out_.size();
    for (const std::string_view open : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (!take(open)) continue;
      out_ += open;
      groups_.push_back({start, caseless() || open == "(?i:"});
      const std::string lower = absl::AsciiStrToLower(as_absl(in_));
      for (const std::string_view pair : kFoldingPairs) {
        if (caseless() && absl::StrContains(lower, as_absl(pair))) {
          refuse(absl::StrCat("(?i: with ", in_quotes(pair)));
        }
      }
      return;
    }
    if (peek("(?") || peek("(*")) return refuse(in_quotes(in_.substr(at_, 4)));
    ++at_;
    out_ += "(?:";  // what it captures is never used
    groups_.push_back({start, caseless()});
  }

  void close_group() {
    if (groups_.empty()) return refuse("\")\" without \"(\"");
    atom_ = groups_.back().start;
    groups_.pop_back();
    out_.push_back(in_[at_++]);
  }

  void character_class() {
    ++at_;
    out_.push_back('[');
    if (take("^")) out_.push_back('^');
    bool first = true;
    bool may_begin_range = false;
    while (status_.ok()) {
      if (at_ >= in_.size()) return refuse("\"[\" without \"]\"");
      if (in_[at_] == ']') break;
      if (in_[at_] == '[') return refuse("a class inside a class");
      if (peek("&&")) return refuse("\"&&\" inside a class");
      first = false;
      if (may_begin_range && peek("-") && !peek("-]")) {
        ++at_;
        out_.push_back('-');
        if (is_set()) return refuse("a range that ends in a set of characters");
        in_[at_] == '\\' ? escape(/*in_class=*/true) : literal();
        may_begin_range = false;
        continue;
      }
      may_begin_range = !is_set();
      in_[at_] == '\\' ? escape(/*in_class=*/true) : literal();
    }
    if (first) return refuse("an empty class");
    ++at_;
    out_.push_back(']');
  }

  // Inside a class: does a set of characters (\s, \p{..}, a nested class) begin here, or nothing at
  // all?
  bool is_set() const {
    if (at_ >= in_.size() || in_[at_] == '[') return true;
    return in_[at_] == '\\' && at_ + 1 < in_.size() &&
           std::string_view("sSdDwWpPhHR").find(in_[at_ + 1]) != std::string_view::npos;
  }

  void escape(bool in_class) {
    ++at_;
    if (at_ >= in_.size()) return refuse("a \"\\\" at its end");
    const char c = in_[at_];
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) return literal();
    ++at_;
    if (c == 's' || c == 'S') {
      const std::string_view set = c == 's' ? kSpace : kNotSpace;
      out_ += in_class ? std::string(set) : absl::StrCat("[", as_absl(set), "]");
    } else if (c == 'd') {
      property("Nd", in_class, /*negated=*/false);
    } else if (c == 'p' || c == 'P') {
      const std::size_t close = in_.find('}', at_);
      if (!peek("{") || close == std::string_view::npos) return refuse("\\p without {…}");
      std::string_view name = in_.substr(at_ + 1, close - at_ - 1);
      at_ = close + 1;
      const bool caret = name.starts_with('^');
      if (caret) name.remove_prefix(1);
      property(name, in_class, (c == 'P') != caret);
    } else if (c == 'r' || c == 'n' || c == 't' || c == 'f') {
      out_.push_back('\\');
      out_.push_back(c);
    } else {
      refuse(absl::StrCat("\\", std::string(1, c)));
    }
  }

  void property(std::string_view name, bool in_class, bool negated) {
    bool known = false;
    for (const std::string_view property : kProperties) known = known || property == name;
    if (!known) return refuse(absl::StrCat("the property ", in_quotes(name)));
    if (caseless()) return refuse("a property without regard to case");
    if (negated && in_class) return refuse("a negated property inside a class");
    std::string set = absl::StrCat("\\p{", as_absl(name), "}");
    for (const CategoryRange& range : categories_since_unicode_14()) {
      if (!std::string_view(range.category).starts_with(name)) continue;
      absl::StrAppend(&set, "\\x{", absl::Hex(static_cast<std::uint32_t>(range.first)), "}-\\x{",
                      absl::Hex(static_cast<std::uint32_t>(range.last)), "}");
    }
    out_ += in_class ? set : absl::StrCat(negated ? "[^" : "[", set, "]");
  }

  std::string_view in_;
  std::size_t at_ = 0;
  std::size_t atom_ = 0;  // where in out_ the last atom begins
  std::vector<Group> groups_;
  std::string out_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<std::string> translate_regex(std::string_view pattern) {
  // DeepSeek's pattern for trailing blanks would be tried at every blank of a run, quadratic in its
  // length. If it fails at the run's first blank it fails at all others too, so only that one is
  // tried.
  if (pattern == "\\s+$") {
    return absl::StrCat("(?<![", as_absl(kSpace), "])[", as_absl(kSpace), "]+$");
  }
  return Translator(pattern).run();
}

}  // namespace shoal::model
