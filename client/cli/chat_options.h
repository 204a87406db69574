// SPDX-License-Identifier: Apache-2.0
// From the options of chat and generate to how a model is talked to.
#pragma once

#include <ctime>

#include "absl/status/statusor.h"
#include "client/cli/command_line.h"
#include "client/text/sampler.h"
#include "client/text/user_model.h"
#include "model/chat/chat_template.h"
#include "model/generation_config.h"

namespace shoal::client {

// What is not given comes from the model; a wish for randomness turns a greedy model's sampling on.
SamplingOptions sampling_of(const SamplingFlags& flags, const model::GenerationConfig& config);

// The model's, or that of the file. NOT_FOUND says what to do where the model has none.
absl::StatusOr<model::chat::ChatTemplate> open_template(const TemplateFlags& flags,
                                                        const UserModel& user_model);

std::tm local_time_now();

}  // namespace shoal::client
