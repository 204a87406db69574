// SPDX-License-Identifier: Apache-2.0
#include "client/ring/swarm_pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "client/swarm/block_kinds.h"
#include "client/text/own_scores.h"
#include "net/channel_pool.h"
#include "proto/limits.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;

// A session waits so long for direct ways to hops that relays reach: they last for all of it, and
// come up within four round trips.
constexpr milliseconds kDirectTime{2'000};

std::string text(const absl::Status& status) { return std::string(status.message()); }

double in_seconds(milliseconds time) { return static_cast<double>(time.count()) / 1e3; }

std::string describe(const Route& route) {
  std::string result;
  for (const Hop& hop : route) {
    result += fmt::format("{}{} [{})", result.empty() ? "" : ", ", proto::short_name(hop.peer),
                          proto::to_string(hop.span));
  }
  return result;
}

std::uint32_t rows_of_every_hop(const Route& route, const std::vector<Candidate>& candidates) {
  std::uint32_t rows = proto::kMaxRowsPerStep;
  for (const Candidate& candidate : candidates) {
    const bool is_hop =
        std::ranges::any_of(route, [&](const Hop& hop) { return hop.peer == candidate.peer; });
    if (is_hop) rows = std::min(rows, candidate.max_rows);
  }
  return rows;
}

}  // namespace

SwarmPipeline::SwarmPipeline(const UserModel& user_model, SwarmConnection& swarm,
                             SwarmPipelineOptions options, const base::StopToken& interrupt)
    : user_model_(user_model),
      swarm_(swarm),
      options_(std::move(options)),
      remote_ends_(options_.remote_ends || !user_model.has_ends()),
      interrupt_(interrupt),
      stop_waiting_(options_.stop_waiting != nullptr ? *options_.stop_waiting : interrupt),
      scout_({user_model.digest, user_model.block_count(),
              static_cast<std::uint32_t>(user_model.hidden()), user_model.directory, remote_ends_},
             swarm),
      memory_(swarm.peers()),
      patience_(options_.wait) {}

absl::StatusOr<std::unique_ptr<SwarmPipeline>> SwarmPipeline::create(
    const UserModel& user_model, SwarmConnection& swarm, SwarmPipelineOptions options,
    const base::StopToken& interrupt) {
  std::unique_ptr<SwarmPipeline> pipeline(
      new SwarmPipeline(user_model, swarm, std::move(options), interrupt));
  pipeline->lost_at_ = Clock::now();
  if (auto status = pipeline->connect_patiently(); !status.ok()) return status;
  if (pipeline->told_waiting_) {
    pipeline->tell(fmt::format("goes on through {}", describe(pipeline->plan_.route)));
  }
  if (const BlockKinds kinds = pipeline->kinds(); is_mixed(kinds)) {
    pipeline->tell(fmt::format("the route is mixed: {}", describe_kinds(kinds)));
  }
  return pipeline;
}

// What others have just seen will do for a session that begins.
absl::StatusOr<Sighting> SwarmPipeline::look(bool first) {
  if (first && !opened_ && options_.sighting != nullptr) {
    return options_.sighting->get(stop_waiting_);
  }
  return scout_.look(memory_.avoided(Clock::now()), computed_, stop_waiting_);
}

absl::Status SwarmPipeline::connect_patiently() {
  for (bool first = true;; first = false) {
    absl::StatusOr<Plan> chosen = absl::UnknownError("");
    if (other_) {
      chosen = *std::exchange(other_, std::nullopt);
    } else {
      const auto sighting = look(first);
      chosen = sighting.ok() ? plan(*sighting) : sighting.status();
      if (!sighting.ok()) drop_channels();
    }
    if (stop_waiting_.stopped()) return stop_waiting_.status();
    // Others may come while it is not tried.
    const bool aside = chosen.ok() && repeated_.is_put_aside(chosen->route, Clock::now());
    if (chosen.ok() && !aside) {
      absl::Status status = open(*std::move(chosen));
      if (status.ok()) return status;
      if (stop_waiting_.stopped()) {
        session_.reset();
        return stop_waiting_.status();
      }
      if (auto last_word = give_up_opening(status); !last_word.ok()) return last_word;
      continue;
    }
    if (!aside && is_permanent(chosen.status())) return chosen.status();
    const absl::Status why = aside ? repeated_.why() : chosen.status();
    if (auto last_word = give_way(why, milliseconds(0)); !last_word.ok()) return last_word;
  }
}

