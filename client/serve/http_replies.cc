// SPDX-License-Identifier: Apache-2.0
#include "client/serve/http_replies.h"

#include <utility>

#include "client/serve/api_response.h"
#include "client/serve/ollama_answer.h"

namespace shoal::client {

HttpHeaders headers_of(const HttpRequest& request) {
  return {{"X-Request-Id", request.request_id}};
}

void say(const HttpRequest& request, HttpReply& reply, const nlohmann::ordered_json& json) {
  reply.respond({200, "application/json", to_text(json), headers_of(request)});
}

void refuse(const HttpRequest& request, HttpReply& reply, const ApiError& error,
            const HttpHeaders& more) {
  HttpResponse response =
      request.path.starts_with("/api/") ? ollama_error(error) : error_response(error);
  for (auto& header : headers_of(request)) response.headers.push_back(std::move(header));
  response.headers.insert(response.headers.end(), more.begin(), more.end());
  reply.respond(std::move(response));
}

void refuse(const HttpRequest& request, HttpReply& reply, const absl::Status& status) {
  refuse(request, reply, api_error(status));
}

}  // namespace shoal::client
