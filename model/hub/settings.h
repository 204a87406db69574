// SPDX-License-Identifier: Apache-2.0
// Where a hub is, who we are there, and where its files are kept: from the environment, as
// huggingface_hub reads it. The environment comes in by argument; reads the token's file, nothing
// else.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace shoal::model::hub {

using Environment = std::function<std::optional<std::string>(const char* name)>;

struct Settings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT, without a "/" at its end
  // HF_TOKEN, else of HF_TOKEN_PATH or HF_HOME/token; empty: none, or HF_HUB_DISABLE_IMPLICIT_TOKEN
  std::string token;
  std::string cache;     // HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub
  bool offline = false;  // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE
  // Certificates of authorities, where libcurl's own place for them is not this system's; empty:
  // libcurl's.
  std::string ca_file;
};

// INVALID_ARGUMENT names the variable that is wrong.
absl::StatusOr<Settings> read_settings(const Environment& environment);

// The process's own.
std::optional<std::string> process_environment(const char* name);

}  // namespace shoal::model::hub
