// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/regex.h"

#include <algorithm>
#include <limits>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr std::size_t kJitStackBytes = 256u
                                       << 20;  // reserved, touched only as far as a match needs
// Backtracking steps of one match: honest patterns need a few for each byte, a pattern like (a+)+b
// any number.
constexpr std::size_t kMinSteps = 10'000'000;
constexpr std::size_t kStepsPerByte = 100;
constexpr std::uint32_t kHeapLimitKib = 1u
                                        << 20;  // for the interpreter, where JIT is not to be had

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof(buffer)) < 0)
    return absl::StrCat("error ", code);
  return reinterpret_cast<const char*>(buffer);
}

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using MatchData = std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Freer<pcre2_jit_stack_free>>;

}  // namespace

struct Regex::Code {
  ~Code() { pcre2_code_free(code); }
  pcre2_code* code = nullptr;
};

absl::StatusOr<Regex> Regex::compile(std::string_view pattern) {
  const absl::StatusOr<std::string> translated = translate_regex(pattern);
  if (!translated.ok()) return translated.status();
  std::unique_ptr<pcre2_compile_context, Freer<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  if (context == nullptr) return absl::ResourceExhaustedError("no memory for a regular expression");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // MULTILINE: ^ and $ are line anchors in Ruby's syntax, always.
  auto code = std::make_shared<Code>();
  code->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated->data()), translated->size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &error, &offset, context.get());
  if (code->code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the pattern ", in_quotes(pattern), " is not a regular expression: ", error_text(error)));
  }
  pcre2_jit_compile(code->code,
                    PCRE2_JIT_COMPLETE);  // without JIT the interpreter does the same, slower
  return Regex(std::move(code));
}

absl::Status Regex::find_all(std::string_view text, std::vector<Range>* matches) const {
  const MatchData data(pcre2_match_data_create(1, nullptr));
  const MatchContext context(pcre2_match_context_create(nullptr));
  if (data == nullptr || context == nullptr) {
    return absl::ResourceExhaustedError("no memory to match a regular expression");
  }
  const auto limit = static_cast<std::uint32_t>(std::min<std::size_t>(
      std::max(kMinSteps, text.size() * kStepsPerByte), std::numeric_limits<std::uint32_t>::max()));
  pcre2_set_match_limit(context.get(), limit);
  pcre2_set_depth_limit(context.get(), limit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  JitStack stack;  // only when the 32 KiB that every match has do not suffice
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
  std::size_t from = 0;
  std::size_t last_end = kNone;
  while (from <= text.size()) {
    // The text was validated once; checking it again at every match would be quadratic.
    const int count = pcre2_match(code_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK,
                                  data.get(), context.get());
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count == PCRE2_ERROR_JIT_STACKLIMIT && stack == nullptr) {
      stack.reset(pcre2_jit_stack_create(64u << 10, kJitStackBytes, nullptr));
      if (stack == nullptr) return absl::ResourceExhaustedError("no memory for a JIT stack");
      pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
      continue;
    }
    if (count < 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the tokenizer's pattern could not be matched on this text of ", text.size(),
                       " bytes: ", error_text(count)));
    }
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    if (ends[0] == ends[1] &&
        ends[1] == last_end) {  // an empty match just behind a match does not count
      if (from >= text.size()) break;
      next_code(text, &from);
      continue;
    }
    from = last_end = ends[1];
    matches->emplace_back(ends[0], ends[1]);
  }
  return absl::OkStatus();
}

}  // namespace shoal::model
