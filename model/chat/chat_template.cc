// SPDX-License-Identifier: Apache-2.0
#include "model/chat/chat_template.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/chat/conversation.h"
#include "model/json_fields.h"
#include "model/json_text.h"
#include "model/tokenizer/side_files.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMaxConfigBytes = 16u << 20;
constexpr std::size_t kMaxTemplates = 64;
constexpr const char* kUsual = "default";
constexpr const char* kStandardTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                           "pad_token", "cls_token", "mask_token"};

absl::Status with_path(const absl::Status& status, const std::string& path) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

using Sources = std::vector<std::pair<std::string, std::string>>;  // name, text

// chat_template.jinja and chat_templates/NAME.jinja; empty where there are none.
absl::StatusOr<Sources> jinja_files(const std::string& directory) {
  Sources sources;
  const auto read = [&](const std::string& path, const std::string& name) {
    absl::StatusOr<std::string> text = read_text_file(path, kMaxTemplateBytes);
    if (!text.ok()) return absl::IsNotFound(text.status()) ? absl::OkStatus() : text.status();
    sources.emplace_back(name, *std::move(text));
    return absl::OkStatus();
  };
  absl::Status status = read(directory + "/chat_template.jinja", kUsual);
  if (!status.ok()) return status;
  std::set<std::string> names;
  std::error_code ignored;
  const std::filesystem::directory_iterator files(directory + "/chat_templates", ignored);
  for (const auto& entry : files) {
    if (entry.path().extension() == ".jinja") names.insert(entry.path().stem().string());
    if (names.size() > kMaxTemplates) {
      return absl::InvalidArgumentError(
          absl::StrCat(directory, "/chat_templates has more than ", kMaxTemplates, " templates"));
    }
  }
  for (const std::string& name : names) {
    status = read(absl::StrCat(directory, "/chat_templates/", name, ".jinja"), name);
    if (!status.ok()) return status;
  }
  return sources;
}

// "chat_template" of a JSON file: a text, or a list of {"name", "template"}; or an object of names.
absl::StatusOr<Sources> json_file(const std::string& path) {
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) return Sources{};
  if (!text.ok()) return text.status();
  const absl::StatusOr<ordered_json> object = parse_ordered_object(*text, path);
  if (!object.ok()) return object.status();
  Sources sources;
  const auto found = object->find("chat_template");
  if (found == object->end() || found->is_null()) return sources;
  bool good = true;
  const auto add = [&](const ordered_json& name, const ordered_json& source) {
    good = good && name.is_string() && source.is_string() && sources.size() < kMaxTemplates;
    if (good) sources.emplace_back(name.get<std::string>(), source.get<std::string>());
  };
  if (found->is_string()) {
    add(kUsual, *found);
  } else if (found->is_object()) {
    for (const auto& [name, source] : found->items()) add(name, source);
  } else if (found->is_array()) {
    for (const ordered_json& entry : *found) {
      const bool named = entry.is_object() && entry.contains("name") && entry.contains("template");
      good = good && named;
      if (named) add(entry["name"], entry["template"]);
    }
  } else {
    good = false;
  }
  if (!good) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": chat_template must be a text, or a list of at most ", kMaxTemplates,
                     " objects with name and template"));
  }
  return sources;
}

}  // namespace

ChatTemplate::ChatTemplate(const std::map<std::string, std::string>& special_tokens)
    : special_tokens_(ordered_json::object()) {
  for (const auto& [name, token] : special_tokens) special_tokens_[name] = token;
}

absl::Status ChatTemplate::add(const std::string& name, std::string_view source) {
  absl::StatusOr<Template> parsed = Template::parse(source);
  if (!parsed.ok()) return parsed.status();
  templates_.insert_or_assign(name, *std::move(parsed));
  sources_.emplace_back(source);
  return absl::OkStatus();
}

absl::StatusOr<ChatTemplate> ChatTemplate::parse(
    std::string_view source, const std::map<std::string, std::string>& special_tokens) {
  ChatTemplate result(special_tokens);
  if (absl::Status status = result.add(kUsual, source); !status.ok()) return status;
  return result;
}

