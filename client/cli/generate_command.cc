// SPDX-License-Identifier: Apache-2.0
// shoal generate
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/shown.h"
#include "cli/usage.h"
#include "client/chat/talk.h"
#include "client/cli/chat_options.h"
#include "client/cli/commands.h"
#include "client/cli/input.h"
#include "client/cli/report.h"
#include "client/constrain/constraint_shelf.h"
#include "client/constrain/limits.h"
#include "client/text/generate.h"
#include "model/json_fields.h"

namespace shoal::client {
namespace {

constexpr std::int64_t kDefaultMaxTokens = 128;
constexpr int kTopLogits = 5;
// A prompt on standard input: far more than any context holds.
constexpr std::size_t kMaxPromptBytes = 64u << 20;

absl::StatusOr<std::string> prompt_of(const GenerateFlags& flags,
                                      const base::StopToken& interrupt) {
  if (flags.prompt != "-") return flags.prompt;
  auto text = read_standard_input("the prompt", kMaxPromptBytes, interrupt);
  if (!text.ok()) return text;
  std::string prompt = without_last_line_end(*std::move(text));
  if (prompt.empty()) {
    return cli::usage_error(
        "the prompt on standard input is empty: pipe some text, or give the prompt as the last "
        "argument");
  }
  if (const auto bad = cli::not_utf8_at(prompt)) {
    return cli::usage_error(fmt::format(
        "the prompt on standard input is not UTF-8: byte {} is \\x{:02x}; convert it first",
        *bad + 1, static_cast<unsigned char>(prompt[*bad])));
  }
  return prompt;
}

// The model's max_length counts the prompt; it bounds our default, it does not raise it.
absl::StatusOr<std::int64_t> max_tokens_of(const GenerateFlags& flags,
                                           const model::GenerationConfig& config,
                                           std::size_t prompt_tokens) {
  if (flags.max_tokens) return *flags.max_tokens;
  if (config.max_new_tokens) return *config.max_new_tokens;
  if (!config.max_length) return kDefaultMaxTokens;
  const std::int64_t room = *config.max_length - static_cast<std::int64_t>(prompt_tokens);
  if (room > 0) return std::min(room, kDefaultMaxTokens);
  return cli::usage_error(fmt::format(
      "the prompt has {} tokens, but max_length of the model's generation_config.json is {}: give "
      "--max-tokens, or a shorter prompt",
      prompt_tokens, *config.max_length));
}

// Why the text ends where it does, when it is not the model that ended it; empty when there is
// nothing to say. Whoever set a limit knows it; at a terminal it is said all the same.
std::string why_it_stopped(const GenerateFlags& flags, const GenerateRequest& request,
                           const GenerateResult& result, std::int64_t context, bool on_terminal) {
  if (result.finish_reason != "length" || (flags.json && !on_terminal)) return "";
  if (static_cast<std::int64_t>(result.ids.size()) < request.max_tokens) {
    return fmt::format("stopped after {} tokens: the model's context of {} is full",
                       result.ids.size(), context);
  }
  if (flags.max_tokens) {
    return on_terminal ? fmt::format("stopped after {} tokens (--max-tokens)", result.ids.size())
                       : "";
  }
  return fmt::format(
      "stopped after {} tokens, the {}: give --max-tokens N for more", result.ids.size(),
      request.max_tokens == kDefaultMaxTokens ? "default"
                                              : "limit of the model's generation_config.json");
}

// The prompt's tokens: as a text, or as a message by the model's template.
absl::StatusOr<std::vector<std::int32_t>> ids_of(const GenerateFlags& flags,
                                                 const UserModel& user_model, std::string prompt) {
  if (!flags.chat) return user_model.tokenizer->encode(prompt);
  auto chat_template = open_template(flags.chat_template, user_model);
  if (!chat_template.ok()) return chat_template.status();
  Transcript transcript{flags.chat_template.system, {}};
  transcript.turns.push_back({std::move(prompt), std::nullopt});
  return chat_ids(*user_model.tokenizer, *chat_template, question(transcript, local_time_now()));
}

// What --json-schema or --regex asks for; null: any text.
absl::StatusOr<std::shared_ptr<constrain::TokenConstraint>> constraint_of(
    const GenerateFlags& flags, const model::Tokenizer& tokenizer) {
  constrain::Form form = constrain::RegexForm{flags.regex};
  if (!flags.json_schema.empty()) {
    const auto text = model::read_text_file(flags.json_schema, constrain::kMaxSchemaBytes);
    if (!text.ok()) return text.status();
    constexpr std::size_t kMaxValues = 1u << 17;
    auto schema = model::has_bounded_shape(*text, constrain::kMaxNesting * 2, kMaxValues)
                      ? nlohmann::ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false)
                      : nlohmann::ordered_json(nlohmann::ordered_json::value_t::discarded);
    if (schema.is_discarded()) {
      return absl::InvalidArgumentError(
          fmt::format("--json-schema: {} holds no JSON, or nests too deep", flags.json_schema));
    }
    form = constrain::JsonForm{std::move(schema)};
  } else if (flags.regex.empty()) {
    return std::shared_ptr<constrain::TokenConstraint>();
  }
  auto found = constrain::ConstraintShelf(tokenizer).find({form});
  if (found.ok()) return found;
  return cli::usage_error(fmt::format("{}: {}", flags.regex.empty() ? "--json-schema" : "--regex",
                                      std::string(found.status().message())));
}

}  // namespace

