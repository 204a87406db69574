// SPDX-License-Identifier: Apache-2.0
// Mutual TLS 1.3 for gRPC, bound to PeerId: a self-signed certificate of the peer's Ed25519 key, CN
// = hex(PeerId), and our own verifier on both sides. In a private swarm the certificate carries a
// proof of the swarm key (docs/protocol.md). Credentials may be used from any thread.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <optional>

#include "identity/certificate.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"

namespace shoal::net {

// Leaves TLS 1.3 as the only version gRPC can speak, and sends gRPC's own log to ours at debug
// level. Call first thing in main (and in test mains), before any other gRPC call and before any
// thread. Idempotent.
void init_transport();

std::shared_ptr<grpc::ServerCredentials> server_credentials(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key);
// Accepts exactly the peer `expected`.
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key,
    const proto::PeerId& expected);
// The same with a certificate made before (by identity::make_certificate with this swarm key).
std::shared_ptr<grpc::ChannelCredentials> channel_credentials(
    const identity::Certificate& certificate, const std::optional<identity::SwarmKey>& swarm_key,
    const proto::PeerId& expected);

}  // namespace shoal::net