absl::StatusOr<SwarmPipeline::Plan> SwarmPipeline::plan(const Sighting& sighting,
                                                        const PaceTrouble* trouble) const {
  const std::uint32_t blocks = user_model_.block_count();
  if (const auto missing = sighting.view.missing(); !missing.empty()) {
    return absl::UnavailableError(fmt::format(
        "no node serves {} of the model's {} blocks (digest {}): start one with shoal-node run "
        "--model DIR --blocks {} --join HOST:PORT",
        describe_blocks(missing), blocks, proto::short_name(user_model_.digest),
        proto::to_string(missing.front())));
  }
  auto chosen = replan(sighting.answers.candidates, trouble);
  if (chosen.ok()) return chosen;
  std::string lost;
  bool hopeless = !sighting.answers.lost.empty();
  for (const auto& [peer, why] : sighting.answers.lost) {
    lost += "; " + text(why);
    hopeless = hopeless && is_final(why.code());
  }
  const bool away = chosen.status().code() == absl::StatusCode::kUnavailable;
  return absl::Status(
      hopeless && away ? absl::StatusCode::kFailedPrecondition : chosen.status().code(),
      text(chosen.status()) + lost);
}

absl::StatusOr<SwarmPipeline::Plan> SwarmPipeline::replan(std::vector<Candidate> candidates,
                                                          const PaceTrouble* trouble) const {
  const auto now = Clock::now();
  Plan result;
  result.candidates = candidates;
  RouteRequest request;
  request.block_count = user_model_.block_count();
  request.positions = options_.positions;
  request.kinds = computed_;
  request.remote_ends = remote_ends_;
  request.head = computed_head_;
  memory_.judge(candidates, request, now);
  if (trouble != nullptr) {
    const Hop& bad = plan_.route[trouble->hop];
    if (trouble->kind == PaceTrouble::Kind::kCut) {
      const Route pair{plan_.route[trouble->hop - 1], bad};
      request.cuts_us[{pair[0].peer, pair[1].peer}] = 1e9;
    } else if (trouble->kind == PaceTrouble::Kind::kStuck) {
      request.excluded.insert(bad.peer);
    }
    for (Candidate& candidate : candidates) {
      if (candidate.peer != bad.peer) continue;
      candidate.load.block_step_us =
          std::max(candidate.load.block_step_us, block_us(trouble->hop, trouble->waited_us));
    }
    // What we lease ourselves would be free for us.
    for (Candidate& candidate : candidates) {
      for (const Hop& hop : plan_.route) {
        if (candidate.peer == hop.peer) {
          candidate.load.free_kv_positions =
              std::max(candidate.load.free_kv_positions, options_.positions);
        }
      }
    }
  }
  auto route = find_route(request, candidates);
  if (!route.ok()) return route.status();
  result.clean = memory_.is_clean(*route, now);
  for (std::size_t hop = 1; hop < route->size(); ++hop) {
    result.clean =
        result.clean && !request.cuts_us.contains({(*route)[hop - 1].peer, (*route)[hop].peer});
  }
  result.stages = stage_costs(*route, candidates);
  result.max_rows = rows_of_every_hop(*route, candidates);
  result.kinds_us = other_kinds_us(*route, request.kinds, request.head);
  result.route = *std::move(route);
  return result;
}

