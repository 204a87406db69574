// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/utf8.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace shoal::model {

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kShown = 80;
  const std::string shown = absl::Utf8SafeCEscape(as_absl(text.substr(0, kShown)));
  return absl::StrCat("\"", shown, text.size() > kShown ? "…\"" : "\"");
}

Utf8State::Verdict Utf8State::push(unsigned char byte) {
  if (remaining_ == 0) {
    low_ = 0x80;
    high_ = 0xBF;
    if (byte < 0x80) return kComplete;
    if (byte >= 0xC2 && byte <= 0xDF) {
      remaining_ = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
      remaining_ = 2;
      if (byte == 0xE0) low_ = 0xA0;   // no overlong forms
      if (byte == 0xED) high_ = 0x9F;  // no surrogates
    } else if (byte >= 0xF0 && byte <= 0xF4) {
      remaining_ = 3;
      if (byte == 0xF0) low_ = 0x90;
      if (byte == 0xF4) high_ = 0x8F;  // nothing above U+10FFFF
    } else {
      return kInvalid;
    }
    return kPartial;
  }
  if (byte < low_ || byte > high_) {
    remaining_ = 0;
    return kInvalid;
  }
  low_ = 0x80;
  high_ = 0xBF;
  return --remaining_ == 0 ? kComplete : kPartial;
}

bool is_utf8(std::string_view text) {
  Utf8State state;
  for (const char c : text) {
    if (state.push(static_cast<unsigned char>(c)) == Utf8State::kInvalid) return false;
  }
  return !state.inside();
}

void append_utf8(char32_t code, std::string* out) {
  const auto put = [out](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

char32_t previous_code(std::string_view text, std::size_t* offset) {
  do {
    --*offset;
  } while ((static_cast<unsigned char>(text[*offset]) & 0xC0) == 0x80);
  std::size_t forward = *offset;
  return next_code(text, &forward);
}

void LossyUtf8::push(std::string_view bytes, std::string* out) {
  for (const char c : bytes) {
    const bool inside = state_.inside();
    Utf8State::Verdict verdict = state_.push(static_cast<unsigned char>(c));
    if (verdict == Utf8State::kInvalid && inside) {  // the broken part ended before this byte
      out->append(kReplacement);
      held_.clear();
      verdict = state_.push(static_cast<unsigned char>(c));
    }
    if (verdict == Utf8State::kInvalid) {
      out->append(kReplacement);
    } else if (verdict == Utf8State::kPartial) {
      held_.push_back(c);
    } else {
      out->append(held_);
      out->push_back(c);
      held_.clear();
    }
  }
}

void LossyUtf8::finish(std::string* out) {
  if (!held_.empty()) out->append(kReplacement);
  held_.clear();
  state_ = Utf8State();
}

}  // namespace shoal::model
