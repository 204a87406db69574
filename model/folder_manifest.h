// SPDX-License-Identifier: Apache-2.0
// The manifest of the model that a folder holds, whole or in parts: computed from the files once,
// taken from shoal-manifest.json beside them, or told by somebody else and held against them. Reads
// and writes files; the caller waits.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/manifest.h"
#include "model/weight_files.h"

namespace shoal::model {

struct NamedManifest {
  Manifest manifest;
  std::string bytes;  // encoded, as others may ask for it
  Sha256Digest digest{};
  std::vector<std::string> warnings;  // one line each
};

// nullopt: the folder holds parts only and nothing here says what the whole is: the swarm must. Of
// a whole folder the files themselves are what counts, and shoal-manifest.json only spares reading
// them; of parts it is what counts, and an error says what here does not fit it.
absl::StatusOr<std::optional<NamedManifest>> folder_manifest(const ModelConfig& config,
                                                             const WeightFiles& files,
                                                             const FileWork& work);

// What a stranger says that the model of this digest is. FAILED_PRECONDITION when that is not the
// model whose parts are here; else it is kept beside them. `hashes` of the files here: empty at
// first; what was read for one candidate is not read again for the next.
using FileHashes = std::map<std::string, Sha256Digest>;
absl::StatusOr<NamedManifest> adopt_manifest(const ModelConfig& config, const WeightFiles& files,
                                             std::string_view bytes, const Sha256Digest& digest,
                                             FileHashes& hashes, const FileWork& work);

// From now on it is known what the files hold that are not here.
void learn(WeightFiles& files, const Manifest& manifest);

// The SHA-256 that the name of a file in a cache of the Hugging Face hub says: DIR/FILE is a link
// to blobs/SHA256. Not of other links.
std::optional<Sha256Digest> hub_cache_hash(const std::string& path);

}  // namespace shoal::model
