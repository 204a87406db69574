// SPDX-License-Identifier: Apache-2.0
#include "client/serve/http_server.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <list>
#include <map>
#include <utility>
#include <vector>

#include "client/serve/api_error.h"
#include "client/serve/http_connection.h"
#include "net/io_thread.h"
#include "proto/endpoint.h"

namespace shoal::client {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

namespace {

constexpr std::size_t kHandlerThreads = 2;
// After accept() failed for want of descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};

}  // namespace

class HttpServer::Impl : public HttpHost, public std::enable_shared_from_this<Impl> {
 public:
  Impl(const HttpLimits& limits, HttpHandler handler)
      : limits_(limits), handler_(std::move(handler)), io_("http"), pool_(kHandlerThreads) {}

  absl::Status listen(const std::string& address) {
    const std::string spelled = proto::spelled_out(address, proto::AddressUse::kListen);
    if (auto status = proto::check_address(spelled, proto::AddressUse::kListen); !status.ok()) {
      return status;
    }
    const auto parsed = proto::parse_host_port(spelled);
    if (!parsed.ok()) return parsed.status();
    boost::system::error_code error;
    Tcp::resolver resolver(io_.context());
    const auto found =
        resolver.resolve(parsed->host, std::to_string(parsed->port), Tcp::resolver::passive, error);
    if (error) {
      return absl::InvalidArgumentError(
          fmt::format("{} is no address of this machine: {}", address, error.message()));
    }
    for (const auto& entry : found) {
      Tcp::endpoint endpoint = entry.endpoint();
      if (!acceptors_.empty()) endpoint.port(port());  // the free one, on each
      Tcp::acceptor acceptor(io_.context());
      acceptor.open(endpoint.protocol(), error);
      if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
      const bool all = endpoint.address().is_unspecified() && endpoint.address().is_v6();
      if (!error && endpoint.address().is_v6()) {
        acceptor.set_option(asio::ip::v6_only(!all), error);
      }
      if (!error) acceptor.bind(endpoint, error);
      if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
      if (error) break;
      acceptors_.push_back(std::move(acceptor));
    }
    if (!acceptors_.empty() && !error) return absl::OkStatus();
    return absl::UnavailableError(fmt::format(
        "cannot listen on {}: {}; give another with --listen HOST:PORT", address, error.message()));
  }
  void run() {
    io_.run_and_wait([this] {
      for (Tcp::acceptor& acceptor : acceptors_) accept(acceptor);
    });
  }
  std::uint16_t port() const { return acceptors_.front().local_endpoint().port(); }
  std::size_t connections() const { return count_; }
  void stop_accepting() {
    io_.run_and_wait([this] {
      stopping_ = true;
      for (Tcp::acceptor& acceptor : acceptors_) {
        boost::system::error_code ignored;
        acceptor.close(ignored);
      }
      const auto idle = idle_;
      for (HttpConnection* one : idle) one->close();
    });
  }
  void end() {
    stop_accepting();
    io_.run_and_wait([this] {
      const auto all = connections_;
      for (const auto& [key, one] : all) one->close();
    });
    pool_.join();
    io_.run_and_wait([this] { acceptors_.clear(); });  // behind all that was cancelled
  }

  const HttpLimits& limits() const override { return limits_; }
  void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override {
    asio::post(pool_, [this, request = std::move(request), reply = std::move(reply)]() mutable {
      try {
        handler_(std::move(request), reply);
      } catch (const std::exception& error) {  // out of memory, or a library that threw
        reply->respond(
            error_response({500, error.what(), "server_error", std::nullopt, "internal"}));
      }
    });
  }
  bool take_body(std::size_t bytes) override {
    if (bytes > limits_.all_bodies_bytes - bodies_) return false;
    bodies_ += bytes;
    return true;
  }
  void give_back_body(std::size_t bytes) override { bodies_ -= bytes; }
  void idle(HttpConnection& connection, bool is_idle) override {
    if (is_idle) {
      idle_places_[&connection] = idle_.insert(idle_.end(), &connection);
    } else if (const auto found = idle_places_.find(&connection); found != idle_places_.end()) {
      idle_.erase(found->second);
      idle_places_.erase(found);
    }
  }
  void closed(HttpConnection& connection) override {
    connections_.erase(&connection);
    count_ = connections_.size();
  }
  bool stopping() const override { return stopping_; }

 private:
  void accept(Tcp::acceptor& acceptor) {
    acceptor.async_accept([this, &acceptor](boost::system::error_code error, Tcp::socket socket) {
      if (stopping_) return;
      if (!error) {
        take(std::move(socket));
        return accept(acceptor);
      }
      make_room();
      auto pause = std::make_shared<asio::steady_timer>(io_.context(), kAcceptPause);
      pause->async_wait([this, pause, &acceptor](boost::system::error_code) {
        if (!stopping_) accept(acceptor);
      });
    });
  }
  bool make_room() {
    if (idle_.empty()) return false;
    idle_.front()->close();
    return true;
  }
  void take(Tcp::socket socket) {
    boost::system::error_code ignored;
    socket.set_option(Tcp::no_delay(true), ignored);
    const bool full = connections_.size() >= limits_.connections && !make_room();
    if (connections_.size() > 2 * limits_.connections) return;  // those that are being refused
    auto connection = std::make_shared<HttpConnection>(std::move(socket), *this);
    connections_[connection.get()] = connection;
    count_ = connections_.size();
    if (full) return connection->refuse(503, "the server has as many connections as it takes");
    connection->start();
  }

  const HttpLimits limits_;
  const HttpHandler handler_;
  net::IoThread io_;  // outlives the sockets
  // The thread's, as all below but count_.
  std::vector<Tcp::acceptor> acceptors_;
  std::map<HttpConnection*, std::shared_ptr<HttpConnection>> connections_;
  std::list<HttpConnection*> idle_;  // longest first
  std::map<HttpConnection*, std::list<HttpConnection*>::iterator> idle_places_;
  std::size_t bodies_ = 0;
  bool stopping_ = false;
  std::atomic<std::size_t> count_{0};
  asio::thread_pool pool_;
};

HttpServer::HttpServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { impl_->end(); }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& listen,
                                                              const HttpLimits& limits,
                                                              HttpHandler handler) {
  auto impl = std::make_shared<Impl>(limits, std::move(handler));
  if (auto status = impl->listen(listen); !status.ok()) return status;
  impl->run();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const { return impl_->port(); }
std::size_t HttpServer::connections() const { return impl_->connections(); }
void HttpServer::stop_accepting() { impl_->stop_accepting(); }

}  // namespace shoal::client
