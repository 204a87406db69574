// SPDX-License-Identifier: Apache-2.0
#include "node/member/dial_back_call.h"

#include <grpcpp/client_context.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "net/channel_pool.h"
#include "proto/limits.h"
#include "proto/reach_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A cancelled call ends at once; the bound is for a transport that does not keep its word.
constexpr std::chrono::seconds kLastCallEnd{2};
constexpr std::uint32_t kRoundTripMs = 2'000;

DialOutcome outcome_in(wire::DialBackOutcome outcome) {
  switch (outcome) {
    case wire::DIAL_BACK_REACHED:
      return DialOutcome::kReached;
    case wire::DIAL_BACK_SILENT:
      return DialOutcome::kSilent;
    case wire::DIAL_BACK_REFUSED:
      return DialOutcome::kRefused;
    case wire::DIAL_BACK_OTHER:
      return DialOutcome::kOther;
    case wire::DIAL_BACK_UNTRIED:
      return DialOutcome::kUntried;
    default:
      return DialOutcome::kNotAsked;
  }
}

std::chrono::system_clock::time_point deadline_in(std::uint32_t ms) {
  return std::chrono::system_clock::now() + milliseconds(ms);
}

// What the calls' callbacks share with the waiter; they may outlive it.
struct Calls {
  struct Call {
    std::size_t round = 0;
    Helper helper;
    grpc::ClientContext context;
    wire::DialBackRequest request;
    wire::DialBackReply reply;
    std::unique_ptr<wire::ReachService::Stub> stub;
  };
  struct Round {
    std::vector<DialBackAnswer> answers;
    std::size_t open = 0;
  };
  std::vector<std::unique_ptr<Call>> calls;  // constant once they are under way
  base::Mutex mutex;
  base::CondVar changed;
  std::vector<Round> rounds ABSL_GUARDED_BY(mutex);

  void ended(const Call& call, const grpc::Status& status) {
    const base::MutexLock lock(mutex);
    Round& round = rounds[call.round];
    --round.open;
    const auto seen = proto::decode_endpoint(call.reply.seen_address());
    if (status.ok() && seen) {
      round.answers.push_back(
          {call.helper, *seen, outcome_in(call.reply.tcp()), outcome_in(call.reply.udp())});
    } else {
      spdlog::debug("no dial-back by {} at {}: {}", proto::short_name(call.helper.peer),
                    proto::to_string(call.helper.at),
                    status.ok() ? "its answer says nothing" : status.error_message());
    }
    changed.notify_all();
  }

  // Until when a round is waited for.
  static Clock::time_point end_of(const Round& round, Clock::time_point begun) {
    if (round.open == 0 || is_settled(round.answers, round.open)) return begun;
    return begun + milliseconds(round.answers.empty() ? proto::kDialBackAnswerMs
                                                      : proto::kDialBackOthersMs);
  }
};

}  // namespace

std::vector<std::vector<DialBackAnswer>> ask_dial_backs(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key,
    const std::vector<DialBackRound>& rounds, const base::StopToken& stop) {
  const auto begun = Clock::now();
  const auto calls = std::make_shared<Calls>();
  net::ChannelPool channels(identity, swarm_key);
  {
    const base::MutexLock lock(calls->mutex);
    calls->rounds.resize(rounds.size());
    for (std::size_t i = 0; i < rounds.size(); ++i) {
      for (const Helper& helper : rounds[i].helpers) {
        auto call = std::make_unique<Calls::Call>();
        call->round = i;
        call->helper = helper;
        // Of this family, though another connection to the same peer may be there.
        channels.drop(helper.peer);
        call->stub = wire::ReachService::NewStub(channels.get(helper.peer, {helper.at}));
        *call->request.mutable_version() = proto::our_version();
        call->request.set_port(rounds[i].port);
        call->request.set_tcp(true);
        call->request.set_udp(rounds[i].udp);
        call->request.set_public_key(identity.public_key().to_bytes());
        call->context.set_deadline(deadline_in(proto::kDialBackAnswerMs));
        ++calls->rounds[i].open;
        calls->calls.push_back(std::move(call));
      }
    }
  }
  for (const std::unique_ptr<Calls::Call>& call : calls->calls) {
    call->stub->async()->DialBack(
        &call->context, &call->request, &call->reply,
        [calls, which = call.get()](const grpc::Status& status) { calls->ended(*which, status); });
  }
  std::vector<std::vector<DialBackAnswer>> result;
  {
    const base::MutexLock lock(calls->mutex);
    while (!stop.stopped()) {
      auto end = begun;
      for (const Calls::Round& round : calls->rounds)
        end = std::max(end, Calls::end_of(round, begun));
      const auto now = Clock::now();
      if (now >= end) break;
      calls->changed.wait_until(calls->mutex, std::min(end, now + base::kStopPoll));
    }
    for (const Calls::Round& round : calls->rounds) result.push_back(round.answers);
  }
  for (const std::unique_ptr<Calls::Call>& call : calls->calls) call->context.TryCancel();
  const base::MutexLock lock(calls->mutex);
  const auto last = Clock::now() + kLastCallEnd;
  const auto any_open = [](const Calls::Round& round) { return round.open > 0; };
  while (std::ranges::any_of(calls->rounds, any_open) &&
         calls->changed.wait_until(calls->mutex, last)) {
  }
  return result;
}

std::optional<std::chrono::microseconds> helper_round_trip(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key,
    const Helper& helper) {
  net::ChannelPool channels(identity, swarm_key);
  const auto stub = wire::ReachService::NewStub(channels.get(helper.peer, {helper.at}));
  std::optional<std::chrono::microseconds> result;
  for (int call = 0; call < 2; ++call) {  // the first one connects
    grpc::ClientContext context;
    context.set_deadline(deadline_in(kRoundTripMs / 2));
    wire::DialBackRequest request;
    *request.mutable_version() = proto::our_version();
    request.set_port(1);
    wire::DialBackReply reply;
    const auto begun = Clock::now();
    if (!stub->DialBack(&context, request, &reply).ok()) return std::nullopt;
    result = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun);
  }
  return result;
}

}  // namespace shoal::node
