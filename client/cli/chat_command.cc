// SPDX-License-Identifier: Apache-2.0
// shoal chat
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <span>
#include <utility>

#include "base/random.h"
#include "cli/shown.h"
#include "client/chat/chat_line.h"
#include "client/chat/chat_settings.h"
#include "client/chat/talk.h"
#include "client/chat/transcript.h"
#include "client/cli/chat_options.h"
#include "client/cli/commands.h"
#include "client/cli/interrupt.h"
#include "client/cli/line_reader.h"
#include "model/json_fields.h"
#include "model/whole_file.h"

namespace shoal::client {
namespace {

constexpr std::int64_t kDefaultAnswerTokens = 1024;
// Asking every hop for more room costs more than having it; here it costs what is used of it.
constexpr std::int64_t kRoomAhead = 2048, kAllOfTheContext = 1 << 30;

class ChatProgram {
 public:
  ChatProgram(const ChatFlags& flags, const base::StopToken& interrupt)
      : flags_(flags),
        interrupt_(interrupt),
        reader_(flags.no_history ? std::string() : history_file(),
                [this] { return guard_->interrupted() || interrupt_.stopped(); }) {}

  absl::Status run() {
    auto model = open_model(flags_.model, flags_.swarm, flags_.threads, interrupt_, line_);
    if (!model.ok()) return model.status();
    model_ = *std::move(model);
    user_model_ = model_.user_model.get();
    auto chat_template = open_template(flags_.chat_template, *user_model_);
    if (!chat_template.ok()) return chat_template.status();
    const model::GenerationConfig& generation = user_model_->generation;
    settings_.sampling = sampling_of(flags_, generation);
    if (auto valid = validate(settings_.sampling); !valid.ok()) return valid;
    settings_.max_tokens =
        flags_.max_tokens.value_or(generation.max_new_tokens.value_or(kDefaultAnswerTokens));
    settings_.seed = flags_.seed;
    transcript_.system = flags_.chat_template.system;
    if (!flags_.load.empty()) {
      if (auto loaded = load(flags_.load); !loaded.ok()) return loaded;
    }
    line_.dim_notes();
    auto source = PipelineSource::open(flags_.swarm, model_, interrupt_, line_);
    if (!source.ok()) return source.status();
    Talk talk(
        *user_model_, *chat_template, flags_.swarm.local ? kAllOfTheContext : kRoomAhead,
        [this, &source = **source](std::int64_t positions, const std::vector<std::int32_t>& ids) {
          return source.pipeline({.positions = positions,
                                  .reusable_prompt = ids,
                                  .for_this_run = true,
                                  .stop_waiting = &guard_->token()});
        });
    talk_ = &talk;
    if (reader_.on_terminal()) fmt::print("Talk to the model; /help shows what else there is.\n");
    return loop();
  }

 private:
  absl::Status loop() {
    guard_.emplace();
    std::string line, quoted;
    bool in_quote = false;
    while (!interrupt_.stopped()) {
      guard_->forget();
      std::fflush(stdout);
      switch (reader_.next(in_quote ? "... " : ">>> ", line)) {
        case LineReader::Read::kEnd:
          if (in_quote) return act({ChatLine::Kind::kSay, quoted, {}}).status();
          return absl::OkStatus();
        case LineReader::Read::kInterrupted:
          if (interrupt_.stopped()) return interrupt_.status();
          in_quote = false;
          fmt::print("\n(/quit or Ctrl-D ends the talk)\n");
          continue;
        case LineReader::Read::kTooLong:
          return absl::InvalidArgumentError("a line of the input is longer than any model reads");
        case LineReader::Read::kLine:
          break;
      }
      if (cli::not_utf8_at(line)) {
        say_wrong("what you typed is not UTF-8");
        continue;
      }
      ChatLine typed;
      if (in_quote) {
        in_quote = !closes_quote(line, quoted);
        typed = {in_quote ? ChatLine::Kind::kNothing : ChatLine::Kind::kSay, quoted, {}};
      } else {
        typed = read_chat_line(line);
        in_quote = typed.kind == ChatLine::Kind::kOpensQuote;
        quoted = typed.text;
      }
      if (typed.kind != ChatLine::Kind::kNothing) reader_.remember(line);
      const auto goes_on = act(typed);
      if (!goes_on.ok()) return goes_on.status();
      if (!*goes_on) return absl::OkStatus();
    }
    return interrupt_.status();
  }

  // False: the talk is over.
  absl::StatusOr<bool> act(const ChatLine& typed) {
    using Kind = ChatLine::Kind;
    switch (typed.kind) {
      case Kind::kNothing:
      case Kind::kOpensQuote:
        break;
      case Kind::kSay:
        transcript_.turns.push_back({typed.text, std::nullopt});
        return answer();
      case Kind::kRegenerate:
        if (transcript_.turns.empty()) {
          say_wrong("nothing was said yet");
          break;
        }
        return answer(std::exchange(transcript_.turns.back().answer, std::nullopt));
      case Kind::kHelp:
        fmt::print("{}", chat_help());
        break;
      case Kind::kReset:
        transcript_.turns.clear();
        break;
      case Kind::kSystem:
        transcript_ = {typed.text, {}};
        break;
      case Kind::kSave:
        tell(save(typed.text), "the talk is in " + typed.text);
        break;
      case Kind::kLoad:
        tell(load(typed.text), fmt::format("{} turns of {}", transcript_.turns.size(), typed.text));
        break;
      case Kind::kStats:
        fmt::print("{}", stats_.empty() ? "nothing was said yet\n" : stats_);
        break;
      case Kind::kShow:
        fmt::print("{}", settings_text(settings_));
        break;
      case Kind::kSet:
        tell(change(settings_, typed.text, typed.value), "");
        break;
      case Kind::kQuit:
        return false;
      case Kind::kWrong:
        say_wrong(typed.text);
        break;
    }
    return true;
  }

