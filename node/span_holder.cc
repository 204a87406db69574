// SPDX-License-Identifier: Apache-2.0
#include "node/span_holder.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// What sessions get to finish before their span is dropped. Their clients go on elsewhere, exactly.
// While blocks have no server nobody can generate anything; else there is more time, and most where
// both spans have memory.
constexpr seconds kDrainForGap{10}, kDrainForSpeed{60}, kDrainBeside{300};
// A look is one lookup; in a large swarm one node matters less.
constexpr double kCrowd = 200;
constexpr int kSlowerAmongMany = 12;
// Sessions of ours are gone when their streams are.
constexpr seconds kLastSessions{5};
constexpr const char* kMoves =
    "this node moves to other blocks: go on through another one, it will be back in a moment";

std::string words_of(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

double own_throughput(double block_step_us) { return block_step_us > 0 ? 1e6 / block_step_us : 1; }

}  // namespace

SpanHolder::SpanHolder(const NodeOptions& options, Membership& member, SpanService& service,
                       MemoryPromise& memory, const base::StopToken& stop)
    : options_(options),
      member_(member),
      service_(service),
      memory_(memory),
      stop_(stop),
      random_(identity::Random::from_system()),
      max_sessions_(options.max_sessions),
      max_sessions_per_peer_(options.max_sessions_per_peer) {}

SpanHolder::~SpanHolder() { stop(); }

proto::Offer SpanHolder::offer() const {
  const base::MutexLock lock(mutex_);
  return offer_;
}

void SpanHolder::set_offer(const proto::Offer& offer) {
  const base::MutexLock lock(mutex_);
  offer_ = offer;
}

absl::Status SpanHolder::start(LoadedModel model, Entry entry, ChosenDevices devices) {
  held_ = model.held;
  auto loaded = load_span(options_, std::move(model), std::move(entry), std::move(devices), stop_);
  if (!loaded.ok()) return loaded.status();
  memory_.loaded();
  const std::uint32_t movable = (*loaded)->serving->facts.offer.movable_blocks;
  if (options_.rebalance && movable > 0) rebalance_.emplace(*options_.rebalance);
  serve(*std::move(loaded));
  return absl::OkStatus();
}

void SpanHolder::serve(std::unique_ptr<LiveSpan> span) {
  live_ = std::move(span);
  set_limits(max_sessions_, max_sessions_per_peer_);
  set_offer(live_->serving->facts.offer);
  service_.serve(live_->serving);
}

void SpanHolder::set_limits(std::uint32_t max_sessions, std::uint32_t max_sessions_per_peer) {
  max_sessions_ = max_sessions;
  max_sessions_per_peer_ = max_sessions_per_peer;
  if (live_ == nullptr) return;
  live_->serving->facts.max_sessions = max_sessions;
  live_->serving->facts.max_sessions_per_peer = max_sessions_per_peer;
}

void SpanHolder::announce(proto::NodeState state, proto::Span moving_to) {
  if (closed_) return;
  service_.set_state(state, moving_to);
  member_.announce_without_waiting();
}

absl::Status SpanHolder::tend(Clock::time_point now, bool may_move) {
  if (live_ != nullptr) {
    if (absl::Status intact = live_->look_at_files(now); !intact.ok()) return intact;
  }
  retire(now);
  if (step_ != Step::kStay) return go_on(now);
  if (may_move && rebalance_ && left_ == nullptr && now >= look_at_) look_at_the_swarm(now);
  return absl::OkStatus();
}

void SpanHolder::look_at_the_swarm(Clock::time_point now) {
  const proto::Offer own = offer();
  const proto::PeerId& self = options_.identity.peer_id();
  const auto found = member_.find(dht::model_key(member_.swarm().swarm_id(), own.model_digest));
  const auto stats = member_.directory();
  const bool many = stats && stats->estimated_peers > kCrowd;
  const milliseconds look = options_.rebalance->look * (many ? kSlowerAmongMany : 1);
  look_at_ = now + look;
  if (!found.ok()) return;
  auto servers = served_spans(*found, own.model_digest, own.block_count, self);
  // As others read of us, where they do: who goes first must come out alike for all who look.
  const auto all = served_spans(*found, own.model_digest, own.block_count, {});
  const auto seen = std::ranges::find(all, self, &ServedSpan::peer);
  const bool is_seen = seen != all.end() && seen->span == own.span;
  servers.push_back(
      {self, own.span,
       is_seen ? seen->throughput : own_throughput(live_->serving->device->stats().block_step_us),
       own.movable_blocks});
  const auto answer = rebalance_->look(servers, own.block_count, self, held_, now, random_.unit());
  if (!many) look_at_ = answer.look_at;
  if (answer.move) begin(*answer.move, now);
}

