// SPDX-License-Identifier: Apache-2.0
#include "model/chat/text_operations.h"

#include <algorithm>
#include <string>
#include <utility>

#include "model/chat/compare.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

constexpr std::size_t kNoPlace = std::string_view::npos;

bool is_line_end(char32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

// The last place of `part` that ends at or before `end`.
std::size_t find_last(std::string_view text, std::string_view part, std::size_t end) {
  return end < part.size() ? kNoPlace : text.rfind(part, end - part.size());
}

// Lower case of a sigma at a word's end is another letter.
bool ends_word(std::string_view bytes, std::size_t begin, std::size_t end) {
  bool cased_before = false;
  for (std::size_t at = begin; at > 0;) {
    const char32_t code = previous_code(bytes, &at);
    if (is_case_ignorable(code)) continue;
    cased_before = is_cased(code);
    break;
  }
  if (!cased_before) return false;
  for (std::size_t at = end; at < bytes.size();) {
    const char32_t code = next_code(bytes, &at);
    if (is_case_ignorable(code)) continue;
    return !is_cased(code);
  }
  return true;
}

class CaseWriter {
 public:
  CaseWriter(const Text& text, Budget& budget) : text_(text), out_(&budget), budget_(budget) {}

  void write(char32_t code, std::size_t begin, std::size_t end, Case wanted) {
    changed_.clear();
    if (code == 0x3A3 && wanted == Case::kLower) {
      budget_.spend(1);
      append_utf8(
          ends_word(text_.bytes().substr(0, std::min(end + 256, text_.bytes().size())), begin, end)
              ? 0x3C2
              : 0x3C3,
          &changed_);
    } else {
      append_in_case(code, wanted, &changed_);
    }
    const bool trusted = text_.is_trusted_at(begin);
    if (trusted != run_trusted_ || run_.size() > 4096) flush();
    run_trusted_ = trusted;
    run_ += changed_;
  }
  Text finish() {
    flush();
    return out_.finish();
  }

 private:
  void flush() {
    out_.append(run_, run_trusted_);
    run_.clear();
  }

  const Text& text_;
  TextBuilder out_;
  Budget& budget_;
  std::string changed_;
  std::string run_;
  bool run_trusted_ = true;
};

}  // namespace

void for_each_code(
    const Text& text,
    const std::function<void(char32_t code, std::size_t begin, std::size_t end)>& see) {
  const std::string_view bytes = text.bytes();
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t begin = at;
    const char32_t code = next_code(bytes, &at);
    see(code, begin, at);
  }
}

bool all_codes(const Text& text, bool (*holds)(char32_t)) {
  bool all = !text.empty();
  for_each_code(text, [&](char32_t code, std::size_t, std::size_t) { all = all && holds(code); });
  return all;
}

Text stripped(const Text& text, Side side, const Text* chars, Budget& budget) {
  const std::string_view bytes = text.bytes();
  std::u32string wanted;
  if (chars != nullptr) {
    for_each_code(*chars, [&](char32_t code, std::size_t, std::size_t) { wanted.push_back(code); });
    std::sort(wanted.begin(), wanted.end());
  }
  const auto goes = [&](char32_t code) {
    if (chars == nullptr) return is_blank(code);
    return std::binary_search(wanted.begin(), wanted.end(), code);
  };
  budget.spend_bytes(bytes.size());
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  while (side != Side::kRight && begin < end) {
    std::size_t next = begin;
    if (!goes(next_code(bytes, &next))) break;
    begin = next;
  }
  while (side != Side::kLeft && end > begin) {
    std::size_t before = end;
    if (!goes(previous_code(bytes, &before))) break;
    end = before;
  }
  return part_of(text, begin, end, budget);
}

Text in_case(const Text& text, Case wanted, Budget& budget) {
  CaseWriter out(text, budget);
  for_each_code(text, [&](char32_t code, std::size_t begin, std::size_t end) {
    out.write(code, begin, end, wanted);
  });
  return out.finish();
}

Text capitalized(const Text& text, Budget& budget) {
  CaseWriter out(text, budget);
  for_each_code(text, [&](char32_t code, std::size_t begin, std::size_t end) {
    out.write(code, begin, end, begin == 0 ? Case::kTitle : Case::kLower);
  });
  return out.finish();
}

Text titled(const Text& text, Budget& budget) {
  CaseWriter out(text, budget);
  bool in_word = false;
  for_each_code(text, [&](char32_t code, std::size_t begin, std::size_t end) {
    out.write(code, begin, end, in_word ? Case::kLower : Case::kTitle);
    in_word = is_cased(code);
  });
  return out.finish();
}

Text swapped_case(const Text& text, Budget& budget) {
  CaseWriter out(text, budget);
  for_each_code(text, [&](char32_t code, std::size_t begin, std::size_t end) {
    out.write(code, begin, end, is_upper(code) ? Case::kLower : Case::kUpper);
  });
  return out.finish();
}

