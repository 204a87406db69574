// SPDX-License-Identifier: Apache-2.0
// What a model is: its configuration, and of each weight file name, size, SHA-256 and table of
// tensors. Its digest names the model, wherever it came from. Pure: a value, its one encoding
// (docs/protocol.md, "The manifest") and a parser that bounds what comes from outside.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/config.h"
#include "model/safetensors.h"
#include "model/sha256.h"

namespace shoal::model {

// Of the encoded manifest: 400,000 tensors; the largest models that we know of have 140,000.
inline constexpr std::size_t kMaxManifestBytes = 64u << 20;

// The fields of a configuration that change the mathematics, as text. A feature that a model does
// not have is not named, so that what is added later leaves the digests of today alone.
using Configuration = std::map<std::string, std::string>;
Configuration configuration_of(const ModelConfig& config);
// "rope.theta is 10000 here and 20000 there": the first field in which they differ; empty: none.
std::string difference(const Configuration& here, const Configuration& there);

struct ManifestFile {
  std::string name;
  std::uint64_t size = 0;
  Sha256Digest sha256{};
  SafetensorsTable tensors;

  bool operator==(const ManifestFile&) const = default;
};

struct Manifest {
  Configuration configuration;
  std::vector<ManifestFile> files;  // by name

  const ManifestFile* find(std::string_view name) const;  // null: none of that name
  bool operator==(const Manifest&) const = default;
};

// The bytes whose SHA-256 is the model's digest: JSON without spaces, keys in the order of their
// bytes. INVALID_ARGUMENT when it is beyond what a manifest may hold.
absl::StatusOr<std::string> encode_manifest(const Manifest& manifest);
// Of exactly such bytes; errors begin with `where`.
absl::StatusOr<Manifest> parse_manifest(std::string_view bytes, const std::string& where);
// The same of JSON that is parsed already, in any spelling.
absl::StatusOr<Manifest> manifest_of_json(const nlohmann::json& object, const std::string& where);
// Whether text is short and flat enough for the JSON parser.
absl::Status check_manifest_text(std::string_view text, std::size_t max_bytes,
                                 const std::string& where);

}  // namespace shoal::model
