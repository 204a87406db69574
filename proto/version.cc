// SPDX-License-Identifier: Apache-2.0
#include "proto/version.h"

#include "absl/strings/str_cat.h"
#include "proto/limits.h"

namespace shoal::proto {

wire::Version our_version() {
  wire::Version version;
  version.set_major(kProtocolMajor);
  version.set_minor(kProtocolMinor);
  return version;
}

std::optional<std::string> why_version_refused(const wire::Version& theirs, std::string_view they,
                                               std::string_view we) {
  if (theirs.major() == kProtocolMajor) return std::nullopt;
  return absl::StrCat(std::string(they), " protocol ", theirs.major(), ".", theirs.minor(), ", ",
                      std::string(we), " ", kProtocolMajor, ".", kProtocolMinor,
                      ": use the same major version");
}

}  // namespace shoal::proto
