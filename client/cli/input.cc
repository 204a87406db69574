// SPDX-License-Identifier: Apache-2.0
#include "client/cli/input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/standard_streams.h"
#include "cli/usage.h"

namespace shoal::client {

absl::StatusOr<std::string> read_standard_input(const char* what, std::size_t most_bytes,
                                                const base::StopToken& interrupt) {
  if (!cli::has_standard_input()) {
    return absl::UnavailableError(
        fmt::format("cannot read {} from standard input: it is closed", what));
  }
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t n = read(STDIN_FILENO, buffer, sizeof(buffer));
    if (interrupt.stopped()) return interrupt.status();
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      return absl::UnavailableError(
          fmt::format("cannot read {} from standard input: {}", what, std::strerror(errno)));
    }
    if (n == 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    if (text.size() > most_bytes) {
      return cli::usage_error(
          fmt::format("{} on standard input is longer than {} MiB", what, most_bytes >> 20));
    }
  }
}

std::string without_last_line_end(std::string text) {
  if (text.ends_with('\n')) {
    text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
  }
  return text;
}

}  // namespace shoal::client
