// SPDX-License-Identifier: Apache-2.0
#include "model/hub/url.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace shoal::model::hub {

std::optional<Origin> origin_of(std::string_view url) {
  const std::size_t colon = url.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  Origin origin;
  origin.scheme = absl::AsciiStrToLower(std::string(url.substr(0, colon)));
  if (origin.scheme != "http" && origin.scheme != "https") return std::nullopt;
  std::string_view place = url.substr(colon + 3);
  place = place.substr(0, place.find_first_of("/?#\\"));
  if (place.find('@') != std::string_view::npos) return std::nullopt;
  for (const char c : url) {
    if (c <= ' ' || c > '~') {  // names of hosts beyond ASCII are written as xn--...
      return std::nullopt;
    }
  }
  // Of [::1]:80 the colons within brackets are the host's.
  const std::size_t bracket = place.rfind(']');
  const std::size_t port = place.find(':', bracket == std::string_view::npos ? 0 : bracket);
  origin.host = absl::AsciiStrToLower(std::string(place.substr(0, port)));
  if (port != std::string_view::npos) origin.port = std::string(place.substr(port + 1));
  if (origin.port.empty()) origin.port = origin.scheme == "https" ? "443" : "80";
  if (origin.host.empty() || origin.port.size() > 5 ||
      origin.port.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  return origin;
}

std::string url_escaped(std::string_view text, bool keep_slashes) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '_' || c == '.' || c == '~' ||
        (c == '/' && keep_slashes)) {
      result += c;
    } else {
      result += '%';
      result += kDigits[byte >> 4];
      result += kDigits[byte & 15];
    }
  }
  return result;
}

bool may_redirect(std::string_view from, std::string_view to) {
  const auto here = origin_of(from);
  const auto there = origin_of(to);
  return here && there && (here->scheme != "https" || there->scheme == "https");
}

}  // namespace shoal::model::hub
