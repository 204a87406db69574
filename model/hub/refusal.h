// SPDX-License-Identifier: Apache-2.0
// The sentence for what a hub did not give, and the way out. Pure.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "model/hub/http.h"
#include "model/hub/name.h"

namespace shoal::model::hub {

struct Asked {
  HubName name;
  std::string endpoint;
  std::string file;  // empty: the list of the model's files
  bool with_token = false;
  bool is_known = false;  // the cache has had it: nobody meant a folder
};

// `end.status` is not OK. UNAVAILABLE where the hub may answer later, NOT_FOUND, PERMISSION_DENIED.
absl::Status refusal(const Asked& asked, const HttpEnd& end);

}  // namespace shoal::model::hub