absl::StatusOr<ChatTemplate> ChatTemplate::load(const std::string& directory) {
  std::string path = directory + "/chat_template.jinja";
  absl::StatusOr<Sources> sources = jinja_files(directory);
  for (const char* name : {"/chat_template.json", "/tokenizer_config.json"}) {
    if (!sources.ok() || !sources->empty()) break;
    path = directory + name;
    sources = json_file(path);
  }
  if (!sources.ok()) return sources.status();
  if (sources->empty()) {
    return absl::NotFoundError(
        absl::StrCat(directory,
                     " has no chat template (chat_template.jinja, or chat_template in "
                     "tokenizer_config.json): is this a model for conversations? Without one, "
                     "complete plain text"));
  }
  const absl::StatusOr<SideFiles> side_files = read_side_files(directory, {{}, ""});
  if (!side_files.ok()) return side_files.status();
  std::map<std::string, std::string> tokens;
  for (const char* name : kStandardTokens) {
    const auto found = side_files->named.find(name);
    if (found != side_files->named.end()) tokens.insert(*found);
  }
  ChatTemplate result(tokens);
  for (const auto& [name, source] : *sources) {
    if (absl::Status status = result.add(name, source); !status.ok())
      return with_path(status, path);
  }
  return result;
}

std::vector<std::string> ChatTemplate::names() const {
  std::vector<std::string> names;
  for (const auto& entry : templates_) names.push_back(entry.first);
  return names;
}

bool ChatTemplate::mentions(std::string_view text) const {
  return std::ranges::any_of(
      sources_, [&](const std::string& source) { return source.find(text) != std::string::npos; });
}

absl::StatusOr<const Template*> ChatTemplate::chosen(const Conversation& conversation) const {
  const auto find = [&](const std::string& name) -> const Template* {
    const auto found = templates_.find(name);
    return found == templates_.end() ? nullptr : &found->second;
  };
  const Template* result = nullptr;
  if (!conversation.template_name.empty()) {
    result = find(conversation.template_name);
  } else {
    if (!conversation.tools.is_null()) result = find("tool_use");
    if (result == nullptr) result = find(kUsual);
  }
  if (result != nullptr) return result;
  const std::string wanted =
      conversation.template_name.empty() ? std::string(kUsual) : conversation.template_name;
  return absl::InvalidArgumentError(absl::StrCat("the model has no chat template named ",
                                                 in_quotes(wanted), ", only ",
                                                 absl::StrJoin(names(), ", ")));
}

absl::StatusOr<std::vector<Segment>> ChatTemplate::render(const Conversation& conversation,
                                                          const RenderLimits& limits) const {
  const absl::StatusOr<const Template*> chosen_template = chosen(conversation);
  if (!chosen_template.ok()) return chosen_template.status();
  absl::Status status = check_objects(conversation.tools, "tools");
  if (status.ok()) status = check_objects(conversation.documents, "documents");
  if (!conversation.extra.is_null() && !conversation.extra.is_object()) {
    status = absl::InvalidArgumentError("chat_template_kwargs must be an object");
  }
  ConversationSize size;
  for (const ordered_json* part : {&conversation.messages, &conversation.tools,
                                   &conversation.documents, &conversation.extra}) {
    if (status.ok()) status = size.add(*part);
  }
  if (!status.ok()) return status;
  const absl::StatusOr<ordered_json> messages = prepared_messages(conversation.messages);
  if (!messages.ok()) return messages.status();

  std::vector<Variable> variables;
  for (const auto& [name, token] : special_tokens_.items()) {
    variables.push_back({name, &token, /*trusted=*/true});
  }
  if (conversation.extra.is_object()) {  // they may replace a special token's name, as there
    for (const auto& [name, value] : conversation.extra.items()) {
      variables.push_back({name, &value, /*trusted=*/false});
    }
  }
  const ordered_json prompt = conversation.add_generation_prompt;
  variables.push_back({"messages", &*messages});
  variables.push_back({"tools", &conversation.tools});
  variables.push_back({"documents", &conversation.documents});
  variables.push_back({"add_generation_prompt", &prompt});
  return (*chosen_template)->render(variables, conversation.now, limits);
}

}  // namespace shoal::model::chat
