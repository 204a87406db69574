// SPDX-License-Identifier: Apache-2.0
#include "cli/standard_streams.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace shoal::cli {

namespace {

bool g_has_input = true;

enum class Origin { kCaller, kClosed, kLibrary };

// What is inherited was not closed on exec. A library that opens something before main() takes the
// lowest free number, and marks it so.
Origin origin_of(int stream) {
  const int flags = fcntl(stream, F_GETFD);
  if (flags < 0) return errno == EBADF ? Origin::kClosed : Origin::kCaller;
  return (flags & FD_CLOEXEC) != 0 ? Origin::kLibrary : Origin::kCaller;
}

}  // namespace

void open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    const Origin origin = origin_of(stream);
    if (origin == Origin::kCaller) continue;
    if (stream == STDIN_FILENO) g_has_input = false;
    if (origin == Origin::kClosed) {
      // The lowest free number is this one. Opened the wrong way round, reading the input and
      // writing the output fail; messages that nobody wants do not.
      if (open("/dev/null", stream == STDOUT_FILENO ? O_RDONLY : O_WRONLY) < 0) return;
    } else if (stream == STDOUT_FILENO) {
      stdout = std::fopen("/dev/null", "r");  // its own number is not ours to write to
    } else if (stream == STDERR_FILENO) {
      stderr = std::fopen("/dev/null", "w");
    }
  }
}

bool has_standard_input() { return g_has_input; }

bool output_reader_is_gone() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

absl::Status finish_output() {
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int why = errno;
  if (flushed && !std::ferror(stdout)) return absl::OkStatus();
  return absl::UnavailableError(fmt::format("could not write to standard output{}{}",
                                            why == 0 ? "" : ": ",
                                            why == 0 ? "" : std::strerror(why)));
}

}  // namespace shoal::cli
