// SPDX-License-Identifier: Apache-2.0
// shoal-manifest.json: a model's manifest as it is kept beside the weights, and which files here
// were found to be those that it means, so that they are not read again. Written whole or not at
// all. Where the folder cannot be written to, it is kept in the user's cache folder.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/manifest.h"
#include "model/mapped_file.h"

namespace shoal::model {

inline constexpr const char* kManifestName = "shoal-manifest.json";

struct KeptManifest {
  Manifest manifest;
  // Of files whose bytes were read and had the manifest's SHA-256: as they were then. Another size,
  // time of change or inode number: they are read again.
  std::map<std::string, FileStamp> checked;
  std::string path;  // where it was found

  bool is_checked(const std::string& file, const FileStamp& now) const;
};

// nullopt: there is none. An error: it is damaged; names it.
absl::StatusOr<std::optional<KeptManifest>> read_kept_manifest(const std::string& directory);
// Says where; an error when neither place can be written to.
absl::StatusOr<std::string> keep_manifest(const std::string& directory, const KeptManifest& kept);

}  // namespace shoal::model
