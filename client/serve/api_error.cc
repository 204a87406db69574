// SPDX-License-Identifier: Apache-2.0
#include "client/serve/api_error.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kParam = "shoal/api/param";
constexpr const char* kCode = "shoal/api/code";

absl::Status with(absl::Status status, const std::string& param, const std::string& code) {
  if (!param.empty()) status.SetPayload(kParam, absl::Cord(param));
  status.SetPayload(kCode, absl::Cord(code));
  return status;
}

std::optional<std::string> payload(const absl::Status& status, const char* name) {
  const auto found = status.GetPayload(name);
  if (!found) return std::nullopt;
  return std::string(*found);
}

struct Meaning {
  int status;
  const char* type;
  const char* code;
};

Meaning meaning_of(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return {400, "invalid_request_error", "invalid_value"};
    case absl::StatusCode::kUnauthenticated:
      return {401, "invalid_request_error", "invalid_api_key"};
    case absl::StatusCode::kPermissionDenied:
      return {403, "invalid_request_error", "forbidden"};
    case absl::StatusCode::kNotFound:
      return {404, "invalid_request_error", "not_found"};
    // Nobody serves the model whole, or those who do have no room.
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
      return {503, "server_error", "unavailable"};
    case absl::StatusCode::kResourceExhausted:
      return {503, "server_error", "overloaded"};
    default:
      return {500, "server_error", "internal"};
  }
}

Json or_null(const std::optional<std::string>& text) { return text ? Json(*text) : Json(); }

}  // namespace

std::string error_body(const ApiError& error) {
  const Json json = {{"error",
                      {{"message", error.message},
                       {"type", error.type},
                       {"param", or_null(error.param)},
                       {"code", or_null(error.code)}}}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{error.status, "application/json", error_body(error), {}};
  if (error.status == 429 || error.status == 503) response.headers.emplace_back("Retry-After", "2");
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

ApiError invalid_request(int status, std::string message) {
  return {status, std::move(message), "invalid_request_error", std::nullopt, "invalid_request"};
}

ApiError body_too_large(std::size_t most) {
  return invalid_request(
      413, fmt::format("the body is too large: at most {} MiB are taken", most >> 20));
}

absl::Status bad_field(const std::string& param, const std::string& message,
                       const std::string& code) {
  return with(absl::InvalidArgumentError(fmt::format("{}: {}", param, message)), param, code);
}

absl::Status unsupported_field(const std::string& param, const std::string& message) {
  return with(absl::InvalidArgumentError(fmt::format("{} {}", param, message)), param,
              "unsupported_parameter");
}

absl::Status unknown_model(const std::string& asked, const std::string& served) {
  return with(absl::NotFoundError(fmt::format(
                  "The model `{}` does not exist. This server has `{}`.", asked, served)),
              "model", "model_not_found");
}

absl::Status queue_full() {
  return with(absl::ResourceExhaustedError(
                  "as many requests as this server takes are being answered or wait: try again"),
              "", "queue_full");
}

ApiError api_error(const absl::Status& status) {
  const Meaning meaning = meaning_of(status.code());
  ApiError error{meaning.status, std::string(status.message()), meaning.type,
                 payload(status, kParam), meaning.code};
  if (auto code = payload(status, kCode)) error.code = *std::move(code);
  if (error.code == "queue_full") {
    error.status = 429;
    error.type = "rate_limit_error";
  }
  return error;
}

}  // namespace shoal::client