  // To the last turn; `before`: the answer that it had. What goes wrong with it does not end the
  // talk.
  absl::StatusOr<bool> answer(std::optional<std::string> before = std::nullopt) {
    const bool streams = isatty(STDOUT_FILENO) == 1;
    GenerateObserver observer;
    observer.wanted = [&] { return !guard_->interrupted() && std::ferror(stdout) == 0; };
    observer.on_text = [this](const std::string& text) {
      line_.before_text(text);
      std::fwrite(text.data(), 1, text.size(), stdout);
      std::fflush(stdout);
    };
    observer.on_step = [&](std::size_t token, const StepTiming&, double) {
      if (!streams) {
        line_.show("writes", token + 1, static_cast<std::size_t>(settings_.max_tokens));
      }
    };
    auto result = talk_->answer(transcript_, settings_, base::random_seed(), local_time_now(),
                                guard_->token(), observer);
    line_.clear();
    if (interrupt_.stopped()) return interrupt_.status();
    if (guard_->interrupted() && (!result.ok() || result->ids.empty())) {
      take_back(std::move(before));
      say_dim("stopped before an answer came: the talk is as it was before");
      return true;
    }
    if (!result.ok()) {
      // Said again, it may work.
      take_back(std::move(before));
      std::fflush(stdout);
      say_wrong(std::string(result.status().message()));
      // Whoever pipes a text in does not say it again.
      if (!reader_.on_terminal()) return result.status();
      return true;
    }
    if (result->text.empty() || result->text.back() != '\n') fmt::print("\n");
    transcript_.turns.back().answer = result->text;
    note(*result);
    if (result->finish_reason == "length") {
      say_dim(
          fmt::format("stopped after {} tokens (/set max-tokens N for more)", result->ids.size()));
    }
    return true;
  }

  // The last turn is as it was before it was to be answered.
  void take_back(std::optional<std::string> before) {
    if (before) {
      transcript_.turns.back().answer = std::move(before);
    } else {
      transcript_.turns.pop_back();
    }
  }

  void note(const GenerateResult& result) {
    double decode_ms = 0;
    for (const double ms : result.per_token_ms) decode_ms += ms;
    stats_ = fmt::format(
        "  {} tokens in {:.1f} s, the first after {:.2f} s{}\n"
        "  {} tokens in the talk, {} of them new\n",
        result.ids.size(), result.total_ms / 1e3, result.time_to_first_token_ms / 1e3,
        decode_ms > 0
            ? fmt::format(", then {:.1f} tokens/s",
                          static_cast<double>(result.per_token_ms.size()) * 1e3 / decode_ms)
            : "",
        talk_->prompt_tokens(), talk_->new_tokens());
    const RunFacts facts = facts_of(*talk_->pipeline(), *user_model_);
    stats_ += fmt::format("  {}{}\n", facts_line(facts),
                          facts.reroutes > 0 ? fmt::format(", {} new routes", facts.reroutes) : "");
  }

  absl::Status save(const std::string& path) const {
    const std::string text = transcript_text(transcript_, model_.name);
    const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
    return model::write_whole_file(path, {&bytes, 1});
  }

  absl::Status load(const std::string& path) {
    auto text = model::read_text_file(path, kMaxTranscriptBytes);
    if (!text.ok()) return text.status();
    auto transcript = parse_transcript(*text);
    if (!transcript.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("{}: {}", path, std::string(transcript.status().message())));
    }
    transcript_ = *std::move(transcript);
    return absl::OkStatus();
  }

  void tell(const absl::Status& status, const std::string& done) {
    if (!status.ok()) {
      say_wrong(std::string(status.message()));
    } else if (!done.empty()) {
      say_dim(done);
    }
  }
  void say_wrong(const std::string& sentence) {
    std::fflush(stdout);
    line_.note("shoal: " + cli::printable(sentence));
  }
  void say_dim(const std::string& sentence) {
    std::fflush(stdout);
    line_.note(cli::printable(sentence));
  }

  const ChatFlags& flags_;
  const base::StopToken& interrupt_;
  cli::ProgressLine line_;
  std::optional<InterruptGuard> guard_;  // once the talk begins
  LineReader reader_;
  OpenedModel model_;
  UserModel* user_model_ = nullptr;  // of it
  Talk* talk_ = nullptr;             // of run()
  ChatSettings settings_;
  Transcript transcript_;
  std::string stats_;  // of the last answer
};

}  // namespace

absl::Status run_chat(const ChatFlags& flags, const base::StopToken& interrupt) {
  return ChatProgram(flags, interrupt).run();
}

}  // namespace shoal::client
