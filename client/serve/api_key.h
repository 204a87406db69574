// SPDX-License-Identifier: Apache-2.0
// Who may ask: keys in an Authorization header, and names by which a browser may know us. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shoal::client {

// "Bearer KEY" with one of `keys`; compares each whole, in a time that does not depend on where it
// differs.
bool is_authorized(std::string_view authorization, const std::vector<std::string>& keys);

// A Host header that names this machine by address or as localhost. Any other may be a stranger's
// name for it, by which pages in a browser here would reach us (DNS rebinding).
bool is_plain_host(std::string_view host);

}  // namespace shoal::client
