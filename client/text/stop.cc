// SPDX-License-Identifier: Apache-2.0
#include "client/text/stop.h"

#include <algorithm>
#include <utility>

namespace shoal::client {
namespace {

// Length of the longest end of `text` that is a beginning of `stop`, but not all of it.
std::size_t open_prefix(std::string_view text, std::string_view stop) {
  for (std::size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.substr(text.size() - n) == stop.substr(0, n)) return n;
  }
  return 0;
}

}  // namespace

StopText::StopText(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, "");
}

std::string StopText::push(std::string_view piece) {
  if (stopped_) return "";
  held_ += piece;
  std::size_t cut = std::string::npos;
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    if (const std::size_t at = held_.find(stop); at < cut) {
      cut = at;
      matched_ = stop;
    }
    keep = std::max(keep, open_prefix(held_, stop));
  }
  if (cut != std::string::npos) {
    stopped_ = true;
    std::string shown = held_.substr(0, cut);
    held_.clear();
    return shown;
  }
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopText::finish() { return std::exchange(held_, ""); }

}  // namespace shoal::client
