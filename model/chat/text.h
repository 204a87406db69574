// SPDX-License-Identifier: Apache-2.0
// A string of the template language: immutable UTF-8 that knows, byte by byte, what came from the
// template (trusted: control tokens may stand there) and what from a conversation (untrusted). May
// be shared by threads. What keeps the marks: concatenation, ~, join, slices, strip, split,
// replace, upper and the like, indent, %s, tojson, printing lists and dicts. What loses them
// (blended) is trusted only if all that it was made of is.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat/budget.h"

namespace shoal::model::chat {

struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
};

class Text {
 public:
  Text() = default;  // empty
  Text(std::string bytes, bool trusted, Budget* budget);

  std::string_view bytes() const { return rep_ ? std::string_view(rep_->bytes) : ""; }
  bool empty() const { return bytes().empty(); }
  std::size_t length() const { return rep_ ? rep_->length : 0; }  // in code points
  bool is_ascii() const { return length() == bytes().size(); }
  const std::vector<ByteRange>& untrusted() const;  // sorted, disjoint, not empty
  bool is_trusted() const { return untrusted().empty(); }
  bool is_trusted_at(std::size_t byte) const;

  // Where the code point of that index begins; its end for `length()`.
  std::size_t byte_of(std::size_t index) const;

 private:
  friend class TextBuilder;
  struct Rep {
    Rep(std::string text, std::vector<ByteRange> ranges, Budget* budget);
    std::string bytes;
    std::vector<ByteRange> untrusted;
    std::size_t length;
    Charge charge;
  };
  std::shared_ptr<const Rep> rep_;
};

// Text that grows. Each append costs steps and memory.
class TextBuilder {
 public:
  explicit TextBuilder(Budget* budget) : charge_(budget, 0) {}

  void append(const Text& text) { append(text, 0, text.bytes().size()); }
  void append(const Text& text, std::size_t begin, std::size_t end);  // bytes
  void append(std::string_view bytes, bool trusted);
  std::size_t size() const { return bytes_.size(); }
  std::string_view bytes() const { return bytes_; }
  bool is_trusted() const { return untrusted_.empty(); }
  Text finish();  // the builder is empty then

 private:
  void grow(std::size_t bytes);
  void mark(std::size_t begin, std::size_t end);

  Charge charge_;
  std::string bytes_;
  std::vector<ByteRange> untrusted_;
};

Text part_of(const Text& text, std::size_t begin, std::size_t end, Budget& budget);  // bytes

}  // namespace shoal::model::chat
