// SPDX-License-Identifier: Apache-2.0
#include "node/device/scheduler.h"

#include <algorithm>

#include "base/check.h"

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

void Scheduler::add_session(SessionKey session, const proto::PeerId& peer, double share) {
  const bool inserted = sessions_.emplace(session, Session{peer, share, {}, 0}).second;
  CHECK(inserted) << "session " << session << " is scheduled already";
  ++peers_[peer].sessions;
}

void Scheduler::remove_session(SessionKey session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  Peer& peer = peers_.at(found->second.peer);
  for (const Step& step : found->second.steps) {
    queued_rows_ -= step.rows_left;
    peer.queued_rows -= step.rows_left;
    --queued_steps_;
  }
  if (--peer.sessions == 0) peers_.erase(found->second.peer);
  sessions_.erase(found);
}

Admission Scheduler::push(SessionKey key, std::int64_t rows, std::int64_t start_position) {
  CHECK(rows >= 1) << "a step of " << rows << " rows";
  Session& session = sessions_.at(key);
  Peer& peer = peers_.at(session.peer);
  if (static_cast<std::int64_t>(session.steps.size()) >= limits_.steps_per_session) {
    return Admission::kSessionFull;
  }
  if (queued_rows_ + rows > limits_.queued_rows) return Admission::kQueueFull;
  if (peer.queued_rows + rows > limits_.queued_rows_per_peer) return Admission::kPeerFull;
  session.steps.push_back({rows, start_position, rows == 1});
  queued_rows_ += rows;
  peer.queued_rows += rows;
  ++queued_steps_;
  return Admission::kAccepted;
}

Scheduler::Turns Scheduler::turns_of(bool decode) {
  std::map<proto::PeerId, Turns::Line> by_peer;
  for (const auto& [key, session] : sessions_) {
    if (!session.ready() || session.steps.front().decode != decode) continue;
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

bool Scheduler::ready() const {
  return std::any_of(sessions_.begin(), sessions_.end(),
                     [](const auto& entry) { return entry.second.ready(); });
}

bool Scheduler::only_decodes() const {
  return std::none_of(sessions_.begin(), sessions_.end(), [](const auto& entry) {
    const Session& session = entry.second;
    return session.ready() && !session.steps.front().decode;
  });
}

double Scheduler::prefill_pressure() const {
  struct Count {
    double waiting = 0, decoding = 0;
  };
  std::map<proto::PeerId, Count> counts;
  for (const auto& [key, session] : sessions_) {
    Count& count = counts[session.peer];
    if (!session.steps.empty() && !session.steps.front().decode) {
      ++count.waiting;
    } else if (session.decode_batch > 0 && session.decode_batch + 1 >= decode_batches_) {
      ++count.decoding;
    }
  }
  double waiting = 0, decoding = 0;
  for (const auto& [peer, count] : counts) {
    const double all = count.waiting + count.decoding;
    if (all == 0) continue;
    waiting += count.waiting / all;
    if (count.waiting == 0) decoding += 1;
  }
  if (decoding > 0) return waiting / decoding;
  return waiting > 0 ? kNobodyElseDecodes : 1;
}

void Scheduler::computed(SessionKey key) {
  if (const auto found = sessions_.find(key); found != sessions_.end()) found->second.out = false;
}

bool Scheduler::crowded(SessionKey key, double part) const {
  const auto session = sessions_.find(key);
  if (session == sessions_.end() || session->second.steps.size() < 2) return false;
  const std::int64_t of_peer = peers_.at(session->second.peer).queued_rows;
  return static_cast<double>(queued_rows_) > part * static_cast<double>(limits_.queued_rows) ||
         static_cast<double>(of_peer) > part * static_cast<double>(limits_.queued_rows_per_peer);
}

void Scheduler::take(SessionKey key, std::int64_t rows, Batch& batch) {
  Session& session = sessions_.at(key);
  Peer& peer = peers_.at(session.peer);
  session.last_turn = peer.last_turn = ++turn_;
  session.out = true;
  Step& step = session.steps.front();
  step.rows_left -= rows;
  step.position += rows;
  queued_rows_ -= rows;
  peer.queued_rows -= rows;
  const bool last = step.rows_left == 0;
  if (last) {
    session.steps.pop_front();
    --queued_steps_;
  }
  batch.items.push_back({key, rows, last});
}

Batch Scheduler::next_batch(const PrefillBudget& budget) {
  Turns decode = turns_of(true);
  Turns prefill = turns_of(false);
  const bool decode_now = !decode.lines.empty() && (prefill.lines.empty() || !decode_had_turn_);
  decode_had_turn_ = decode_now;
  return decode_now ? decode_batch(decode) : prefill_batch(prefill, budget);
}

Batch Scheduler::decode_batch(Turns& turns) {
  Batch batch;
  batch.decode = true;
  ++decode_batches_;
  std::int64_t rows = limits_.decode_rows;
  for (bool any = true; any && rows > 0;) {
    any = false;
    for (Turns::Line& line : turns.lines) {
      if (rows == 0 || line.next == line.sessions.size()) continue;
      const SessionKey key = line.sessions[line.next++];
      take(key, 1, batch);
      sessions_.at(key).decode_batch = decode_batches_;
      --rows;
      any = true;
    }
  }
  return batch;
}

Batch Scheduler::prefill_batch(Turns& turns, const PrefillBudget& budget) {
  // Deal out the budget in quanta first, so that a session with several turns still is one item.
  struct Share {
    std::int64_t rows = 0;
    double weight = 0;
  };
  Batch batch;
  std::map<SessionKey, Share> shares;
  std::vector<SessionKey> order;
  std::int64_t rows_left = limits_.prefill_rows;
  bool spent = false;
  for (bool any = true; any && !spent;) {
    any = false;
    for (Turns::Line& line : turns.lines) {
      for (std::size_t tried = 0; tried < line.sessions.size() && !spent; ++tried) {
        const SessionKey key = line.sessions[line.next++ % line.sessions.size()];
        const Session& session = sessions_.at(key);
        const Step& step = session.steps.front();
        Share& share = shares[key];
        const std::int64_t quantum =
            std::min({step.rows_left - share.rows, limits_.prefill_quantum, rows_left});
        std::int64_t rows = 0;
        while (rows < quantum) {
          const double weight = session.share * budget.weigh(step.position + share.rows);
          spent = batch.weight + weight > budget.weight && (!order.empty() || share.rows > 0);
          if (spent) break;
          if (share.rows == 0) order.push_back(key);
          ++share.rows;
          ++rows;
          batch.weight += weight;
        }
        rows_left -= rows;
        spent = spent || rows_left == 0;
        if (rows == 0) continue;
        any = true;
        break;
      }
      if (spent) break;
    }
  }
  for (const SessionKey key : order) take(key, shares[key].rows, batch);
  return batch;
}

}  // namespace shoal::node