template <typename Work>
void SpanHolder::in_background(Work work) {
  try {
    loading_ = std::async(std::launch::async, std::move(work));
  } catch (const std::system_error& error) {
    std::promise<Loaded> failed;
    failed.set_value(absl::ResourceExhaustedError(fmt::format(
        "the system refused a thread ({}): raise the limit (ulimit -u)", error.what())));
    loading_ = failed.get_future();
  }
}

void SpanHolder::begin(const Move& move, Clock::time_point now) {
  move_ = move;
  began_ = now;
  spdlog::info("moves from blocks {} to {}: {}", proto::to_string(move.from),
               proto::to_string(move.to), move.reason());
  // Others see where it goes before they look again.
  announce(proto::NodeState::kOnline, move.to);
  step_ = Step::kLoadBeside;
  in_background([this, to = move.to] { return load_beside(to); });
}

absl::Status SpanHolder::go_on(Clock::time_point now) {
  if (step_ == Step::kDrain) {
    const Serving& old = *live_->serving;
    if (service_.sessions_on(old) > 0 && now < deadline_) return absl::OkStatus();
    service_.end_sessions_on(old, kMoves);
    service_.serve(nullptr);
    if (live_->is_left()) drop_and_load(now);
    return absl::OkStatus();
  }
  if (loading_.wait_for(seconds(0)) != std::future_status::ready) return absl::OkStatus();
  Loaded loaded = loading_.get();
  if (stop_.stopped()) return absl::OkStatus();  // the node ends
  if (step_ == Step::kLoadBeside) {
    loaded_beside(std::move(loaded), now);
    return absl::OkStatus();
  }
  return loaded_alone(std::move(loaded), now);
}

SpanHolder::Loaded SpanHolder::load_beside(proto::Span to) {
  auto model = read_again(options_, live_->model);
  if (!model.ok()) return model.status();
  ChosenDevices devices;
  if (options_.open_devices) {
    auto opened = options_.open_devices();
    if (!opened.ok()) return nullptr;  // perhaps there is only room for one of us
    devices = *std::move(opened);
  }
  Entry entry = live_->entry;
  const SpanRoom all = std::exchange(entry.room, memory_.look(devices, options_.memory, true));
  model::MemoryWishes wishes;
  wishes.blocks = to.size();
  wishes.kv_positions = entry.plan.kv_positions;
  auto plan = model::plan_memory(entry.room.devices, model->needs,
                                 static_cast<std::uint32_t>(model->config.block_count), wishes);
  if (!plan.ok()) {
    memory_.let_go();
    return nullptr;
  }
  entry.blocks_plan = *std::move(plan);
  if (!settle_span(options_, *model, to, entry).ok()) {
    memory_.let_go();
    return nullptr;
  }
  entry.room = all;  // that it has when the old span is gone
  memory_.keep(sum_of(memory_.kept(), entry.claim(*model)));
  return load_span(options_, *std::move(model), std::move(entry), std::move(devices), stop_);
}

void SpanHolder::loaded_beside(Loaded loaded, Clock::time_point now) {
  if (!loaded.ok()) return stay(loaded.status(), now);
  if (*loaded == nullptr) return drain(now);
  memory_.loaded();
  // Under the keys of the old blocks: nobody shall come for them any more.
  announce(proto::NodeState::kDraining, move_.to);
  left_ = std::move(live_);
  deadline_ = now + kDrainBeside;
  serve(*std::move(loaded));
  announce(proto::NodeState::kOnline);
  rebalance_->moved(now);
  step_ = Step::kStay;
  ++moves_;
  spdlog::info("serves blocks {} now; {} sessions of blocks {} have {} s to finish",
               proto::to_string(move_.to), service_.sessions_on(*left_->serving),
               proto::to_string(move_.from), kDrainBeside.count());
}

