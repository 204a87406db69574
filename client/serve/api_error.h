// SPDX-License-Identifier: Apache-2.0
// Errors as OpenAI's API tells them: a status of HTTP, and a body whose four keys are always there.
// A Status may carry them, from where a request is read to where it is answered. Pure.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "client/serve/http_message.h"

namespace shoal::client {

struct ApiError {
  int status = 500;
  std::string message;
  std::string type;  // "invalid_request_error", "rate_limit_error" or "server_error"
  std::optional<std::string> param;
  std::optional<std::string> code;
};

std::string error_body(const ApiError& error);  // {"error": {...}}
HttpResponse error_response(const ApiError& error);

ApiError invalid_request(int status, std::string message);
ApiError body_too_large(std::size_t most);

// INVALID_ARGUMENT about a field.
absl::Status bad_field(const std::string& param, const std::string& message,
                       const std::string& code = "invalid_value");
// One that changes what comes out, and that we do not do.
absl::Status unsupported_field(const std::string& param, const std::string& message);
absl::Status unknown_model(const std::string& asked, const std::string& served);
// RESOURCE_EXHAUSTED: as many as may wait do.
absl::Status queue_full();

// What a status means to who asked: of the request, of the swarm (503), or of ours (500).
ApiError api_error(const absl::Status& status);

}  // namespace shoal::client
