// SPDX-License-Identifier: Apache-2.0
// Addresses of http and https: who is asked, and how names stand in them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shoal::model::hub {

// Scheme, host and port, in small letters, the port always there: who may see a token. nullopt for
// what is not http or https, not printable ASCII, has a user in it, or no host.
struct Origin {
  std::string scheme, host, port;

  bool operator==(const Origin&) const = default;
};
std::optional<Origin> origin_of(std::string_view url);

// %XX for what does not stand for itself in a part of a path; "/" too unless it is kept.
std::string url_escaped(std::string_view text, bool keep_slashes);

// Where an answer sends us: nullopt when that is no place to go, as from https to http.
bool may_redirect(std::string_view from, std::string_view to);

}  // namespace shoal::model::hub
