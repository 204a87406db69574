// SPDX-License-Identifier: Apache-2.0
#include "client/cli/chat_options.h"

#include <fmt/format.h>

#include <array>
#include <map>
#include <string>

#include "model/json_fields.h"

namespace shoal::client {
namespace {

constexpr std::array kNamedTokens = {"bos_token", "eos_token", "unk_token", "sep_token",
                                     "pad_token", "cls_token", "mask_token"};

// As templates name them.
std::map<std::string, std::string> named_tokens(const model::Tokenizer& tokenizer) {
  std::map<std::string, std::string> tokens;
  for (const char* name : kNamedTokens) {
    const auto id = tokenizer.named_id(name);
    if (!id) continue;
    if (auto text = tokenizer.decode({&*id, 1}, /*skip_special_tokens=*/false); text.ok()) {
      tokens[name] = *std::move(text);
    }
  }
  return tokens;
}

}  // namespace

SamplingOptions sampling_of(const SamplingFlags& flags, const model::GenerationConfig& config) {
  SamplingOptions options = sampling_defaults(config);
  options.temperature = flags.temperature.value_or(options.temperature);
  options.top_k = flags.top_k.value_or(options.top_k);
  options.top_p = flags.top_p.value_or(options.top_p);
  options.min_p = flags.min_p.value_or(options.min_p);
  options.repetition_penalty = flags.repetition_penalty.value_or(options.repetition_penalty);
  const bool asked = flags.temperature || flags.top_k || flags.top_p || flags.min_p;
  options.greedy = flags.greedy || !(asked || config.do_sample);
  return options;
}

absl::StatusOr<model::chat::ChatTemplate> open_template(const TemplateFlags& flags,
                                                        const UserModel& user_model) {
  using model::chat::ChatTemplate;
  if (flags.file.empty()) {
    auto own = ChatTemplate::load(user_model.directory);
    if (!absl::IsNotFound(own.status())) return own;
    return absl::NotFoundError(std::string(own.status().message()) +
                               " with shoal generate, or give --chat-template FILE");
  }
  auto source = model::read_text_file(flags.file, model::chat::kMaxTemplateBytes);
  if (!source.ok()) return source.status();
  auto parsed = ChatTemplate::parse(*source, named_tokens(*user_model.tokenizer));
  if (parsed.ok()) return parsed;
  return absl::InvalidArgumentError(
      fmt::format("{}: {}", flags.file, std::string(parsed.status().message())));
}

std::tm local_time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return local;
}

}  // namespace shoal::client
