// SPDX-License-Identifier: Apache-2.0
// --model as a folder: one that is there, or what a command needs of a model that is named as on a
// Hugging Face hub. One thread; the caller waits, and is told on the line how far it is.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "cli/progress_line.h"
#include "model/hub/hub_model.h"

namespace shoal::client {

absl::StatusOr<std::string> folder_of_model(const std::string& model,
                                            const model::hub::Purpose& purpose,
                                            const base::StopToken& interrupt,
                                            cli::ProgressLine& line);
// The same of what can only be such a name.
absl::StatusOr<std::string> fetch_from_hub(const model::hub::HubName& name,
                                           const model::hub::Purpose& purpose,
                                           const base::StopToken& interrupt,
                                           cli::ProgressLine& line);

}  // namespace shoal::client
