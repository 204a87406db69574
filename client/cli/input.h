// SPDX-License-Identifier: Apache-2.0
// Texts that a command reads from standard input or a file. Blocks; an interrupt ends the wait for
// standard input.
#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "base/stop_token.h"

namespace shoal::client {

// All of standard input, byte for byte. `what` it is: "the prompt".
absl::StatusOr<std::string> read_standard_input(const char* what, std::size_t most_bytes,
                                                const base::StopToken& interrupt);

// A shell and an editor end a text with one line end that is not meant: "\n" or "\r\n" is cut,
// once.
std::string without_last_line_end(std::string text);

}  // namespace shoal::client
