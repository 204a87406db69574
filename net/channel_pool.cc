// SPDX-License-Identifier: Apache-2.0
#include "net/channel_pool.h"

#include <grpc/compression.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include <list>
#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "net/flow_control.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

grpc::ChannelArguments arguments() {
  grpc::ChannelArguments result;
  result.SetMaxReceiveMessageSize(static_cast<int>(proto::kMaxMessageBytes));
  result.SetMaxSendMessageSize(static_cast<int>(proto::kMaxMessageBytes));
  result.SetSslTargetNameOverride(
      kTlsName);  // in every certificate; who it is, the verifier decides
  const auto set = [&](const char* name, std::uint64_t value) {
    result.SetInt(name, static_cast<int>(value));
  };
  limit_flow_control(set);
  // gRPC shares connections between channels of equal arguments; the expected peer is no argument.
  set(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  set(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  set(GRPC_ARG_ENABLE_RETRIES, 0);  // steps are retried by who knows what they mean
  set(GRPC_ARG_MAX_METADATA_SIZE, proto::kMaxMetadataBytes);
  set(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1u << GRPC_COMPRESS_NONE);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, proto::kKeepaliveTimeMs);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, proto::kKeepaliveTimeoutMs);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // a session waiting for its user is still watched
  // The so-called minimum backoff is gRPC's time limit for one connection attempt.
  set(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, proto::kConnectTimeoutMs);
  set(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, proto::kReconnectMinMs);
  set(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, proto::kReconnectMaxMs);
  // Before the server does, so that no call meets a closing connection.
  set(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, proto::kMaxConnectionIdleMs / 2);
  return result;
}

// The threads that run reactors live as long as a channel or server of the process uses them. A
// stream that ends may be the last to hold its channel, and that one the last of the process: such
// a thread would then end, and free, itself, and gRPC 1.51 corrupts the heap. A server without a
// port keeps them for good.
void keep_reactor_threads() {
  static auto* const service = new grpc::CallbackGenericService;
  static auto* const server = [] {
    grpc::ServerBuilder builder;
    builder.RegisterCallbackGenericService(service);
    return builder.BuildAndStart().release();
  }();
  CHECK(server != nullptr);
}

// gRPC tries them in this order; those of the other family than the first do not fit into one name.
std::string target(const std::vector<proto::Endpoint>& addresses) {
  std::string result = addresses.front().is_v4() ? "ipv4:" : "ipv6:";
  const char* separator = "";
  for (const proto::Endpoint& address : addresses) {
    if (address.is_v4() != addresses.front().is_v4()) continue;
    absl::StrAppend(&result, separator, proto::to_string(address));
    separator = ",";
  }
  return result;
}

}  // namespace

class ChannelPool::Impl {
 public:
  Impl(const dht::Identity& identity, std::optional<dht::SwarmKey> swarm_key)
      : swarm_key_(swarm_key),
        certificate_((init_transport(), make_certificate(identity, swarm_key))) {
    keep_reactor_threads();
  }

  std::shared_ptr<grpc::Channel> get(const proto::PeerId& peer,
                                     const std::vector<proto::Endpoint>& addresses) {
    CHECK(!addresses.empty());
    std::shared_ptr<grpc::Channel> evicted;  // dies after the lock
    const std::lock_guard lock(mutex_);
    if (const auto found = channels_.find(peer); found != channels_.end()) {
      if (found->second.addresses == addresses ||
          found->second.channel->GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE) {
        order_.splice(order_.begin(), order_, found->second.place);
        return found->second.channel;
      }
      evicted = remove(found);
    }
    if (channels_.size() >= proto::kMaxChannels) evicted = evict();
    std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
        target(addresses), channel_credentials(certificate_, swarm_key_, peer), arguments());
    order_.push_front(peer);
    channels_.emplace(peer, Entry{channel, addresses, order_.begin()});
    return channel;
  }

  void drop(const proto::PeerId& peer) {
    std::shared_ptr<grpc::Channel> dropped;
    const std::lock_guard lock(mutex_);
    if (const auto found = channels_.find(peer); found != channels_.end()) dropped = remove(found);
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return channels_.size();
  }

 private:
  struct Entry {
    std::shared_ptr<grpc::Channel> channel;
    std::vector<proto::Endpoint> addresses;
    std::list<proto::PeerId>::iterator place;
  };
  using Channels = std::map<proto::PeerId, Entry>;

  std::shared_ptr<grpc::Channel> remove(Channels::iterator entry) {
    std::shared_ptr<grpc::Channel> channel = std::move(entry->second.channel);
    order_.erase(entry->second.place);
    channels_.erase(entry);
    return channel;
  }

  // The longest unused that nobody holds, else the longest unused: whoever holds that one keeps it
  // working.
  std::shared_ptr<grpc::Channel> evict() {
    for (auto peer = order_.rbegin(); peer != order_.rend(); ++peer) {
      const auto entry = channels_.find(*peer);
      if (entry->second.channel.use_count() == 1) return remove(entry);
    }
    return remove(channels_.find(order_.back()));
  }

  const std::optional<dht::SwarmKey> swarm_key_;
  const Certificate certificate_;
  mutable std::mutex mutex_;
  Channels channels_;
  std::list<proto::PeerId> order_;  // latest use first
};

ChannelPool::ChannelPool(dht::Identity identity, std::optional<dht::SwarmKey> swarm_key)
    : impl_(std::make_unique<Impl>(identity, swarm_key)) {}
ChannelPool::~ChannelPool() = default;

std::shared_ptr<grpc::Channel> ChannelPool::get(const proto::PeerId& peer,
                                                const std::vector<proto::Endpoint>& addresses) {
  return impl_->get(peer, addresses);
}
void ChannelPool::drop(const proto::PeerId& peer) { impl_->drop(peer); }
std::optional<proto::Endpoint> ChannelPool::connected_address(const proto::PeerId&) const {
  return std::nullopt;  // gRPC does not tell
}
std::size_t ChannelPool::size() const { return impl_->size(); }

}  // namespace shoal::net
