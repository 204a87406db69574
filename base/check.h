// SPDX-License-Identifier: Apache-2.0
// CHECK(condition) << details: for our own bugs only, always on; prints the place and aborts.
// Bytes from outside are never CHECKed: they get a Status. The one header of kernels/ that every
// room may include.
#pragma once

#include <cstdlib>
#include <iostream>
#include <sstream>

namespace shoal::base {

class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition) {
    text_ << file << ':' << line << ": CHECK(" << condition << ") failed. ";
  }
  [[noreturn]] ~CheckFailure() {
    text_ << '\n';
    std::cerr << text_.str() << std::flush;
    std::abort();
  }
  std::ostream& stream() { return text_; }

 private:
  std::ostringstream text_;
};

}  // namespace shoal::base

// The loop body runs at most once: the temporary's destructor aborts after the details were
// streamed in.
#define CHECK(condition) \
  while (!(condition)) ::shoal::base::CheckFailure(__FILE__, __LINE__, #condition).stream()