Text replaced(const Text& text, const Text& old, const Text& with, std::int64_t count,
              Budget& budget) {
  TextBuilder out(&budget);
  const std::string_view bytes = text.bytes();
  std::size_t copied = 0;
  budget.spend_bytes(bytes.size());
  if (old.empty()) {  // before each character, and at the end
    for (std::size_t at = 0; count != 0; --count) {
      out.append(with);
      if (at >= bytes.size()) break;
      next_code(bytes, &at);
      out.append(text, copied, at);
      copied = at;
    }
  }
  while (!old.empty() && count != 0) {
    const std::size_t at = find_bytes(bytes, old.bytes(), copied);
    if (at == kNoPlace) break;
    out.append(text, copied, at);
    out.append(with);
    budget.spend(1);
    copied = at + old.bytes().size();
    --count;
  }
  if (copied == 0 && out.size() == 0) return text;
  out.append(text, copied, bytes.size());
  return out.finish();
}

namespace {

std::vector<Text> split_at_blanks(const Text& text, std::int64_t limit, bool from_right,
                                  Budget& budget) {
  const std::string_view bytes = text.bytes();
  std::vector<Text> parts;
  const auto skip_right = [&](std::size_t end, bool blanks) {
    while (end > 0) {
      std::size_t before = end;
      if (is_blank(previous_code(bytes, &before)) != blanks) break;
      end = before;
    }
    return end;
  };
  const auto skip_left = [&](std::size_t begin, bool blanks) {
    while (begin < bytes.size()) {
      std::size_t next = begin;
      if (is_blank(next_code(bytes, &next)) != blanks) break;
      begin = next;
    }
    return begin;
  };
  if (from_right) {
    std::size_t end = skip_right(bytes.size(), true);
    while (end > 0) {
      const std::size_t begin = limit == 0 ? 0 : skip_right(end, false);
      parts.push_back(part_of(text, begin, end, budget));
      if (limit == 0) break;
      --limit;
      end = skip_right(begin, true);
    }
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  std::size_t begin = skip_left(0, true);
  while (begin < bytes.size()) {
    const std::size_t end = limit == 0 ? bytes.size() : skip_left(begin, false);
    parts.push_back(part_of(text, begin, end, budget));
    --limit;
    begin = skip_left(end, true);
  }
  return parts;
}

}  // namespace

std::vector<Text> split(const Text& text, const Text* separator, std::int64_t limit,
                        bool from_right, Budget& budget) {
  if (limit < 0) limit = -1;
  const std::string_view bytes = text.bytes();
  budget.spend_bytes(bytes.size());
  if (separator == nullptr) return split_at_blanks(text, limit, from_right, budget);
  if (separator->empty()) fail("empty separator");
  const std::string_view mark = separator->bytes();
  std::vector<Text> parts;
  if (from_right) {
    budget.spend(bytes.size() / 64 * (1 + mark.size() / 64));  // the search is not linear
    std::size_t end = bytes.size();
    while (limit != 0) {
      const std::size_t at = find_last(bytes, mark, end);
      if (at == kNoPlace) break;
      parts.push_back(part_of(text, at + mark.size(), end, budget));
      end = at;
      --limit;
    }
    parts.push_back(part_of(text, 0, end, budget));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  std::size_t begin = 0;
  while (limit != 0) {
    const std::size_t at = find_bytes(bytes, mark, begin);
    if (at == kNoPlace) break;
    parts.push_back(part_of(text, begin, at, budget));
    begin = at + mark.size();
    --limit;
  }
  parts.push_back(part_of(text, begin, bytes.size(), budget));
  return parts;
}

std::vector<Text> split_lines(const Text& text, bool keep_ends, Budget& budget) {
  const std::string_view bytes = text.bytes();
  std::vector<Text> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t before = at;
    const char32_t code = next_code(bytes, &at);
    if (!is_line_end(code)) continue;
    if (code == '\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    lines.push_back(part_of(text, begin, keep_ends ? at : before, budget));
    begin = at;
  }
  if (begin < bytes.size()) lines.push_back(part_of(text, begin, bytes.size(), budget));
  return lines;
}

Text reversed_text(const Text& text, Budget& budget) {
  TextBuilder out(&budget);
  for (std::size_t end = text.bytes().size(); end > 0;) {
    const std::size_t after = end;
    previous_code(text.bytes(), &end);
    out.append(text, end, after);
  }
  return out.finish();
}

Text padded(const Text& text, std::int64_t left, std::int64_t right, const Text& fill,
            Budget& budget) {
  TextBuilder out(&budget);
  for (std::int64_t i = 0; i < left; ++i) out.append(fill);
  out.append(text);
  for (std::int64_t i = 0; i < right; ++i) out.append(fill);
  return out.finish();
}

}  // namespace shoal::model::chat
