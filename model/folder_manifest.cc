// SPDX-License-Identifier: Apache-2.0
#include "model/folder_manifest.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/manifest_file.h"

namespace shoal::model {
namespace {

absl::StatusOr<NamedManifest> named(Manifest manifest) {
  NamedManifest result;
  absl::StatusOr<std::string> bytes = encode_manifest(manifest);
  if (!bytes.ok()) return bytes.status();
  const absl::StatusOr<Sha256Digest> digest = sha256(*bytes);
  if (!digest.ok()) return digest.status();
  result.manifest = std::move(manifest);
  result.bytes = *std::move(bytes);
  result.digest = *digest;
  return result;
}

// Reads only what neither the hub's cache nor an earlier reading has told.
absl::StatusOr<FileHashes> hash_held(const WeightFiles& files,
                                     const std::optional<KeptManifest>& kept,
                                     const FileWork& work) {
  FileHashes hashes;
  std::vector<const WeightFile*> unknown;
  std::vector<std::string> paths;
  for (const WeightFile& file : files.files) {
    if (!file.held) continue;
    if (file.part) {
      // What the sender of the parts says; the parts themselves prove nothing.
      if (const auto said = sha256_from_hex(file.part->etag)) hashes[file.name] = *said;
    } else if (const auto told = hub_cache_hash(files.path(file))) {
      hashes[file.name] = *told;
    } else if (kept && kept->is_checked(file.name, file.stamp)) {
      hashes[file.name] = kept->manifest.find(file.name)->sha256;
    } else {
      unknown.push_back(&file);
      paths.push_back(files.path(file));
    }
  }
  if (unknown.empty()) return hashes;
  const absl::StatusOr<std::vector<HashedFile>> hashed = hash_files(paths, work);
  if (!hashed.ok()) return hashed.status();
  for (std::size_t i = 0; i < unknown.size(); ++i) {
    if ((*hashed)[i].stamp != unknown[i]->stamp) {
      return absl::FailedPreconditionError(
          absl::StrCat(paths[i], " was changed while it was read: start again"));
    }
    hashes[unknown[i]->name] = (*hashed)[i].sha256;
  }
  return hashes;
}

std::map<std::string, FileStamp> stamps_of(const WeightFiles& files) {
  std::map<std::string, FileStamp> stamps;
  for (const WeightFile& file : files.files) {
    if (file.is_whole()) stamps[file.name] = file.stamp;
  }
  return stamps;
}

// Why these files are not parts of that model, without reading them: "FILE has 5 bytes, where ...";
// empty: they may be.
std::string misfit(const ModelConfig& config, const WeightFiles& files, const Manifest& manifest) {
  const std::string differs = difference(configuration_of(config), manifest.configuration);
  if (!differs.empty()) return absl::StrCat("config.json: ", differs);
  for (const WeightFile& file : files.files) {
    if (!file.held) continue;
    const ManifestFile* const meant = manifest.find(file.name);
    if (meant == nullptr) return absl::StrCat(file.name, " is none of its files");
    if (meant->size != file.stamp.size) {
      return absl::StrCat(file.name, " has ", file.stamp.size, " bytes here and ", meant->size,
                          " there");
    }
    if (meant->tensors != file.tensors) {
      return absl::StrCat(file.name, " has other tensors here than there");
    }
  }
  return "";
}

std::string misfit(const FileHashes& hashes, const Manifest& manifest) {
  for (const auto& [name, hash] : hashes) {
    if (manifest.find(name)->sha256 != hash) {
      return absl::StrCat(name, " has other bytes here than there (SHA-256 ",
                          to_hex(hash).substr(0, 8), " and ",
                          to_hex(manifest.find(name)->sha256).substr(0, 8), ")");
    }
  }
  return "";
}

void keep(const WeightFiles& files, const std::optional<KeptManifest>& before,
          NamedManifest& result) {
  KeptManifest kept{result.manifest, stamps_of(files), ""};
  if (before && before->manifest == kept.manifest && before->checked == kept.checked) return;
  const absl::StatusOr<std::string> where = keep_manifest(files.directory, kept);
  if (where.ok()) return;
  result.warnings.push_back(
      absl::StrCat("the manifest is made anew at each start, since it can be kept nowhere: ",
                   where.status().message()));
}

}  // namespace

absl::StatusOr<std::optional<NamedManifest>> folder_manifest(const ModelConfig& config,
                                                             const WeightFiles& files,
                                                             const FileWork& work) {
  const bool whole = files.is_whole();
  const absl::StatusOr<std::optional<KeptManifest>> read = read_kept_manifest(files.directory);
  if (!read.ok() && !whole) return read.status();
  const std::optional<KeptManifest> kept = read.ok() ? *read : std::nullopt;
  if (!whole && !kept) return std::nullopt;
  const auto refuse = [&](const std::string& why) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the files of ", files.directory, " are not parts of the model of ", kept->path, ": ", why,
        "; fetch them again, or remove ", kept->path, " if it is of another model"));
  };
  if (!whole) {
    const std::string why = misfit(config, files, kept->manifest);
    if (!why.empty()) return refuse(why);
  }
  const absl::StatusOr<FileHashes> hashes = hash_held(files, kept, work);
  if (!hashes.ok()) return hashes.status();
  Manifest manifest;
  if (whole) {
    manifest.configuration = configuration_of(config);
    for (const WeightFile& file : files.files) {
      manifest.files.push_back({file.name, file.stamp.size, hashes->at(file.name), file.tensors});
    }
  } else {
    const std::string why = misfit(*hashes, kept->manifest);
    if (!why.empty()) return refuse(why);
    manifest = kept->manifest;
  }
  absl::StatusOr<NamedManifest> result = named(std::move(manifest));
  if (!result.ok()) return result.status();
  if (!read.ok()) {
    result->warnings.push_back(absl::StrCat(read.status().message(), " (made anew)"));
  }
  keep(files, kept, *result);
  return *std::move(result);
}

