// SPDX-License-Identifier: Apache-2.0
// Standard input, output and error of a program: that they exist, and that what was written has
// arrived. Called by main() only.
#pragma once

#include "absl/status/status.h"

namespace shoal::cli {

// A standard stream that the caller closed is opened so that using it fails: otherwise the next
// socket or file of this process would take its place, and would be written to. Before anything
// else uses one of them.
void open_standard_streams();
// Whether the caller gave us standard input at all.
bool has_standard_input();

// Flushes standard output; UNAVAILABLE says why not all of it could be written.
absl::Status finish_output();
// Whether the reader of our output went away, as `head` does: no error to speak of.
bool output_reader_is_gone();

}  // namespace shoal::cli
