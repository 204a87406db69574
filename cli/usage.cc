// SPDX-License-Identifier: Apache-2.0
#include "cli/usage.h"

#include "absl/strings/cord.h"
#include "cli/shown.h"

namespace shoal::cli {
namespace {

constexpr char kMark[] = "shoal/usage";

}  // namespace

absl::Status usage_error(const std::string& text) {
  return as_usage_error(absl::InvalidArgumentError(text));
}

absl::Status as_usage_error(absl::Status status) {
  if (!status.ok()) status.SetPayload(kMark, absl::Cord());
  return status;
}

bool is_usage_error(const absl::Status& status) { return status.GetPayload(kMark).has_value(); }

int exit_status(const absl::Status& status) {
  return is_usage_error(status) ? kExitUsage : kExitFailed;
}

std::string one_line(const absl::Status& status) {
  std::string text(status.message().data(), status.message().size());
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return printable(text);
}

}  // namespace shoal::cli
