// SPDX-License-Identifier: Apache-2.0
#include "net/bare_status.h"

#include <string>

namespace shoal::net {
namespace {

using Code = absl::StatusCode;

// Letters alone, in lower case: "INVALID_ARGUMENT", "Invalid argument" and "kInvalidArgument:" are
// the same name.
std::string letters_of(std::string_view text) {
  std::string letters;
  for (const char c : text) {
    if (c >= 'a' && c <= 'z') letters += c;
    if (c >= 'A' && c <= 'Z') letters += static_cast<char>(c - 'A' + 'a');
  }
  return letters;
}

bool is_name_of_a_code(const std::string& letters) {
  if (letters == "failed" || letters == "error" || letters == "ok") return true;
  if (letters == "callcancelled" || letters == "callcanceled" || letters == "canceled") return true;
  for (int number = 1; number <= 16; ++number) {
    const std::string name = letters_of(absl::StatusCodeToString(static_cast<Code>(number)));
    if (letters == name || letters == "k" + name) return true;
  }
  return false;
}

// What gRPC and HTTP/2 say by themselves: the start of their texts.
constexpr std::string_view kLibrarySays[] = {
    "Received RST_STREAM", "RST_STREAM",       "Stream removed",    "Transport closed",
    "Socket closed",       "Endpoint read",    "Endpoint closed",   "Connection reset",
    "Broken pipe",         "Missing :grpc",    "missing :status",   "Received http2 header",
    "Call batch failed",   "Unexpected Compl", "Error in trailers",
};

}  // namespace

std::string_view sentence_for_bare(Code code, std::string_view message) {
  const std::string letters = letters_of(message);
  bool bare = letters.empty() || is_name_of_a_code(letters);
  for (const std::string_view says : kLibrarySays) bare = bare || message.starts_with(says);
  if (!bare) return "";
  switch (code) {
    case Code::kCancelled:
    case Code::kAborted:
    case Code::kUnavailable:
      return "it ended the call without a reason. The node stopped or its connection broke: check "
             "that it still runs, or try again";
    case Code::kDeadlineExceeded:
      return "it did not answer in time. Check that the node is running and reachable";
    case Code::kResourceExhausted:
      return "it has no room for this now. Try again later";
    case Code::kUnauthenticated:
    case Code::kPermissionDenied:
      return "it does not let us in. Check that both sides have the same --swarm-key file";
    case Code::kUnimplemented:
      return "it does not offer this call. Check that both sides run the same version";
    case Code::kInvalidArgument:
    case Code::kFailedPrecondition:
    case Code::kOutOfRange:
    case Code::kNotFound:
    case Code::kAlreadyExists:
      return "it refused what was asked without a reason. Check that both sides run the same "
             "version";
    default:
      return "it failed without a reason: look into the log of that node";
  }
}

}  // namespace shoal::net