absl::StatusOr<NamedManifest> adopt_manifest(const ModelConfig& config, const WeightFiles& files,
                                             std::string_view bytes, const Sha256Digest& digest,
                                             FileHashes& hashes, const FileWork& work) {
  const absl::StatusOr<Sha256Digest> found = sha256(bytes);
  if (!found.ok()) return found.status();
  if (*found != digest) {
    return absl::FailedPreconditionError("what was sent is not the manifest of that digest");
  }
  absl::StatusOr<Manifest> manifest = parse_manifest(bytes, "the manifest");
  if (!manifest.ok()) return manifest.status();
  std::string why = misfit(config, files, *manifest);
  if (!why.empty()) return absl::FailedPreconditionError(why);
  if (hashes.empty()) {
    absl::StatusOr<FileHashes> read = hash_held(files, std::nullopt, work);
    if (!read.ok()) return read.status();
    hashes = *std::move(read);
  }
  why = misfit(hashes, *manifest);
  if (!why.empty()) return absl::FailedPreconditionError(why);
  absl::StatusOr<NamedManifest> result = named(*std::move(manifest));
  if (!result.ok()) return result.status();
  keep(files, std::nullopt, *result);
  return result;
}

void learn(WeightFiles& files, const Manifest& manifest) {
  for (WeightFile& file : files.files) {
    const ManifestFile* const meant = manifest.find(file.name);
    if (!file.held && meant != nullptr) file.tensors = meant->tensors;
  }
}

std::optional<Sha256Digest> hub_cache_hash(const std::string& path) {
  std::error_code error;
  const std::filesystem::path target = std::filesystem::read_symlink(path, error);
  if (error || target.parent_path().filename() != "blobs") return std::nullopt;
  return sha256_from_hex(target.filename().string());
}

}  // namespace shoal::model