double SwarmPipeline::Plan::step_us() const {
  double sum = 0;
  for (const StageCost& stage : stages) sum += stage.us;
  return sum;
}

absl::Status SwarmPipeline::open(Plan chosen) {
  RingOptions options;
  options.model = user_model_.digest;
  options.hidden = static_cast<std::uint32_t>(user_model_.hidden());
  options.vocabulary = static_cast<std::uint32_t>(user_model_.vocabulary());
  options.positions = options_.positions;
  options.epoch = ++epoch_;
  options.full_timings = options_.full_timings;
  // Whoever was lost before is not believed unheard.
  if (options.epoch == 1) options.early_rows = chosen.max_rows;
  for (const StageCost& stage : chosen.stages) options.promised_us.push_back(stage.us);
  options.leave = [this](const PaceTrouble& trouble) { return should_leave(trouble); };
  plan_ = std::move(chosen);
  session_position_ = 0;
  kept_pages_ = 0;
  // One row at least is computed.
  const std::vector<std::int32_t>& ids = ids_.empty() ? options_.prompt : ids_;
  if (options_.prefix_salt && !ids.empty()) options.prefix = hashes(ids, 0, ids.size() - 1);
  look_pause_ = milliseconds(0);
  next_look_ = {};
  std::vector<proto::PeerId> peers;
  for (const Hop& hop : plan_.route) peers.push_back(hop.peer);
  swarm_.channels().await_direct(peers, Clock::now() + kDirectTime, stop_waiting_);
  session_ = std::make_unique<RingSession>(plan_.route, options, swarm_.channels(), swarm_.io(),
                                           interrupt_);
  auto status = session_->open();
  opened_ = opened_ || session_->is_open();
  if (status.ok() && options_.sighting != nullptr) {
    options_.sighting->add_load(plan_.route, options_.positions);
  }
  if (status.ok()) session_position_ = session_->kept_positions();
  return status;
}

std::vector<std::string> SwarmPipeline::hashes(std::span<const std::int32_t> ids,
                                               std::size_t first_page, std::size_t end) const {
  constexpr std::size_t kSize = proto::PageHash::kSize;
  const std::size_t most = std::min<std::size_t>(
      proto::kMaxPrefixPages * proto::kPrefixPagePositions, options_.positions);
  const BlockKinds kinds = this->kinds();
  std::vector<std::string> result;
  for (const Hop& hop : plan_.route) {
    const PrefixSeed seed = prefix_seed(*options_.prefix_salt, user_model_.digest, hop.span,
                                        std::span(kinds).first(hop.span.begin));
    result.push_back(
        page_hashes(seed, ids.first(std::min({end, most, ids.size()}))).substr(first_page * kSize));
  }
  return result;
}

void SwarmPipeline::keep_pages() {
  if (!options_.prefix_salt || session_ == nullptr || !session_->failure().status.ok() ||
      !session_->names_numerics()) {
    return;
  }
  const std::size_t pages = std::min<std::size_t>(session_position_ / proto::kPrefixPagePositions,
                                                  proto::kMaxPrefixPages);
  if (pages <= kept_pages_) return;
  session_->keep(static_cast<std::uint32_t>(kept_pages_),
                 hashes(ids_, kept_pages_, session_position_));
  kept_pages_ = pages;
}

SwarmPipeline::~SwarmPipeline() { keep_pages(); }

absl::StatusOr<std::vector<float>> SwarmPipeline::append(std::span<const std::int32_t> ids,
                                                         RowsWanted rows) {
  if (remote_ends_ && rows != RowsWanted::kNone) {
    return absl::FailedPreconditionError(
        "the nodes that compute the model's ends keep its rows: give --ends local");
  }
  auto outcome = advance(ids, rows, {});
  if (!outcome.ok()) return outcome.status();
  return std::move(outcome->rows);
}

