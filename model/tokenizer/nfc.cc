// SPDX-License-Identifier: Apache-2.0
#include <utf8proc.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "model/tokenizer/normalizer.h"
#include "model/tokenizer/unicode.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

int combining_class(std::int32_t code) { return utf8proc_get_property(code)->combining_class; }

// Below U+0300 nothing composes with what follows unless that is U+0300 or above.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0xCC;  // the first byte of U+0300
  });
}

void flush(std::vector<std::int32_t>* codes, std::string* out) {
  // Canonical order: a stable sort of each run of marks. utf8proc's own is quadratic in the run.
  for (auto run = codes->begin(); run != codes->end();) {
    if (combining_class(*run) == 0) {
      ++run;
      continue;
    }
    const auto end = std::find_if(run, codes->end(),
                                  [](std::int32_t code) { return combining_class(code) == 0; });
    std::stable_sort(run, end, [](std::int32_t a, std::int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    run = end;
  }
  const utf8proc_ssize_t length =
      utf8proc_normalize_utf32(codes->data(), static_cast<utf8proc_ssize_t>(codes->size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  CHECK(length >= 0 && length <= static_cast<utf8proc_ssize_t>(codes->size()));
  for (utf8proc_ssize_t i = 0; i < length; ++i) {
    append_utf8(static_cast<char32_t>((*codes)[static_cast<std::size_t>(i)]), out);
  }
  codes->clear();
}

}  // namespace

std::string to_nfc(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  std::vector<std::int32_t> codes;
  codes.reserve(text.size());
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char32_t code = next_code(text, &at);
    if (code >= 0x300 && is_new_to_nfc(code)) {
      flush(&codes, &result);
      append_utf8(code, &result);
      continue;
    }
    std::array<std::int32_t, 8> parts;
    int boundary = 0;
    const utf8proc_ssize_t count = utf8proc_decompose_char(
        static_cast<std::int32_t>(code), parts.data(), parts.size(),
        static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE), &boundary);
    CHECK(count >= 0 && count <= static_cast<utf8proc_ssize_t>(parts.size()))
        << "decomposition of " << static_cast<std::uint32_t>(code);
    codes.insert(codes.end(), parts.begin(), parts.begin() + count);
  }
  flush(&codes, &result);
  return result;
}

}  // namespace shoal::model
