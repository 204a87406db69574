// SPDX-License-Identifier: Apache-2.0
#include "proto/companion.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "proto/limits.h"
#include "proto/version.h"

namespace shoal::proto {
namespace {

constexpr std::string_view kTemplateEnd = ".jinja";

// Names of files come from outside: letters that no folder and no terminal reads otherwise.
bool is_template_name(std::string_view name) {
  const std::string folder = absl::StrCat(std::string(kTemplateFolder), "/");
  if (!name.starts_with(folder) || !name.ends_with(kTemplateEnd)) return false;
  name.remove_prefix(folder.size());
  if (name.size() <= kTemplateEnd.size() || name.size() > kMaxNameBytes) return false;
  name.remove_suffix(kTemplateEnd.size());
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  });
}

absl::Status bad_list(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("lists the model's files wrongly: ", why));
}

}  // namespace

const std::vector<std::string>& companion_names() {
  static const std::vector<std::string> names = {
      "added_tokens.json", "chat_template.jinja",    "chat_template.json",
      "config.json",       "generation_config.json", "special_tokens_map.json",
      "tokenizer.json",    "tokenizer_config.json"};
  return names;
}

std::uint64_t max_companion_bytes(std::string_view name) {
  if (name == "chat_template.jinja" || is_template_name(name)) return kMaxChatTemplateBytes;
  if (name == "tokenizer.json") return kMaxTokenizerBytes;
  if (name == "generation_config.json") return kMaxGenerationConfigBytes;
  const auto& names = companion_names();
  return std::find(names.begin(), names.end(), name) != names.end() ? kMaxCompanionBytes : 0;
}

bool has_what_clients_need(const CompanionList& list) {
  const auto has = [&](std::string_view name) {
    return std::any_of(list.begin(), list.end(),
                       [&](const Companion& file) { return file.name == name; });
  };
  return has("config.json") && has("tokenizer.json");
}

absl::StatusOr<CompanionList> from_wire(const wire::CompanionsReply& in) {
  if (in.files_size() > static_cast<int>(kMaxCompanionFiles)) {
    return bad_list(
        absl::StrCat(in.files_size(), " files, at most ", kMaxCompanionFiles, " are taken"));
  }
  CompanionList list;
  std::uint64_t bytes = 0;
  for (const wire::CompanionFile& file : in.files()) {
    const std::uint64_t most = max_companion_bytes(file.name());
    if (most == 0) continue;
    const auto sha256 = Digest::from_bytes(file.sha256());
    if (!sha256) return bad_list(absl::StrCat("the hash of ", file.name(), " has not 32 bytes"));
    if (file.size() > most) {
      return bad_list(
          absl::StrCat(file.name(), " has ", file.size(), " bytes, at most ", most, " are taken"));
    }
    bytes += file.size();
    list.push_back({file.name(), file.size(), *sha256});
  }
  if (bytes > kMaxCompanionsBytes) {
    return bad_list(absl::StrCat(bytes, " bytes, at most ", kMaxCompanionsBytes, " are taken"));
  }
  std::sort(list.begin(), list.end(),
            [](const Companion& a, const Companion& b) { return a.name < b.name; });
  for (std::size_t i = 1; i < list.size(); ++i) {
    if (list[i].name == list[i - 1].name)
      return bad_list(absl::StrCat(list[i].name, " is there twice"));
  }
  if (!has_what_clients_need(list)) return bad_list("config.json or tokenizer.json is missing");
  return list;
}

wire::CompanionsReply to_wire(const CompanionList& list) {
  wire::CompanionsReply out;
  *out.mutable_version() = our_version();
  for (const Companion& file : list) {
    wire::CompanionFile& listed = *out.add_files();
    listed.set_name(file.name);
    listed.set_size(file.size);
    listed.set_sha256(file.sha256.to_bytes());
  }
  return out;
}

}  // namespace shoal::proto
