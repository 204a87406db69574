// SPDX-License-Identifier: Apache-2.0
#include "client/ring/swarm_scout.h"

#include <csignal>
#include <exception>

#include "client/ring/audition.h"
#include "net/channel_pool.h"

namespace shoal::client {

SwarmScout::~SwarmScout() { stop(); }

absl::StatusOr<SwarmView> SwarmScout::find_view(const base::StopToken& interrupt) const {
  auto records = swarm_.find(dht::model_key(swarm_.swarm_id(), model_.digest), interrupt);
  if (!records.ok()) return records.status();
  SwarmView view = view_of(*records, model_.digest, model_.block_count);
  if (!view.nodes.empty()) return view;
  auto all = swarm_.find(dht::models_key(swarm_.swarm_id()), interrupt);
  if (!all.ok()) return all.status();
  view = view_of(*all, model_.digest, model_.block_count);
  if (!view.nodes.empty()) return view;  // the records have only just been spread
  return model_not_served(views_of(*all), model_.digest, model_.directory);
}

absl::StatusOr<Sighting> SwarmScout::look(const std::set<proto::PeerId>& avoided,
                                          const BlockKinds& kinds,
                                          const base::StopToken& interrupt) const {
  auto view = find_view(interrupt);
  if (!view.ok()) return view.status();
  Sighting sighting;
  sighting.view = *std::move(view);
  sighting.answers =
      probe(sighting.view, avoided, kinds, swarm_.channels(), interrupt, model_.remote_ends);
  RouteRequest all;
  all.block_count = model_.block_count;
  all.remote_ends = model_.remote_ends;
  if (!avoided.empty() && !interrupt.stopped() &&
      !find_route(all, sighting.answers.candidates).ok()) {
    sighting.answers =
        probe(sighting.view, {}, kinds, swarm_.channels(), interrupt, model_.remote_ends);
  }
  if (interrupt.stopped()) return interrupt.status();
  // A dead channel would fail at once while gRPC backs off; the node may be back.
  for (const auto& [peer, why] : sighting.answers.lost) swarm_.channels().drop(peer);
  hear(sighting.answers.candidates, interrupt);
  return sighting;
}

void SwarmScout::hear(const std::vector<Candidate>& candidates,
                      const base::StopToken& interrupt) const {
  PeerMemory& memory = swarm_.peers();
  const auto bold = worth_hearing(candidates, memory, std::chrono::steady_clock::now());
  if (bold.empty()) return;
  const auto verdicts = audition(bold, model_.digest, model_.hidden, swarm_.channels(), interrupt);
  const auto now = std::chrono::steady_clock::now();
  if (interrupt.stopped()) return;
  for (const auto& [peer, verdict] : verdicts) {
    if (verdict.ok()) {
      memory.measured(peer, *verdict, now);
    } else if (verdict.status().code() == absl::StatusCode::kResourceExhausted) {
      memory.refused(peer, std::chrono::milliseconds(0), now);
    } else {
      memory.failed(peer, now);
    }
  }
}

void SwarmScout::start(std::set<proto::PeerId> avoided, BlockKinds kinds) {
  stop();
  enough_ = std::make_unique<base::StopToken>();
  done_ = false;
  found_.reset();
  thread_ = std::thread([this, avoided = std::move(avoided), kinds = std::move(kinds)] {
    try {
      found_.emplace(look(avoided, kinds, *enough_));
    } catch (const std::exception& error) {  // out of memory
      found_.emplace(absl::InternalError(error.what()));
    }
    done_ = true;
  });
}

std::optional<absl::StatusOr<Sighting>> SwarmScout::poll() {
  if (!thread_.joinable() || !done_) return std::nullopt;
  thread_.join();
  return std::move(found_);
}

void SwarmScout::stop() {
  if (!thread_.joinable()) return;
  enough_->stop(SIGINT);
  thread_.join();
  found_.reset();
}

}  // namespace shoal::client
