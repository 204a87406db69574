// SPDX-License-Identifier: Apache-2.0
// Stop strings over text that arrives in pieces: holds back what may still become one, and cuts
// before the first. Plain value, no thread rule.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shoal::client {

class StopText {
 public:
  // Empty strings among `stops` are ignored.
  explicit StopText(std::vector<std::string> stops);

  // Text that is now certain to come before any stop string. After the stop, nothing more.
  std::string push(std::string_view piece);
  // What was held back, when no stop string came.
  std::string finish();
  bool stopped() const { return stopped_; }
  const std::string& matched() const { return matched_; }  // empty until stopped

 private:
  std::vector<std::string> stops_;
  std::string held_, matched_;
  bool stopped_ = false;
};

}  // namespace shoal::client
