// SPDX-License-Identifier: Apache-2.0
#include "client/ring/heartbeat.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/io_thread.h"

namespace shoal::client {

class Heartbeat::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(boost::asio::io_context& io, std::chrono::milliseconds interval, std::function<void()> beat)
      : timer_(io), interval_(interval), beat_(std::move(beat)) {}

  void start() {
    timer_.expires_after(interval_);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error || self->stopped_) return;
      self->beat_();
      self->start();
    });
  }
  void stop() {
    stopped_ = true;
    timer_.cancel();
  }

 private:
  boost::asio::steady_timer timer_;
  const std::chrono::milliseconds interval_;
  const std::function<void()> beat_;
  bool stopped_ = false;
};

Heartbeat::Heartbeat(net::IoThread& io, std::chrono::milliseconds interval,
                     std::function<void()> beat)
    : io_(io), impl_(std::make_shared<Impl>(io.context(), interval, std::move(beat))) {
  io_.post([impl = impl_] { impl->start(); });
}

Heartbeat::~Heartbeat() {
  io_.run_and_wait([this] { impl_->stop(); });
}

}  // namespace shoal::client
