// SPDX-License-Identifier: Apache-2.0
#include "node/serve/session_desk.h"

#include <functional>
#include <utility>

#include "net/caller.h"
#include "net/channel_pool.h"
#include "node/device/device_thread.h"
#include "node/serve/next_hops.h"
#include "node/serve/push_stream.h"
#include "node/serve/replies.h"

namespace shoal::node {
namespace {

// The next hop's session has ended, and its client hears of it there; longer than a client waits
// for all that its hops say.
constexpr std::chrono::milliseconds kEndedPatience{500};
// A ring waits so long for a direct way to a next hop that relays reach: as a client does, and well
// within what it waits for that hop.
constexpr std::chrono::milliseconds kDirectTime{2'000};
constexpr std::chrono::milliseconds kDirectPoll{20};

}  // namespace

void SessionDesk::serve(std::shared_ptr<const Serving> serving) {
  const base::MutexLock lock(mutex_);
  serving_.swap(serving);  // the last holder is whoever made it
}

std::shared_ptr<const Serving> SessionDesk::serving() const {
  const base::MutexLock lock(mutex_);
  return serving_;
}

std::variant<std::shared_ptr<Session>, Refusal> SessionDesk::open(
    const wire::Open& open, const net::Caller& client, const std::shared_ptr<ClientLink>& link) {
  const std::shared_ptr<const Serving> serving = this->serving();
  if (serving == nullptr) {
    if (const auto refusal = check_version(open.version())) return *refusal;
    return Refusal{.code = absl::StatusCode::kUnavailable,
                   .reason = "this node is still joining the swarm",
                   .retry_after_ms = 1'000};
  }
  auto parsed = parse_open(serving->facts, open);
  if (auto* refusal = std::get_if<Refusal>(&parsed)) return std::move(*refusal);
  const OpenRequest& request = std::get<OpenRequest>(parsed);
  auto opened = sessions_.open(serving, request, client.peer, network_of(client.address), link);
  if (auto* session = std::get_if<std::shared_ptr<Session>>(&opened)) {
    if (ServiceBook* const book = book_) (*session)->keep_account(*book);
    connect_next(request, client, *session);
    link->send(welcome(request, serving->facts, (*session)->kept_positions()));
  }
  return opened;
}

void SessionDesk::connect_next(const OpenRequest& request, const net::Caller& client,
                               const std::shared_ptr<Session>& session) {
  if (!request.next) return;
  const proto::PeerId peer = request.next->peer;
  auto stream = PushStream::create(registry_, outbox_, session);
  if (!registry_.add(StreamKind::kPushOut, peer, stream)) {
    return session->next_failed(absl::StatusCode::kUnavailable,
                                "has too many streams from this node");
  }
  session->set_next(stream);

  NextHops& hops = *next_hops_;
  const NextHopBook::Question question{client.peer, net::counted_address(client), peer,
                                       request.span.end};
  const auto asked = std::chrono::steady_clock::now();
  const std::weak_ptr<PushStream> waiting = stream;
  hops.ask(question, [this, &hops, waiting, question,
                      open = push_open(request)](const NextHops::Found& found) {
    const auto stream = waiting.lock();
    if (stream == nullptr || found.addresses.empty()) return;
    const auto reached = [this, &hops, peer = question.next] {
      const auto address = channels_.connected_address(peer);
      if (address) hops.worked(peer, *address);
      return address.has_value();
    };
    const auto later = [&hops](std::function<void()> tell) {
      hops.at(std::chrono::steady_clock::now() + kEndedPatience, std::move(tell));
    };
    channels_.get(question.next, found.addresses);  // begins to connect
    when_direct(hops, question.next, std::chrono::steady_clock::now() + kDirectTime,
                [this, waiting, question, open, found, reached, later] {
                  const auto stream = waiting.lock();
                  if (stream == nullptr) return;
                  stream->start(channels_.get(question.next, found.addresses), open, found.proven,
                                reached, later);
                });
  });
  hops.at(asked + std::chrono::milliseconds(proto::kNextHopAnswerMs), [&hops, waiting, question] {
    const auto stream = waiting.lock();
    if (stream != nullptr && stream->judge()) hops.failed(question);
  });
}

void SessionDesk::when_direct(NextHops& hops, const proto::PeerId& peer,
                              std::chrono::steady_clock::time_point limit,
                              const std::function<void()>& then) {
  const auto now = std::chrono::steady_clock::now();
  if (now >= limit || !channels_.may_become_direct(peer)) return then();
  hops.at(now + kDirectPoll,
          [this, &hops, peer, limit, then] { when_direct(hops, peer, limit, then); });
}

void SessionDesk::sweep(std::chrono::steady_clock::time_point now) {
  registry_.sweep(now);
  sessions_.sweep(now);
  if (const auto serving = this->serving()) serving->device->return_memory();
}

}  // namespace shoal::node
