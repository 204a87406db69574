// SPDX-License-Identifier: Apache-2.0
#include "node/companion_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "model/json_fields.h"
#include "model/sha256.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

namespace fs = std::filesystem;

// Those of the list, and whatever lies in the folder of templates.
std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names = proto::companion_names();
  std::error_code error;
  const std::string folder(proto::kTemplateFolder);
  for (fs::directory_iterator at(fs::path(directory) / folder, error), end; !error && at != end;
       at.increment(error)) {
    std::string name = folder + "/" + at->path().filename().string();
    if (proto::max_companion_bytes(name) > 0) names.push_back(std::move(name));
    if (names.size() > proto::kMaxCompanionFiles) break;
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompanionFiles>> read_companion_files(
    const std::string& directory) {
  auto files = std::make_shared<CompanionFiles>();
  std::uint64_t all = 0;
  for (const std::string& name : names_in(directory)) {
    auto bytes = model::read_text_file(fmt::format("{}/{}", directory, name),
                                       proto::max_companion_bytes(name));
    if (absl::IsNotFound(bytes.status())) continue;
    if (!bytes.ok()) return bytes.status();
    const auto sha256 = model::sha256(*bytes);
    if (!sha256.ok()) return sha256.status();
    all += bytes->size();
    if (all > proto::kMaxCompanionsBytes || files->list.size() == proto::kMaxCompanionFiles) {
      return absl::InvalidArgumentError(fmt::format(
          "{} has more of configuration, tokenizer and templates than nodes give", directory));
    }
    files->list.push_back({name, bytes->size(), proto::Digest{*sha256}});
    files->bytes.push_back(*std::move(bytes));
  }
  if (!proto::has_what_clients_need(files->list)) {
    return absl::NotFoundError(fmt::format("{} has no tokenizer.json", directory));
  }
  return std::shared_ptr<const CompanionFiles>(std::move(files));
}

}  // namespace shoal::node
