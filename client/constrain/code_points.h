// SPDX-License-Identifier: Apache-2.0
// Sets of Unicode scalar values, as ranges. Plain value.
#pragma once

#include <utility>
#include <vector>

namespace shoal::client::constrain {

class CodePoints {
 public:
  using Range = std::pair<char32_t, char32_t>;  // both are in it

  CodePoints() = default;
  static CodePoints of(char32_t low, char32_t high);
  static CodePoints all();  // U+0000 to U+10FFFF without the surrogates

  void add(char32_t low, char32_t high);
  void add(const CodePoints& other);
  CodePoints complement() const;
  CodePoints minus(const CodePoints& other) const;
  CodePoints intersection(const CodePoints& other) const;
  bool contains(char32_t code) const;
  bool empty() const { return ranges_.empty(); }
  const std::vector<Range>& ranges() const { return ranges_; }  // rising, with gaps between

 private:
  std::vector<Range> ranges_;
};

}  // namespace shoal::client::constrain
