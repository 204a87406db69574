// SPDX-License-Identifier: Apache-2.0
// How the gateway says a thing or refuses one, in the form of the API whose path was asked.
#pragma once

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "client/serve/api_error.h"
#include "client/serve/http_message.h"

namespace shoal::client {

HttpHeaders headers_of(const HttpRequest& request);  // of every answer to it
void say(const HttpRequest& request, HttpReply& reply, const nlohmann::ordered_json& json);
void refuse(const HttpRequest& request, HttpReply& reply, const ApiError& error,
            const HttpHeaders& more = {});
void refuse(const HttpRequest& request, HttpReply& reply, const absl::Status& status);

}  // namespace shoal::client