void SpanHolder::retire(Clock::time_point now) {
  if (left_ == nullptr) return;
  if (service_.sessions_on(*left_->serving) > 0) {
    if (now < deadline_) return;
    service_.end_sessions_on(*left_->serving, kMoves);
  }
  if (!left_->is_left()) return;
  left_.reset();
  memory_.keep(live_->entry.claim(live_->model));
  memory_.loaded();
}

void SpanHolder::drain(Clock::time_point now) {
  const seconds most = move_.urgent() ? kDrainForGap : kDrainForSpeed;
  deadline_ = now + most;
  if (const std::size_t sessions = service_.sessions_on(*live_->serving); sessions > 0) {
    spdlog::info("there is no memory for both spans: {} sessions have {} s to finish", sessions,
                 most.count());
  }
  service_.drain(kMoves);
  announce(proto::NodeState::kDraining, move_.to);
  step_ = Step::kDrain;
}

void SpanHolder::drop_and_load(Clock::time_point now) {
  left_entry_ = live_->entry;
  live_->serving.reset();  // the device reads the model
  left_model_.emplace(std::move(live_->model));
  live_.reset();
  Entry entry = left_entry_;
  auto model = read_again(options_, *left_model_);
  absl::Status settled =
      model.ok() ? settle_span(options_, *model, move_.to, entry) : model.status();
  if (!settled.ok()) {
    loaded_alone(settled, now).IgnoreError();  // it only begins to load the old one
    return;
  }
  memory_.keep(entry.claim(*model));
  set_offer(facts_of(options_, *model, entry).offer);
  announce(proto::NodeState::kJoining);
  step_ = Step::kLoadAlone;
  in_background([this, entry] { return load_alone(entry); });
}

SpanHolder::Loaded SpanHolder::load_alone(Entry entry) {
  auto model = read_again(options_, *left_model_);
  if (!model.ok()) return model.status();
  ChosenDevices devices;
  if (options_.open_devices) {
    auto opened = options_.open_devices();
    if (!opened.ok()) return opened.status();
    devices = *std::move(opened);
  }
  return load_span(options_, *std::move(model), std::move(entry), std::move(devices), stop_);
}

absl::Status SpanHolder::loaded_alone(Loaded loaded, Clock::time_point now) {
  const bool back = step_ == Step::kLoadOldAgain;
  if (!loaded.ok()) {
    if (back) return loaded.status();
    spdlog::warn("cannot serve blocks {}: {}; loads blocks {} again", proto::to_string(move_.to),
                 words_of(loaded.status()), proto::to_string(move_.from));
    memory_.keep(left_entry_.claim(*left_model_));
    set_offer(facts_of(options_, *left_model_, left_entry_).offer);
    announce(proto::NodeState::kJoining);
    rebalance_->failed(now);
    step_ = Step::kLoadOldAgain;
    in_background([this, entry = left_entry_] { return load_alone(entry); });
    return absl::OkStatus();
  }
  memory_.loaded();
  serve(*std::move(loaded));
  left_model_.reset();
  if (!closed_) service_.drain("");
  announce(proto::NodeState::kOnline);
  step_ = Step::kStay;
  if (back) return absl::OkStatus();
  rebalance_->moved(now);
  ++moves_;
  spdlog::info("serves blocks {} now, {:.1f} s after it decided to", proto::to_string(move_.to),
               std::chrono::duration<double>(now - began_).count());
  return absl::OkStatus();
}

void SpanHolder::stay(const absl::Status& why, Clock::time_point now) {
  spdlog::warn("stays at blocks {}: cannot serve {}: {}", proto::to_string(move_.from),
               proto::to_string(move_.to), words_of(why));
  memory_.keep(live_->entry.claim(live_->model));
  memory_.loaded();
  announce(proto::NodeState::kOnline);
  rebalance_->failed(now);
  step_ = Step::kStay;
}

void SpanHolder::stop() {
  if (loading_.valid()) {
    loading_.wait();
    auto loaded = loading_.get();
    if (loaded.ok() && *loaded != nullptr) (*loaded)->serving->device.reset();
  }
  service_.serve(nullptr);
  const auto deadline = Clock::now() + kLastSessions;
  for (std::unique_ptr<LiveSpan>* span : {&live_, &left_}) {
    if (*span == nullptr) continue;
    while (!(*span)->is_left() && Clock::now() < deadline) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    // Whatever still holds it has been closed, and uses it no more.
    (*span)->serving->device.reset();
    span->reset();
  }
}

}  // namespace shoal::node
