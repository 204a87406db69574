// SPDX-License-Identifier: Apache-2.0
#include "node/serve/next_hops.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>

#include "net/io_thread.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

constexpr std::chrono::milliseconds kAgain{250};

dht::TimePoint dht_now() {
  return dht::TimePoint(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

// Lives on the net thread; what is posted or waits there holds it weakly.
class NextHops::Impl : public std::enable_shared_from_this<Impl> {
 public:
  using Question = NextHopBook::Question;
  using Answer = std::function<void(Found)>;

  Impl(boost::asio::io_context& io, Find find, Reach reach)
      : io_(io), find_(std::move(find)), reach_(std::move(reach)) {}

  void ask(const Question& question, Answer answer, dht::TimePoint asked) {
    const auto now = dht_now();
    if (book_.knows(question, now)) {
      tell(question, answer);
      answer = nullptr;  // a look-up is for those who come later
    }
    if (!book_.must_look_up(question, now)) {
      if (answer == nullptr) return;
      if (book_.read_since(question.block, asked)) return tell(question, answer);
      // Its record may have come since the last look-up.
      return at(Clock::now() + kAgain, [self = weak_from_this(), question, answer, asked] {
        if (const auto impl = self.lock()) impl->ask(question, answer, asked);
      });
    }
    const bool asking = waiting_.contains(question.block);
    auto& waiting = waiting_[question.block];
    if (answer) waiting.emplace_back(question, std::move(answer));
    if (asking) return;
    if (!book_.may_look_up(now)) return answer_all(question.block);
    find_(question.block,
          [self = weak_from_this(), block = question.block](std::vector<dht::Record> records) {
            const auto impl = self.lock();
            if (impl == nullptr) return;
            impl->book_.learned(block, std::move(records), dht_now());
            impl->answer_all(block);
          });
  }

  void at(Clock::time_point time, std::function<void()> then) {
    auto timer = std::make_shared<boost::asio::steady_timer>(io_, time);
    timer->async_wait([self = weak_from_this(), timer,
                       then = std::move(then)](const boost::system::error_code& error) {
      if (!error && !self.expired()) then();
    });
  }

  NextHopBook& book() { return book_; }

 private:
  void answer_all(proto::BlockIndex block) {
    const auto waiting = std::move(waiting_[block]);
    waiting_.erase(block);
    for (const auto& [question, answer] : waiting) tell(question, answer);
  }

  void tell(const Question& question, const Answer& answer) {
    Found found;
    found.addresses = book_.addresses(question, reach_(), dht_now());
    found.proven = book_.proven(question.next, found.addresses);
    answer(std::move(found));
  }

  boost::asio::io_context& io_;
  const Find find_;
  const Reach reach_;
  NextHopBook book_;
  std::map<proto::BlockIndex, std::vector<std::pair<Question, Answer>>> waiting_;
};

NextHops::NextHops(net::IoThread& io, Find find, Reach reach)
    : io_(io), impl_(std::make_shared<Impl>(io.context(), std::move(find), std::move(reach))) {}

NextHops::~NextHops() {
  io_.run_and_wait([this] { impl_.reset(); });
}

void NextHops::ask(const NextHopBook::Question& question, std::function<void(Found)> answer) {
  io_.post([impl = std::weak_ptr(impl_), question, answer = std::move(answer)]() mutable {
    if (const auto alive = impl.lock()) alive->ask(question, std::move(answer), dht_now());
  });
}

void NextHops::worked(const proto::PeerId& peer, const proto::Address& address) {
  io_.post([impl = std::weak_ptr(impl_), peer, address] {
    if (const auto alive = impl.lock()) alive->book().worked(peer, address);
  });
}

void NextHops::failed(const NextHopBook::Question& question) {
  io_.post([impl = std::weak_ptr(impl_), question] {
    if (const auto alive = impl.lock()) alive->book().failed(question);
  });
}

void NextHops::at(Clock::time_point time, std::function<void()> then) {
  io_.post([impl = std::weak_ptr(impl_), time, then = std::move(then)]() mutable {
    if (const auto alive = impl.lock()) alive->at(time, std::move(then));
  });
}

}  // namespace shoal::node
