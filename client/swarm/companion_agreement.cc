// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/companion_agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace shoal::client {
namespace {

std::string said_of(const proto::CompanionList& list, const std::string& name) {
  const auto file = std::find_if(list.begin(), list.end(),
                                 [&](const proto::Companion& one) { return one.name == name; });
  if (file == list.end()) return "there is none";
  return fmt::format("{} ({} bytes)", proto::to_string(file->sha256), file->size);
}

// With as much of the hash as people compare.
std::string shown(const std::string& said) {
  const std::size_t space = said.find(" (");
  return space == std::string::npos ? said : said.substr(0, 12) + said.substr(space);
}

// "a, b and c"
std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

}  // namespace

absl::StatusOr<proto::CompanionList> agreed_list(const std::vector<ListedBy>& answers) {
  if (answers.empty()) return absl::NotFoundError("no node lists the model's files");
  std::set<std::string> names;
  for (const ListedBy& answer : answers) {
    for (const proto::Companion& file : answer.list) names.insert(file.name);
  }
  std::vector<std::string> differing;
  std::string who_says_what;
  for (const std::string& name : names) {
    std::map<std::string, std::vector<std::string>> nodes;  // by what they say
    for (const ListedBy& answer : answers) {
      nodes[said_of(answer.list, name)].push_back(answer.node);
    }
    if (nodes.size() == 1) continue;
    differing.push_back(name);
    if (differing.size() > 1) continue;
    for (const auto& [said, by] : nodes) {
      who_says_what += fmt::format("{}{} {} {}", who_says_what.empty() ? "" : ", ", joined(by),
                                   by.size() == 1 ? "says" : "say", shown(said));
    }
  }
  if (differing.empty()) return answers.front().list;
  return absl::FailedPreconditionError(fmt::format(
      "nodes disagree on {}{}: {}; --model ORG/NAME takes the hub's, or give --model a folder",
      differing.front(),
      differing.size() > 1 ? fmt::format(" (and {} more)", differing.size() - 1) : "",
      who_says_what));
}

}  // namespace shoal::client