absl::Status SwarmPipeline::next_scores(std::span<const std::int32_t> ids,
                                        const proto::ScoresWanted& wanted, Scores& scores) {
  if (!remote_ends_) return own_next_scores(*this, user_model_, ids, scores);
  const auto outcome = advance(ids, RowsWanted::kLast, wanted);
  if (!outcome.ok()) return outcome.status();
  take_told(outcome->scores.front(), wanted.also, user_model_.vocabulary(), scores);
  return absl::OkStatus();
}

absl::Status SwarmPipeline::each_scores(std::span<const std::int32_t> ids,
                                        const proto::ScoresWanted& wanted, const ScoreSink& sink) {
  if (!remote_ends_) return own_each_scores(*this, user_model_, ids, sink);
  CHECK(wanted.also.size() % ids.size() == 0);
  const auto outcome = advance(ids, RowsWanted::kAll, wanted);
  if (!outcome.ok()) return outcome.status();
  const std::size_t also = wanted.also.size() / ids.size();
  Scores scores;
  for (std::size_t row = 0; row < ids.size(); ++row) {
    take_told(outcome->scores[row], std::span(wanted.also).subspan(row * also, also),
              user_model_.vocabulary(), scores);
    if (auto status = sink(row, scores); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::optional<proto::WeightFormat> SwarmPipeline::remote_head() const {
  if (!remote_ends_) return std::nullopt;
  return plan_.route.back().ends.head;
}

absl::StatusOr<SwarmPipeline::Outcome> SwarmPipeline::advance(std::span<const std::int32_t> ids,
                                                              RowsWanted rows,
                                                              const proto::ScoresWanted& wanted) {
  for (const std::int32_t id : ids) {
    if (id >= 0 && static_cast<std::size_t>(id) < user_model_.vocabulary()) continue;
    return absl::InvalidArgumentError(
        fmt::format("token id {} is outside of the model's vocabulary of {}: its tokenizer files "
                    "name tokens that its weights do not have",
                    id, user_model_.vocabulary()));
  }
  CHECK(!ids.empty() && ids_.size() + ids.size() <= options_.positions);
  const std::size_t begin = ids_.size();
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  if (begin < session_position_) {  // what its hops have kept, if it is that
    const auto differs = std::ranges::mismatch(ids_, options_.prompt).in1;
    session_position_ =
        std::min(session_position_, static_cast<std::size_t>(differs - ids_.begin()));
  }
  if (session_ == nullptr) {  // the last wait was stopped: this is another
    patience_.worked();
    told_waiting_ = false;
    lost_at_ = Clock::now();
    if (auto status = connect_patiently(); !status.ok()) return status;
    ++reroutes_;
    if (told_waiting_) tell(fmt::format("goes on through {}", describe(plan_.route)));
  }
  for (;;) {
    absl::StatusOr<Outcome> result = Outcome();
    // The last row is computed in any case, and all that are wanted.
    session_position_ =
        std::min(session_position_, rows == RowsWanted::kAll ? begin : ids_.size() - 1);
    const auto reused = static_cast<std::int64_t>(session_position_);
    const bool is_new = noted_epoch_ != epoch_;
    if (is_new) kept_pages_ = session_position_ / proto::kPrefixPagePositions;
    if (session_position_ < begin) {  // a new session: what came before, whose rows we had long ago
      result = run(session_position_, begin, RowsWanted::kNone, {});
    }
    if (result.ok()) result = run(std::max(begin, session_position_), ids_.size(), rows, wanted);
    if (result.ok()) {
      opened_ = true;
      if (std::exchange(untold_move_, false)) tell_move(begin, patience_.waited(Clock::now()));
      repeated_.worked();
      patience_.worked();
      told_waiting_ = false;
      note_speed();
      note_kinds();
      if (is_new) {
        reused_positions_ += reused;
        keep_pages();
      }
      return result;
    }
    if (interrupt_.stopped()) return interrupt_.status();
    if (session_->failure().status.ok()) return result.status();  // ours, not the swarm's
    if (!session_->is_open()) {
      if (auto last_word = give_up_opening(result.status()); !last_word.ok()) return last_word;
      if (auto status = connect_patiently(); !status.ok()) return status;
      continue;
    }
    const milliseconds asked = session_->failure().retry_after;
    const bool leaving = leaving_;
    lose(result.status());
    if (!leaving) {
      if (auto last_word = give_way(result.status(), asked); !last_word.ok()) return last_word;
    }
    if (auto status = connect_patiently(); !status.ok()) return status;
    ++reroutes_;
    untold_move_ = repeated_.times() > 1;  // it may be lost like those before
    if (!untold_move_) {
      tell_move(begin, std::chrono::duration_cast<milliseconds>(Clock::now() - lost_at_));
    }
  }
}

absl::StatusOr<SwarmPipeline::Outcome> SwarmPipeline::run(std::size_t from, std::size_t to,
                                                          RowsWanted rows,
                                                          const proto::ScoresWanted& wanted) {
  const auto ids = std::span<const std::int32_t>(ids_).subspan(from, to - from);
  absl::StatusOr<std::vector<float>> embedded = std::vector<float>();
  if (!remote_ends_) embedded = user_model_.embed(ids);
  if (!embedded.ok()) return embedded.status();
  const auto begun = Clock::now();
  std::function<void(std::size_t)> on_rows;
  if (on_rows_) {
    on_rows = [&, all = ids_.size() - session_position_, before = from - session_position_](
                  std::size_t done) { on_rows_(before + done, all); };
  }
  Outcome outcome;
  const auto position = static_cast<std::uint32_t>(from);
  if (remote_ends_) {
    auto scores = session_->run_ids(ids, position, rows, wanted, on_rows);
    if (!scores.ok()) return scores.status();
    outcome.scores = *std::move(scores);
  } else {
    auto result = session_->run(*embedded, position, rows, on_rows);
    if (!result.ok()) return result.status();
    outcome.rows = *std::move(result);
  }
  constexpr std::size_t kManyRows = 16;
  if (to - from >= kManyRows) {
    prefill_row_us_ = std::chrono::duration<double, std::micro>(Clock::now() - begun).count() /
                      static_cast<double>(to - from);
  }
  session_position_ = to;
  timing_ = session_->timing();
  return outcome;
}

// Only what came out of a route counts: one that was lost before has changed nothing.
void SwarmPipeline::note_kinds() {
  if (noted_epoch_ == epoch_) return;
  noted_epoch_ = epoch_;
  BlockKinds now = kinds();
  if (const auto changes = kind_changes(computed_, now); !changes.empty()) {
    exact_ = false;
    tell(fmt::format("{}: the text is not exact from here on", describe_changes(changes)));
  }
  computed_ = std::move(now);
  const proto::WeightFormat head = plan_.route.back().ends.head;
  if (computed_head_ != proto::WeightFormat::kUnknown && head != computed_head_) {
    exact_ = false;
    tell(fmt::format("the head changed from {} to {}: the text is not exact from here on",
                     proto::to_string(computed_head_), proto::to_string(head)));
  }
  computed_head_ = head;
}

void SwarmPipeline::truncate(std::int64_t position) {
  CHECK(0 <= position && position <= this->position()) << position;
  ids_.resize(static_cast<std::size_t>(position));
  session_position_ = std::min(session_position_, ids_.size());
  kept_pages_ = std::min(kept_pages_, session_position_ / proto::kPrefixPagePositions);
}

void SwarmPipeline::tell_move(std::size_t from, milliseconds after) const {
  tell(fmt::format("goes on through {} from position {}, after {:.1f} s", describe(plan_.route),
                   from, in_seconds(after)));
}

void SwarmPipeline::tell(const std::string& text) const {
  if (options_.on_event) options_.on_event(text);
}

}  // namespace shoal::client
