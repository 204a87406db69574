// SPDX-License-Identifier: Apache-2.0
#include "tests/net/parked_node.h"

#include <unistd.h>

#include "base/check.h"
#include "tests/net/echo_node.h"

namespace shoal::net {

RelayHost::RelayHost(const identity::Identity& who, const RelayOptions& options,
                     const std::optional<identity::SwarmKey>& swarm_key)
    : peer_(who.peer_id()), relay_(options) {
  auto started = start_server(loopback(), who, swarm_key, {});
  CHECK(started.ok()) << started.status().ToString();
  running_ = std::move(*started);
  running_.front->open_door(proto::kTunnelProtocol, relay_.door());
}

RelayHost::~RelayHost() { running_.front->close_door(proto::kTunnelProtocol); }

proto::Address RelayHost::address() const {
  return proto::Address::through(peer_, running_.endpoint);
}

bool RelayHost::has_parked(std::uint64_t connections) const {
  for (int i = 0; i < 500; ++i) {
    if (stats().parked == connections) return true;
    usleep(10'000);
  }
  return false;
}

std::optional<proto::TunnelReply> hear(TlsTalker& talker) {
  const std::string size = talker.receive(2);
  if (size.size() < 2) return std::nullopt;
  const auto bytes = static_cast<std::size_t>(static_cast<unsigned char>(size[0]) << 8 |
                                              static_cast<unsigned char>(size[1]));
  const auto reply = proto::decode_tunnel_reply(talker.receive(bytes));
  if (!reply.ok()) return std::nullopt;
  return *reply;
}

ParkedNode::ParkedNode(const identity::Identity& who, const proto::Endpoint& relay)
    : talker_(who, relay) {}

bool ParkedNode::parks() {
  if (!talker_.handshake(proto::kTunnelProtocol)) return false;
  if (!talker_.send(proto::encode_tunnel_request({}))) return false;
  const auto reply = hear(talker_);
  return reply && reply->kind == proto::TunnelReply::Kind::kParked;
}

int ParkedNode::await_caller() {
  const auto reply = hear(talker_);
  if (!reply || reply->kind != proto::TunnelReply::Kind::kStart) return -1;
  return talker_.release();
}

}  // namespace shoal::net
