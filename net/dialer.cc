// SPDX-License-Identifier: Apache-2.0
#include "net/dialer.h"

#include <grpc/compression.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/create_channel_posix.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/steady_timer.hpp>
#include <set>

#include "net/flow_control.h"
#include "net/interfaces.h"
#include "net/io_thread.h"
#include "net/puncher.h"
#include "net/tls_context.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments result;
  result.SetMaxReceiveMessageSize(static_cast<int>(proto::kMaxMessageBytes));
  result.SetMaxSendMessageSize(static_cast<int>(proto::kMaxMessageBytes));
  const auto set = [&](const char* name, std::uint64_t value) {
    result.SetInt(name, static_cast<int>(value));
  };
  limit_flow_control(set);
  set(GRPC_ARG_ENABLE_RETRIES, 0);  // steps are retried by who knows what they mean
  set(GRPC_ARG_MAX_METADATA_SIZE, proto::kMaxMetadataBytes);
  set(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, proto::kKeepaliveTimeMs);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, proto::kKeepaliveTimeoutMs);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // a session waiting for its user is still watched
  return result;
}

std::vector<proto::Endpoint> own_addresses() {
  std::vector<proto::Endpoint> result;
  for (const InterfaceAddress& address : interface_addresses()) {
    if (!address.loopback && !address.temporary) result.push_back(address.address);
  }
  return result;
}

}  // namespace

class Dialer::Impl {
 public:
  Impl(const identity::Certificate& own, const std::optional<identity::SwarmKey>& swarm_key,
       std::function<void()> every_second)
      : tls_(own, swarm_key), every_second_(std::move(every_second)), timer_(io_.context()) {
    io_.post([this] { tick(); });
  }

  ~Impl() {
    io_.run_and_wait([this] {
      ending_ = true;
      timer_.cancel();
      for (const auto& puncher : punchers_) puncher->cancel();
      punchers_.clear();
      for (const auto& connection : std::set(connections_)) connection->close();
    });
  }

  // `begin` is called on the thread.
  template <typename Begin>
  Dialled open(const proto::PeerId& peer, Begin begin) {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      // A name that nothing can be behind: gRPC fails each call, and says that there is no such
      // file.
      return {grpc::CreateCustomChannel("unix:/dev/null/no-descriptor-left",
                                        grpc::InsecureChannelCredentials(), channel_arguments()),
              nullptr};
    }
    auto connection = std::make_shared<Outgoing>(io_.context(), tls_, peer, ends[0]);
    auto channel = grpc::CreateCustomInsecureChannelFromFd(proto::short_name(peer), ends[1],
                                                           channel_arguments());
    io_.post([this, connection, begin] {
      if (ending_) return connection->close();
      connections_.insert(connection);
      begin(*connection,
            [this, raw = connection.get()] { connections_.erase(raw->shared_from_this()); });
    });
    return {std::move(channel), std::move(connection)};
  }

  void meet(const proto::PeerId& peer, const std::shared_ptr<grpc::Channel>& channel,
            const Outgoing::Relayed& from,
            const std::function<void(absl::StatusOr<Dialled>)>& done) {
    io_.post([=, this] {
      if (ending_) return;
      const auto puncher = std::make_shared<Puncher>(io_.context(), tls_, peer, channel,
                                                     Puncher::From{from.local_port, from.seen});
      punchers_.insert(puncher);
      puncher->start(own_addresses(), [=, this](absl::StatusOr<Puncher::Met> met) {
        punchers_.erase(puncher);
        if (!met.ok()) return done(met.status());
        // The call below runs later, and must be copyable.
        const auto connection = std::make_shared<DialAttempt::Connection>();
        connection->socket = std::move(met->socket);
        connection->tls = std::move(met->tls);
        done(open(peer, [connection, at = proto::Address(met->at)](
                            Outgoing& outgoing, std::function<void()> on_closed) {
          outgoing.adopt(std::move(*connection), at, std::move(on_closed));
        }));
      });
    });
  }

  void add(const std::shared_ptr<Outgoing>& connection,
           const std::vector<proto::Address>& addresses) {
    io_.post([connection, addresses] { connection->add(addresses); });
  }

 private:
  void tick() {
    if (ending_) return;
    every_second_();
    timer_.expires_after(std::chrono::seconds(1));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (!error) tick();
    });
  }

  const TlsContext tls_;
  const std::function<void()> every_second_;
  bool ending_ = false;  // on the thread, as the rest
  std::set<std::shared_ptr<Puncher>> punchers_;
  std::set<std::shared_ptr<Outgoing>> connections_;  // those that gRPC may still use
  IoThread io_{"dial"};
  boost::asio::steady_timer timer_;
};

Dialer::Dialer(const identity::Certificate& own, const std::optional<identity::SwarmKey>& swarm_key,
               std::function<void()> every_second)
    : impl_(std::make_unique<Impl>(own, swarm_key, std::move(every_second))) {}
Dialer::~Dialer() = default;

Dialer::Dialled Dialer::dial(const proto::PeerId& peer,
                             const std::vector<proto::Address>& addresses,
                             const std::optional<proto::Address>& worked_last) {
  return impl_->open(peer, [=](Outgoing& connection, std::function<void()> on_closed) {
    connection.dial(addresses, worked_last, std::move(on_closed));
  });
}
Dialer::Dialled Dialer::refuse(const proto::PeerId& peer, const absl::Status& why) {
  return impl_->open(peer, [=](Outgoing& connection, std::function<void()> on_closed) {
    connection.refuse(why, std::move(on_closed));
  });
}
void Dialer::meet(const proto::PeerId& peer, const std::shared_ptr<grpc::Channel>& channel,
                  const Outgoing::Relayed& from,
                  const std::function<void(absl::StatusOr<Dialled>)>& done) {
  impl_->meet(peer, channel, from, done);
}
void Dialer::add(const std::shared_ptr<Outgoing>& connection,
                 const std::vector<proto::Address>& addresses) {
  impl_->add(connection, addresses);
}

}  // namespace shoal::net
