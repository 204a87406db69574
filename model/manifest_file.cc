// SPDX-License-Identifier: Apache-2.0
#include "model/manifest_file.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/cache_folder.h"
#include "model/json_fields.h"
#include "model/weight_files.h"
#include "model/whole_file.h"

namespace shoal::model {
namespace {

using nlohmann::json;

// The manifest, and a hundred bytes for each file.
constexpr std::size_t kMaxKeptBytes = kMaxManifestBytes + (4u << 20);

// Of this folder, whatever name it is called by; empty: there is no cache folder.
std::string cache_path(const std::string& directory) {
  const std::string cache = cache_folder("manifests");
  if (cache.empty()) return "";
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::weakly_canonical(directory, error);
  const absl::StatusOr<Sha256Digest> name = sha256(folder.string());
  if (error || !name.ok()) return "";
  return absl::StrCat(cache, "/", to_hex(*name), ".json");
}

absl::StatusOr<KeptManifest> parse_kept(const std::string& text, const std::string& path) {
  const auto damaged = [&](const std::string& why) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", why, "; remove it, or fetch it again"));
  };
  absl::Status fits = check_manifest_text(text, kMaxKeptBytes, path);
  if (!fits.ok()) return fits;
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("manifest") || !object.contains("digest")) {
    return damaged("is no manifest");
  }
  KeptManifest kept;
  kept.path = path;
  absl::StatusOr<Manifest> manifest = manifest_of_json(object["manifest"], path);
  if (!manifest.ok())
    return damaged(std::string(manifest.status().message().substr(
        std::min(path.size() + 2, manifest.status().message().size()))));
  kept.manifest = *std::move(manifest);
  const absl::StatusOr<std::string> bytes = encode_manifest(kept.manifest);
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<Sha256Digest> digest = sha256(*bytes);
  if (!digest.ok()) return digest.status();
  if (object["digest"] != to_hex(*digest)) {
    return damaged("its digest is not that of its content");
  }
  // What is not as it should be was not checked.
  const auto checked = object.find("checked");
  if (checked == object.end() || !checked->is_object()) return kept;
  for (const auto& [name, stamp] : checked->items()) {
    const auto number = [&, &fields = stamp](const char* key) {
      const auto found = fields.is_object() ? fields.find(key) : fields.end();
      return fields.is_object() && found != fields.end() && found->is_number_integer()
                 ? found->template get<std::int64_t>()
                 : -1;
    };
    kept.checked[name] = {static_cast<std::uint64_t>(number("size")), number("mtime_ns"),
                          static_cast<std::uint64_t>(number("inode"))};
  }
  return kept;
}

absl::Status write_text(const std::string& path, const std::string& text) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return write_whole_file(path, {&bytes, 1});
}

}  // namespace

bool KeptManifest::is_checked(const std::string& file, const FileStamp& now) const {
  const auto found = checked.find(file);
  return found != checked.end() && found->second == now && manifest.find(file) != nullptr;
}

absl::StatusOr<std::optional<KeptManifest>> read_kept_manifest(const std::string& directory) {
  for (const std::string& path :
       {absl::StrCat(directory, "/", kManifestName), cache_path(directory)}) {
    if (path.empty()) continue;
    const absl::StatusOr<std::string> text = read_text_file(path, kMaxKeptBytes);
    if (absl::IsNotFound(text.status())) continue;
    if (!text.ok()) return text.status();
    absl::StatusOr<KeptManifest> kept = parse_kept(*text, path);
    if (!kept.ok()) return kept.status();
    return *std::move(kept);
  }
  return std::nullopt;
}

absl::StatusOr<std::string> keep_manifest(const std::string& directory, const KeptManifest& kept) {
  const absl::StatusOr<std::string> manifest = encode_manifest(kept.manifest);
  if (!manifest.ok()) return manifest.status();
  const absl::StatusOr<Sha256Digest> digest = sha256(*manifest);
  if (!digest.ok()) return digest.status();
  json checked = json::object();
  for (const auto& [name, stamp] : kept.checked) {
    checked[name] = {{"size", stamp.size}, {"mtime_ns", stamp.mtime_ns}, {"inode", stamp.inode}};
  }
  const std::string text =
      absl::StrCat("{\n\"digest\": \"", to_hex(*digest), "\",\n\"checked\": ", checked.dump(),
                   ",\n\"manifest\": ", *manifest, "\n}\n");
  const std::string beside = absl::StrCat(directory, "/", kManifestName);
  const absl::Status written = write_text(beside, text);
  if (written.ok()) return beside;
  const std::string cached = cache_path(directory);
  if (cached.empty()) return written;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(cached).parent_path(), ignored);
  if (!write_text(cached, text).ok()) return written;
  return cached;
}

}  // namespace shoal::model
