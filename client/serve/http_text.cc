// SPDX-License-Identifier: Apache-2.0
#include "client/serve/http_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/status.hpp>

namespace shoal::client {
namespace {

std::string lines_of(const HttpHeaders& headers) {
  std::string lines;
  for (const auto& [name, value] : headers) lines += fmt::format("{}: {}\r\n", name, value);
  return lines;
}

}  // namespace

std::string response_text(const HttpResponse& response, bool keep_alive, bool head_only) {
  const auto reason =
      boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
  std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: {}\r\n"
      "X-Content-Type-Options: nosniff\r\n{}\r\n",
      response.status, std::string_view(reason.data(), reason.size()), response.content_type,
      response.body.size(), keep_alive ? "keep-alive" : "close", lines_of(response.headers));
  if (!head_only) text += response.body;
  return text;
}

std::string stream_head(const HttpHeaders& headers, StreamForm form, bool chunked,
                        bool keep_alive) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nCache-Control: no-cache\r\n{}Connection: {}\r\n"
      "X-Content-Type-Options: nosniff\r\n{}\r\n",
      form == StreamForm::kEvents ? "text/event-stream; charset=utf-8" : "application/x-ndjson",
      chunked ? "Transfer-Encoding: chunked\r\n" : "", keep_alive ? "keep-alive" : "close",
      lines_of(headers));
}

std::string chunk(std::string_view bytes, bool chunked) {
  if (!chunked || bytes.empty()) return std::string(bytes);
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string harmless_id(std::string_view id) {
  constexpr std::size_t kMaxIdBytes = 128;
  const bool harmless = id.size() <= kMaxIdBytes && std::ranges::all_of(id, [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                 (c >= '0' && c <= '9') ||
                                 std::string_view("-_.:").find(c) != std::string_view::npos;
                        });
  return harmless ? std::string(id) : "";
}

}  // namespace shoal::client
