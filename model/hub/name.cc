// SPDX-License-Identifier: Apache-2.0
#include "model/hub/name.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace shoal::model::hub {
namespace {

constexpr std::size_t kMaxRepoBytes = 96;
constexpr std::size_t kMaxRevisionBytes = 255;

bool is_part(std::string_view part) {
  if (part.empty() || part.front() == '-' || part.front() == '.' || part.back() == '-' ||
      part.back() == '.') {
    return false;
  }
  for (std::size_t i = 0; i < part.size(); ++i) {
    const auto c = static_cast<unsigned char>(part[i]);
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_' && c != '.') return false;
    // "--" stands for "/" in the cache.
    if (i > 0 && (c == '-' || c == '.') && part[i - 1] == part[i]) return false;
  }
  return true;
}

bool is_revision(std::string_view text) {
  if (text.empty() || text.size() > kMaxRevisionBytes || text.front() == '/' ||
      text.back() == '/' || text.front() == '-' || text.find("..") != std::string_view::npos ||
      text.find("//") != std::string_view::npos || text.find("/.") != std::string_view::npos ||
      text.front() == '.') {
    return false;
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!absl::ascii_isalnum(byte) && std::string_view("-_./+").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::string HubName::text() const {
  return revision == "main" ? repo : absl::StrCat(repo, "@", revision);
}

std::optional<HubName> parse_hub_name(std::string_view text) {
  HubName name;
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    name.revision = std::string(text.substr(at + 1));
    text = text.substr(0, at);
    if (!is_revision(name.revision)) return std::nullopt;
  }
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || text.size() > kMaxRepoBytes) return std::nullopt;
  const std::string_view repo = text.substr(slash + 1);
  if (!is_part(text.substr(0, slash)) || !is_part(repo) || repo.ends_with(".git")) {
    return std::nullopt;
  }
  name.repo = std::string(text);
  return name;
}

bool is_commit(std::string_view revision) {
  return revision.size() == 40 &&
         revision.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

absl::StatusOr<std::optional<HubName>> name_of_model(const std::string& text, bool is_there) {
  if (is_there) return std::nullopt;
  if (auto name = parse_hub_name(text)) return name;
  if (text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text == "." ||
      text == "..") {
    return std::nullopt;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--model ", absl::CHexEscape(text),
      ": there is no such folder, and it is no model's name: give the folder of a model, or "
      "ORG/NAME[@REVISION] as on huggingface.co"));
}

}  // namespace shoal::model::hub
