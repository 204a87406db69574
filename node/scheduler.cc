// SPDX-License-Identifier: Apache-2.0
#include "node/scheduler.h"

#include <algorithm>

#include "kernels/check.h"

namespace shoal::node {

// Peers with ready sessions, the one that waited longest first; within a peer likewise.
struct Scheduler::Turns {
  struct Line {
    std::uint64_t last_turn = 0;
    std::vector<SessionKey> sessions;
    std::size_t next = 0;
  };
  std::vector<Line> lines;
};

void Scheduler::add_session(SessionKey session, const proto::PeerId& peer) {
  const bool inserted = sessions_.emplace(session, Session{peer, {}, 0}).second;
  CHECK(inserted) << "session " << session << " is scheduled already";
  ++peers_[peer].sessions;
}

void Scheduler::remove_session(SessionKey session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  Peer& peer = peers_.at(found->second.peer);
  for (const std::int64_t rows : found->second.steps) {
    queued_rows_ -= rows;
    peer.queued_rows -= rows;
    --queued_steps_;
  }
  if (--peer.sessions == 0) peers_.erase(found->second.peer);
  sessions_.erase(found);
}

Admission Scheduler::push(SessionKey key, std::int64_t rows) {
  CHECK(rows >= 1) << "a step of " << rows << " rows";
  Session& session = sessions_.at(key);
  Peer& peer = peers_.at(session.peer);
  if (static_cast<std::int64_t>(session.steps.size()) >= limits_.steps_per_session) {
    return Admission::kSessionFull;
  }
  if (queued_rows_ + rows > limits_.queued_rows) return Admission::kQueueFull;
  if (peer.queued_rows + rows > limits_.queued_rows_per_peer) return Admission::kPeerFull;
  session.steps.push_back(rows);
  queued_rows_ += rows;
  peer.queued_rows += rows;
  ++queued_steps_;
  return Admission::kAccepted;
}

Scheduler::Turns Scheduler::turns_of(bool decode) {
  std::map<proto::PeerId, Turns::Line> by_peer;
  for (const auto& [key, session] : sessions_) {
    if (session.steps.empty() || (session.steps.front() == 1) != decode) continue;
    by_peer[session.peer].sessions.push_back(key);
  }
  Turns turns;
  for (auto& [peer, line] : by_peer) {
    std::stable_sort(line.sessions.begin(), line.sessions.end(), [&](SessionKey a, SessionKey b) {
      return sessions_.at(a).last_turn < sessions_.at(b).last_turn;
    });
    line.last_turn = peers_.at(peer).last_turn;
    turns.lines.push_back(std::move(line));
  }
  std::stable_sort(
      turns.lines.begin(), turns.lines.end(),
      [](const Turns::Line& a, const Turns::Line& b) { return a.last_turn < b.last_turn; });
  return turns;
}

void Scheduler::take(SessionKey key, std::int64_t rows, std::vector<BatchItem>& batch) {
  Session& session = sessions_.at(key);
  Peer& peer = peers_.at(session.peer);
  session.last_turn = peer.last_turn = ++turn_;
  session.steps.front() -= rows;
  queued_rows_ -= rows;
  peer.queued_rows -= rows;
  const bool last = session.steps.front() == 0;
  if (last) {
    session.steps.pop_front();
    --queued_steps_;
  }
  batch.push_back({key, rows, last});
}

std::vector<BatchItem> Scheduler::next_batch() {
  std::vector<BatchItem> batch;

  Turns decode = turns_of(true);
  Turns prefill = turns_of(false);  // before decode rows are taken: one item per session
  std::int64_t budget = limits_.decode_rows;
  for (bool any = true; any && budget > 0;) {
    any = false;
    for (Turns::Line& line : decode.lines) {
      if (budget == 0 || line.next == line.sessions.size()) continue;
      take(line.sessions[line.next++], 1, batch);
      --budget;
      any = true;
    }
  }

  // Deal out the budget in quanta first, so that a session with several turns still is one item.
  budget = limits_.prefill_rows;
  std::map<SessionKey, std::int64_t> share;
  std::vector<SessionKey> order;
  for (bool any = true; any && budget > 0;) {
    any = false;
    for (Turns::Line& line : prefill.lines) {
      if (budget == 0) break;
      for (std::size_t tried = 0; tried < line.sessions.size(); ++tried) {
        const SessionKey key = line.sessions[line.next++ % line.sessions.size()];
        const std::int64_t left = sessions_.at(key).steps.front() - share[key];
        if (left == 0) continue;
        const std::int64_t rows = std::min({left, limits_.prefill_quantum, budget});
        if (share[key] == 0) order.push_back(key);
        share[key] += rows;
        budget -= rows;
        any = true;
        break;
      }
    }
  }
  for (const SessionKey key : order) take(key, share[key], batch);
  return batch;
}

}  // namespace shoal::node
