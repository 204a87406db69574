// SPDX-License-Identifier: Apache-2.0
#include "node/serve/sweeper.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/io_thread.h"
#include "node/device/memory.h"
#include "node/serve/span_service.h"

namespace shoal::node {

class Sweeper::Impl {
 public:
  Impl(boost::asio::io_context& io, SpanService& service) : service_(service), timer_(io) {}
  void start() { wait(); }

 private:
  void wait() {
    timer_.expires_after(std::chrono::seconds(1));
    // A handler that was queued when we were destroyed still runs, and without an error.
    timer_.async_wait(
        [this, alive = std::weak_ptr(alive_)](const boost::system::error_code& error) {
          if (error || alive.expired()) return;
          const auto now = std::chrono::steady_clock::now();
          service_.sweep(now);
          memory_.sweep(now);
          wait();
        });
  }

  SpanService& service_;
  MemoryKeeper memory_;
  boost::asio::steady_timer timer_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

Sweeper::Sweeper(net::IoThread& io, SpanService& service) : io_(io) {
  io_.run_and_wait([&] {
    impl_ = std::make_unique<Impl>(io_.context(), service);
    impl_->start();
  });
}

Sweeper::~Sweeper() {
  io_.run_and_wait([this] { impl_.reset(); });
}

}  // namespace shoal::node
