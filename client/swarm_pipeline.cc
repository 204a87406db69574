// SPDX-License-Identifier: Apache-2.0
#include "client/swarm_pipeline.h"

#include <fmt/format.h>

#include <algorithm>

#include "client/probe.h"
#include "client/wait.h"
#include "kernels/check.h"
#include "net/channel_pool.h"

namespace shoal::client {
namespace {

using std::chrono::milliseconds;

// Failures in a row before we give up, with the waits between them: about eight seconds in all.
constexpr std::array<milliseconds, 6> kBackoff{milliseconds(0),     milliseconds(250),
                                               milliseconds(500),   milliseconds(1'000),
                                               milliseconds(2'000), milliseconds(4'000)};
constexpr milliseconds kPatience{10'000};  // for all of them
// A swarm that serves the model, but has no room now, is waited for.
constexpr milliseconds kCrowdedPatience{30'000};
constexpr milliseconds kCrowdedRetry{500};
// A failed peer is avoided for so long, twice as long for each time in a row.
constexpr milliseconds kBlameTime{15'000};
constexpr int kMaxBlameDoublings = 6;
// A swarm that has just been started may need a moment until its records can be found.
constexpr int kViewTries = 3;
constexpr milliseconds kViewRetry{700};

std::string text(const absl::Status& status) { return std::string(status.message()); }

std::string describe(const Route& route) {
  std::string result;
  for (const Hop& hop : route) {
    result += fmt::format("{}{} [{})", result.empty() ? "" : ", ", proto::short_name(hop.peer),
                          proto::to_string(hop.span));
  }
  return result;
}

}  // namespace

SwarmPipeline::SwarmPipeline(const UserModel& user_model, SwarmConnection& swarm,
                             SwarmPipelineOptions options, const Interrupt& interrupt)
    : user_model_(user_model), swarm_(swarm), options_(std::move(options)), interrupt_(interrupt) {}

absl::StatusOr<std::unique_ptr<SwarmPipeline>> SwarmPipeline::create(const UserModel& user_model,
                                                                     SwarmConnection& swarm,
                                                                     SwarmPipelineOptions options,
                                                                     const Interrupt& interrupt) {
  std::unique_ptr<SwarmPipeline> pipeline(
      new SwarmPipeline(user_model, swarm, std::move(options), interrupt));
  // Whether the swarm serves the model at all is clear at once; only what was there and is lost is
  // worth a wait.
  absl::StatusOr<SwarmView> view = absl::UnknownError("");
  for (int attempt = 0; attempt < kViewTries; ++attempt) {
    if (attempt > 0 && !sleep_for(kViewRetry, interrupt)) return interrupt.status();
    view = pipeline->find_view();
    if (view.ok() && view->missing().empty()) break;
  }
  if (!view.ok()) return view.status();
  if (const auto missing = view->missing(); !missing.empty()) {
    return absl::UnavailableError(fmt::format(
        "no node serves {} of the model's {} blocks (digest {}): start one with shoal-node run "
        "--model "
        "{} --blocks {}",
        describe_blocks(missing), user_model.block_count(), proto::short_name(user_model.digest),
        user_model.directory, proto::to_string(missing.front())));
  }
  if (auto status = pipeline->connect_patiently(); !status.ok()) return status;
  return pipeline;
}

absl::StatusOr<SwarmView> SwarmPipeline::find_view() {
  auto records = swarm_.find(dht::model_key(swarm_.swarm_id(), user_model_.digest), interrupt_);
  if (!records.ok()) return records.status();
  SwarmView view = view_of(*records, user_model_.digest, user_model_.block_count());
  if (!view.nodes.empty()) return view;
  auto all = swarm_.find(dht::models_key(swarm_.swarm_id()), interrupt_);
  if (!all.ok()) return all.status();
  view = view_of(*all, user_model_.digest, user_model_.block_count());
  if (!view.nodes.empty()) return view;  // the records have only just been spread
  return model_not_served(views_of(*all), user_model_.digest, user_model_.directory);
}

absl::StatusOr<Route> SwarmPipeline::choose_route(double* cost_us) {
  auto view = find_view();
  if (!view.ok()) return view.status();
  RouteRequest request;
  request.block_count = user_model_.block_count();
  request.positions = options_.positions;
  request.excluded = excluded();
  ProbeResult answers = probe(*view, request.excluded, swarm_.channels(), interrupt_);
  if (interrupt_.triggered()) return interrupt_.status();
  auto route = find_route(request, answers.candidates);
  if (!route.ok() && !request.excluded.empty()) {
    // Better one that failed a moment ago than none at all: it may be back.
    request.excluded.clear();
    answers = probe(*view, {}, swarm_.channels(), interrupt_);
    if (interrupt_.triggered()) return interrupt_.status();
    route = find_route(request, answers.candidates);
  }
  for (const NodeView& node : view->nodes) {
    if (answers.lost.contains(node.peer)) swarm_.channels().drop(node.peer);
  }
  if (!route.ok()) {
    std::string lost;
    for (const auto& [peer, reason] : answers.lost) lost += "; " + reason;
    return absl::Status(route.status().code(), text(route.status()) + lost);
  }
  *cost_us = route_cost_us(*route, answers.candidates);
  return route;
}

absl::Status SwarmPipeline::connect() {
  double cost_us = 0;
  auto route = choose_route(&cost_us);
  if (!route.ok()) return route.status();
  RingOptions options;
  options.model = user_model_.digest;
  options.hidden = static_cast<std::uint32_t>(user_model_.hidden());
  options.positions = options_.positions;
  options.epoch = ++epoch_;
  options.expected_step_us = cost_us;
  options.full_timings = options_.full_timings;
  route_ = *route;
  session_position_ = 0;
  session_ = std::make_unique<RingSession>(*std::move(route), options, swarm_.channels(),
                                           swarm_.io(), interrupt_);
  return session_->open();
}

absl::Status SwarmPipeline::connect_patiently() {
  for (;;) {
    absl::Status status = connect();
    if (status.ok()) return status;
    // What no node could ever hold is not worth a wait.
    if (!session_ && status.code() == absl::StatusCode::kOutOfRange) return status;
    milliseconds retry_after{0};
    if (session_) {
      retry_after = session_->failure().retry_after;
      blame_culprit();
      session_.reset();
    }
    if (auto last_word = give_way(status, retry_after); !last_word.ok()) return last_word;
  }
}

absl::StatusOr<std::vector<float>> SwarmPipeline::append(std::span<const std::int32_t> ids,
                                                         RowsWanted rows) {
  CHECK(!ids.empty() && ids_.size() + ids.size() <= options_.positions);
  const std::size_t begin = ids_.size();
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  for (;;) {
    absl::StatusOr<std::vector<float>> result = std::vector<float>();
    if (session_position_ < begin) {  // a new session: what came before, whose rows we had long ago
      result = run(session_position_, begin, RowsWanted::kNone);
    }
    if (result.ok()) result = run(begin, ids_.size(), rows);
    if (result.ok()) {
      failures_ = 0;
      crowded_since_.reset();
      return result;
    }
    if (interrupt_.triggered()) return interrupt_.status();
    if (session_->failure().status.ok()) return result.status();  // ours, not the swarm's
    const milliseconds retry_after = session_->failure().retry_after;
    tell(fmt::format("lost a hop: {}", text(result.status())));
    blame_culprit();
    session_.reset();
    if (auto last_word = give_way(result.status(), retry_after); !last_word.ok()) return last_word;
    if (auto status = connect_patiently(); !status.ok()) return status;
    ++reroutes_;
    tell(fmt::format("goes on through {} from position {}", describe(route_), begin));
  }
}

absl::StatusOr<std::vector<float>> SwarmPipeline::run(std::size_t from, std::size_t to,
                                                      RowsWanted rows) {
  auto embedded =
      user_model_.ends->embed(std::span<const std::int32_t>(ids_).subspan(from, to - from));
  if (!embedded.ok()) return embedded.status();
  auto result = session_->run(*embedded, static_cast<std::uint32_t>(from), rows);
  if (!result.ok()) return result.status();
  session_position_ = to;
  timing_ = session_->timing();
  return result;
}

void SwarmPipeline::truncate(std::int64_t position) {
  CHECK(0 <= position && position <= this->position()) << position;
  ids_.resize(static_cast<std::size_t>(position));
  session_position_ = std::min(session_position_, ids_.size());
}

void SwarmPipeline::blame_culprit() {
  const RingFailure& failure = session_->failure();
  if (!failure.culprit || failure.status.code() == absl::StatusCode::kResourceExhausted) return;
  Blame& blame = blames_[*failure.culprit];
  blame.until = Clock::now() + kBlameTime * (1 << std::min(blame.times, kMaxBlameDoublings));
  ++blame.times;
  swarm_.channels().drop(*failure.culprit);
}

std::set<proto::PeerId> SwarmPipeline::excluded() const {
  std::set<proto::PeerId> peers;
  for (const auto& [peer, blame] : blames_) {
    if (Clock::now() < blame.until) peers.insert(peer);
  }
  return peers;
}

absl::Status SwarmPipeline::give_way(const absl::Status& failure, milliseconds retry_after) {
  if (interrupt_.triggered()) return interrupt_.status();
  const auto now = Clock::now();
  milliseconds pause = retry_after;
  if (failure.code() == absl::StatusCode::kResourceExhausted) {
    if (!crowded_since_) {
      crowded_since_ = now;
      tell(fmt::format("waits: {}", text(failure)));
    }
    if (now - *crowded_since_ > kCrowdedPatience) {
      return absl::ResourceExhaustedError(fmt::format(
          "{} (waited {} s)", text(failure),
          std::chrono::duration_cast<std::chrono::seconds>(now - *crowded_since_).count()));
    }
    pause = std::max(pause, kCrowdedRetry);
  } else {
    if (failures_ == 0) failing_since_ = now;
    if (failures_ + 1 >= static_cast<int>(kBackoff.size()) || now - failing_since_ > kPatience) {
      return absl::Status(failure.code(),
                          fmt::format("gave up after {} failures in a row; the last: {}",
                                      failures_ + 1, text(failure)));
    }
    pause = std::max(pause, kBackoff[failures_++]);
  }
  return sleep_for(pause, interrupt_) ? absl::OkStatus() : interrupt_.status();
}

void SwarmPipeline::tell(const std::string& text) const {
  if (options_.on_event) options_.on_event(text);
}

}  // namespace shoal::client
