// SPDX-License-Identifier: Apache-2.0
// Bare containers have no authorities' certificates; peers need none. A process of its own: gRPC
// looks once.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "net/channel_pool.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"
#include "tests/support/temp_dir.h"

namespace shoal::net {
namespace {

TEST(NoRoots, PeersTalkWithoutAnyAuthority) {
  // A missing file would send gRPC on to the next place it knows; this one has no certificate in
  // it.
  const tests::TempDir folder;
  tests::write_file(folder.file("roots.pem"), "no certificate at all\n");
  setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", folder.file("roots.pem").c_str(), 1);
  const identity::Identity node_identity = identity::identity_of(1);
  EchoNode node(node_identity, identity::swarm_key_of(1));
  ChannelPool pool(identity::identity_of(2), identity::swarm_key_of(1));
  const Answer answer = describe(pool.get(node_identity.peer_id(), {node.running.endpoint}));
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();

  // What happens to a client that names no root: were this to succeed, the test above would show
  // nothing.
  const identity::Certificate own =
      identity::make_certificate(identity::identity_of(2), identity::swarm_key_of(1));
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
          std::vector<grpc::experimental::IdentityKeyCertPair>{
              {own.private_key_pem, own.certificate_pem}}));
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  const Answer without = describe(grpc::CreateChannel(proto::to_string(node.running.endpoint),
                                                      grpc::experimental::TlsCredentials(options)));
  EXPECT_FALSE(without.status.ok());
}

}  // namespace
}  // namespace shoal::net
