// SPDX-License-Identifier: Apache-2.0
// A rendered conversation that ends inside its last message, so that the model goes on with it, as
// the reference does (transformers, continue_final_message). Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/chat/template.h"

namespace shoal::client {

// Cuts what the template wrote behind `message`, the text of the last one; and spaces at its edges
// where the template took them off. INVALID_ARGUMENT where the template did not write the message
// as it is.
absl::Status end_with_message(std::vector<model::chat::Segment>& segments,
                              const std::string& message);

}  // namespace shoal::client
