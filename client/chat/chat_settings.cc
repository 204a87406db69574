// SPDX-License-Identifier: Apache-2.0
#include "client/chat/chat_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "cli/shown.h"

namespace shoal::client {
namespace {

constexpr std::int64_t kMostTokens = 1'000'000;

// All of the text; nullopt if it is no such number.
template <class T>
std::optional<T> number(const std::string& text) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

absl::Status no_number(const std::string& name, const std::string& value) {
  return absl::InvalidArgumentError(
      fmt::format("{} cannot be {}: give a number", name, cli::shown(value)));
}

template <class T>
absl::Status take(const std::string& name, const std::string& value, T& where) {
  const auto read = number<T>(value);
  if (!read) return no_number(name, value);
  where = *read;
  return absl::OkStatus();
}

absl::Status take(ChatSettings& settings, const std::string& name, const std::string& value) {
  SamplingOptions& sampling = settings.sampling;
  if (name == "max-tokens") {
    auto taken = take(name, value, settings.max_tokens);
    if (taken.ok() && (settings.max_tokens < 1 || settings.max_tokens > kMostTokens)) {
      return absl::InvalidArgumentError(fmt::format("max-tokens must be 1 to {}", kMostTokens));
    }
    return taken;
  }
  if (name == "seed") {
    settings.seed.emplace();
    return take(name, value, *settings.seed);
  }
  // Whoever asks for randomness wants it from a greedy model too.
  sampling.greedy = false;
  if (name == "temperature") {
    auto taken = take(name, value, sampling.temperature);
    sampling.greedy = sampling.temperature == 0;
    return taken;
  }
  if (name == "top-k") return take(name, value, sampling.top_k);
  if (name == "top-p") return take(name, value, sampling.top_p);
  if (name == "min-p") return take(name, value, sampling.min_p);
  if (name == "repetition-penalty") return take(name, value, sampling.repetition_penalty);
  return absl::InvalidArgumentError(
      fmt::format("there is no setting {}: there are temperature, top-k, top-p, min-p, "
                  "repetition-penalty, max-tokens and seed",
                  cli::shown(name)));
}

}  // namespace

absl::Status change(ChatSettings& settings, const std::string& name, const std::string& value) {
  ChatSettings changed = settings;
  std::string plain = name;
  std::replace(plain.begin(), plain.end(), '_', '-');  // as the model's files spell them
  if (auto status = take(changed, plain, value); !status.ok()) return status;
  if (auto status = validate(changed.sampling); !status.ok()) return status;
  settings = std::move(changed);
  return absl::OkStatus();
}

std::string settings_text(const ChatSettings& settings) {
  const SamplingOptions& sampling = settings.sampling;
  return fmt::format(
      "  temperature         {}\n  top-k               {}\n  top-p               {}\n"
      "  min-p               {}\n  repetition-penalty  {}\n  max-tokens          {}\n"
      "  seed                {}\n",
      sampling.greedy ? 0.0 : sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p,
      sampling.repetition_penalty, settings.max_tokens,
      settings.seed ? std::to_string(*settings.seed) : "another for each answer");
}

}  // namespace shoal::client
