// SPDX-License-Identifier: Apache-2.0
#include "client/ring/audition.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "client/ring/hop_stream.h"
#include "identity/random.h"
#include "net/channel_pool.h"
#include "proto/activation.h"
#include "proto/limits.h"
#include "proto/span_service.pb.h"
#include "proto/version.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostHeard = 16;
constexpr double kOutOfTheOrdinary = 0.5;  // of the middle of all claims
constexpr std::uint32_t kSteps = 2;        // the first one warms up
constexpr std::chrono::milliseconds kVoiceCloseTime{200};

struct Voice {
  std::shared_ptr<HopStream> stream;
  std::uint32_t steps = 0;
  Clock::time_point sent;
  double least_us = std::numeric_limits<double>::infinity();
  std::optional<absl::StatusOr<double>> verdict;
};

wire::ClientFrame open_frame(const Candidate& candidate, const proto::Digest& model) {
  wire::ClientFrame frame;
  wire::Open& open = *frame.mutable_open();
  *open.mutable_version() = proto::our_version();
  const auto id = identity::Random::from_system().bytes<proto::SessionId::kSize>();
  open.set_session_id(std::string(id.begin(), id.end()));
  open.set_model_digest(model.to_bytes());
  open.mutable_span()->set_begin(candidate.span.begin);
  open.mutable_span()->set_end(candidate.span.end);
  open.set_max_positions(kSteps);
  open.set_epoch(1);
  open.set_codec(wire::CODEC_F32);
  return frame;
}

void send_step(Voice& voice, std::uint32_t hidden) {
  wire::ClientFrame frame;
  wire::Step& step = *frame.mutable_step();
  step.set_epoch(1);
  step.set_step_id(voice.steps + 1);
  step.set_start_position(voice.steps);
  step.set_return_rows(wire::RETURN_LAST);
  const std::vector<float> row(hidden, 0.5f);
  auto activation = proto::encode_activation(row, 1, hidden, wire::CODEC_F32);
  if (!activation.ok()) return;
  *step.mutable_activation() = *std::move(activation);
  voice.sent = Clock::now();
  voice.stream->send(std::move(frame));
}

void hear(Voice& voice, const Candidate& candidate, std::uint32_t hidden, const HopEvent& event) {
  if (voice.verdict) return;
  if (event.closed) {
    voice.verdict = event.closed->ok() ? absl::UnavailableError("it ended the session")
                                       : absl::StatusOr<double>(*event.closed);
  } else if (event.frame.has_failure()) {
    const bool full = event.frame.failure().code() ==
                      static_cast<std::uint32_t>(absl::StatusCode::kResourceExhausted);
    voice.verdict = full ? absl::ResourceExhaustedError("it has no room")
                         : absl::UnavailableError("it refused the session");
  } else if (event.frame.has_welcome() && voice.steps == 0) {
    send_step(voice, hidden);
  } else if (event.frame.has_result() && event.frame.result().step_id() == voice.steps + 1) {
    const double us = std::chrono::duration<double, std::micro>(event.at - voice.sent).count();
    voice.least_us = std::min(voice.least_us, us);
    if (++voice.steps < kSteps) return send_step(voice, hidden);
    voice.verdict =
        std::max(0.0, voice.least_us - candidate.rtt_us - kHopOverheadUs) / candidate.span.size();
  }
}

}  // namespace

std::vector<Candidate> worth_hearing(const std::vector<Candidate>& candidates,
                                     const PeerMemory& memory, PeerMemory::Time now) {
  std::vector<double> claims;
  claims.reserve(candidates.size());
  for (const Candidate& candidate : candidates) claims.push_back(claimed_us(candidate));
  if (claims.empty()) return {};
  const auto middle = claims.begin() + static_cast<std::ptrdiff_t>(claims.size() / 2);
  std::nth_element(claims.begin(), middle, claims.end());
  std::vector<Candidate> heard;
  for (const Candidate& candidate : candidates) {
    if (claimed_us(candidate) >= kOutOfTheOrdinary * *middle || candidate.max_positions < kSteps ||
        memory.knows(candidate.peer, now) || heard.size() >= kMostHeard) {
      continue;
    }
    heard.push_back(candidate);
  }
  return heard;
}

std::map<proto::PeerId, absl::StatusOr<double>> audition(const std::vector<Candidate>& candidates,
                                                         const proto::Digest& model,
                                                         std::uint32_t hidden,
                                                         net::ChannelPool& channels,
                                                         const base::StopToken& interrupt) {
  const auto inbox = std::make_shared<HopInbox>();
  std::vector<Voice> voices(candidates.size());
  for (std::size_t i = 0; i < voices.size(); ++i) {
    voices[i].stream =
        HopStream::open(channels.get(candidates[i].peer, candidates[i].addresses), i,
                        fmt::format("node {}", proto::short_name(candidates[i].peer)), inbox);
    voices[i].stream->send(open_frame(candidates[i], model));
  }
  const auto deadline = Clock::now() + kAuditionTime;
  const auto waiting = [&] {
    return std::any_of(voices.begin(), voices.end(), [](const Voice& v) { return !v.verdict; });
  };
  while (waiting() && Clock::now() < deadline) {
    const auto event = inbox->take(deadline, interrupt);
    if (!event) break;
    voices[event->hop].stream->consumed(*event);
    hear(voices[event->hop], candidates[event->hop], hidden, *event);
  }
  std::map<proto::PeerId, absl::StatusOr<double>> verdicts;
  const auto closed_by = Clock::now() + kVoiceCloseTime;
  for (std::size_t i = 0; i < voices.size(); ++i) {
    Voice& voice = voices[i];
    voice.verdict&& voice.verdict->ok() ? voice.stream->finish() : voice.stream->cancel();
    verdicts.insert_or_assign(
        candidates[i].peer,
        voice.verdict ? *voice.verdict
                      : absl::StatusOr<double>(absl::DeadlineExceededError("it took too long")));
  }
  for (Voice& voice : voices) {
    if (voice.stream->wait_closed(closed_by)) continue;
    voice.stream->cancel();
    voice.stream->wait_closed(Clock::now() + kVoiceCloseTime);
  }
  return verdicts;
}

}  // namespace shoal::client
