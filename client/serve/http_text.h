// SPDX-License-Identifier: Apache-2.0
// The bytes of an HTTP/1.1 answer. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "client/serve/http_message.h"

namespace shoal::client {

// The head of a whole response and its body; without the body for HEAD.
std::string response_text(const HttpResponse& response, bool keep_alive, bool head_only);
// The head of a stream, in chunks (HTTP/1.1) or until the connection ends.
std::string stream_head(const HttpHeaders& headers, StreamForm form, bool chunked, bool keep_alive);
std::string chunk(std::string_view bytes, bool chunked);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// ASCII letters of either case count as the same.
bool same_ignoring_case(std::string_view a, std::string_view b);

// At most 128 letters, digits and "-_.:"; else empty.
std::string harmless_id(std::string_view id);

}  // namespace shoal::client