absl::Status run_generate(const GenerateFlags& flags, const base::StopToken& interrupt) {
  auto prompt = prompt_of(flags, interrupt);
  if (!prompt.ok()) return prompt.status();
  cli::ProgressLine line;
  auto model = open_model(flags.model, flags.swarm, flags.threads, interrupt, line);
  if (!model.ok()) return model.status();
  const UserModel& user_model = *model->user_model;
  const model::ModelConfig& config = user_model.config;
  const model::GenerationConfig& generation = user_model.generation;

  GenerateRequest request;
  auto ids = ids_of(flags, user_model, *std::move(prompt));
  if (!ids.ok()) return ids.status();
  request.prompt_ids = *std::move(ids);
  if (auto status = check_prompt_length(request.prompt_ids.size(), config.max_positions);
      !status.ok()) {
    return cli::as_usage_error(status);
  }
  auto max_tokens = max_tokens_of(flags, generation, request.prompt_ids.size());
  if (!max_tokens.ok()) return max_tokens.status();
  request.max_tokens = *max_tokens;
  request.sampling = sampling_of(flags, generation);
  if (auto status = validate(request.sampling); !status.ok()) return status;
  request.seed = flags.seed.value_or(base::random_seed());
  request.stops = flags.stops;
  request.stops.insert(request.stops.end(), generation.stop_strings.begin(),
                       generation.stop_strings.end());
  request.ignore_eos = flags.ignore_eos;
  auto constraint = constraint_of(flags, *user_model.tokenizer);
  if (!constraint.ok()) return constraint.status();
  request.constraint = *std::move(constraint);
  request.top_logits = flags.logits ? kTopLogits : 0;

  PipelineNeeds needs{.positions = positions_needed(request.prompt_ids.size(), request.max_tokens,
                                                    config.max_positions),
                      .full_timings = flags.trace,
                      .share_prefix = flags.share_prefix};
  if (!flags.no_prefix_reuse) needs.reusable_prompt = request.prompt_ids;
  auto opened = open_pipeline(flags.swarm, *model, std::move(needs), interrupt, line);
  if (!opened.ok()) return opened.status();
  std::unique_ptr<Pipeline>& pipeline = opened->pipeline;

  GenerateObserver observer;
  observer.wanted = [] { return std::ferror(stdout) == 0; };  // a full disk, a reader that left
  TraceSummary summary;
  const std::size_t prompt_tokens = request.prompt_ids.size();
  pipeline->on_rows([&](std::size_t done, std::size_t all) {
    if (all == 1) return;  // a token: the text shows that
    const bool rebuilds = static_cast<std::size_t>(pipeline->position()) > prompt_tokens;
    line.show(rebuilds ? "rebuilds" : "reads the prompt", done, all);
  });
  const bool shows_text = !flags.json && isatty(STDOUT_FILENO) == 1;
  if (!flags.json) {
    observer.on_text = [&line](const std::string& text) {
      line.before_text(text);
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    };
  }
  observer.on_step = [&](std::size_t token, const StepTiming& timing, double client_us) {
    if (flags.trace) {
      line.note(trace_line(token, timing, client_us));
      if (token > 0) summary.add(timing, client_us);
    } else if (!shows_text) {
      line.show("writes", token + 1, static_cast<std::size_t>(request.max_tokens));
    }
  };
  auto result = generate(*pipeline, user_model, request, interrupt, observer);
  line.clear();
  const RunFacts facts = facts_of(*pipeline, user_model);
  pipeline.reset();  // closes the session before anything waits for the reader of our output
  if (flags.json && result.ok()) {
    std::puts(generate_json(request, *result, facts).c_str());
  } else if (!flags.json && isatty(STDOUT_FILENO)) {
    std::puts("");
  }
  if (flags.trace && !summary.text().empty()) fmt::print(stderr, "{}\n", summary.text());
  if (flags.trace) fmt::print(stderr, "{}\n", facts_line(facts));
  if (!result.ok()) return result.status();
  if (const std::string why =
          why_it_stopped(flags, request, *result, config.max_positions, line.on_terminal());
      !why.empty()) {
    std::fflush(stdout);
    fmt::print(stderr, "shoal: {}\n", why);
  }
  return interrupt.status();
}

}  // namespace shoal::client
