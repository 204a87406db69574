// SPDX-License-Identifier: Apache-2.0
// Who may talk to whom: every pair of right and wrong certificates, keys and swarms, over real
// connections.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <thread>

#include "net/channel_pool.h"
#include "net/status.h"
#include "tests/identity/examples.h"
#include "tests/identity/other_certificates.h"
#include "tests/net/echo_node.h"

namespace shoal::net {
namespace {

namespace tls = grpc::experimental;

const identity::Identity kNode = identity::identity_of(1);
const identity::Identity kClient = identity::identity_of(2);

std::shared_ptr<grpc::Channel> open(const proto::Endpoint& node,
                                    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(proto::to_string(node), credentials, arguments);
}

// A client that follows no rule of ours: shows any certificate or none, and accepts any server.
std::shared_ptr<grpc::ChannelCredentials> lawless(
    const std::optional<identity::Certificate>& certificate) {
  const std::string root = identity::make_certificate(kClient, {}).certificate_pem;
  tls::TlsChannelCredentialsOptions options;
  if (certificate) {
    options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(
        root, std::vector<tls::IdentityKeyCertPair>{
                  {certificate->private_key_pem, certificate->certificate_pem}}));
    options.watch_identity_key_cert_pairs();
  } else {
    options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(root));
  }
  options.watch_root_certs();
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
  return tls::TlsCredentials(options);
}

// What our own dialling comes to.
absl::Status dialled(const proto::Endpoint& node, const proto::PeerId& expected,
                     const std::optional<identity::SwarmKey>& swarm_key = {}) {
  ChannelPool pool(kClient, swarm_key);
  return to_absl(describe(pool.get(expected, {node})).status, "the node");
}

// The node hung up on a stranger, before it answered anything.
void expect_hung_up(const std::shared_ptr<grpc::Channel>& channel) {
  const grpc::Status status = describe(channel).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
  const std::string& words = status.error_message();
  EXPECT_TRUE(words.find("ocket closed") != words.npos ||
              words.find("Endpoint read failed") != words.npos ||
              words.find("reset by peer") != words.npos ||
              words.find("Broken pipe") != words.npos || words.find("closing") != words.npos)
      << words;
}

absl::Status outcome(const std::shared_ptr<grpc::Channel>& channel) {
  return to_absl(describe(channel).status, "the node");
}

void expect_says(const absl::Status& status, absl::StatusCode code, const std::string& words) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_NE(std::string(status.message()).find(words), std::string::npos) << status;
  EXPECT_EQ(std::string(status.message()).find('\n'), std::string::npos) << status;
}

TEST(Handshake, RightKeysSucceedAndTheNodeKnowsTheCaller) {
  EchoNode node(kNode);
  ChannelPool pool(kClient, {});
  const Answer answer = describe(pool.get(kNode.peer_id(), {node.running.endpoint}));
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.peer_id, kClient.peer_id().to_bytes());
  const auto address = proto::parse_endpoint(answer.address);
  ASSERT_TRUE(address.ok()) << address.status();
  EXPECT_TRUE(address->is_v4() && address->is_loopback()) << answer.address;
}

TEST(Handshake, WorksOverIpv6) {
  EchoNode node(kNode, {}, "[::1]:0");
  ChannelPool pool(kClient, {});
  const Answer answer = describe(pool.get(kNode.peer_id(), {node.running.endpoint}));
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.address.find("[::1]:"), 0u) << answer.address;
}

TEST(Handshake, AnotherPeerThanExpectedIsRefusedByTheClientAndBothAreNamed) {
  EchoNode node(kNode);
  const identity::Identity other = identity::identity_of(3);
  const absl::Status status = dialled(node.running.endpoint, other.peer_id());
  expect_says(status, absl::StatusCode::kUnauthenticated, proto::short_name(kNode.peer_id()));
  expect_says(status, absl::StatusCode::kUnauthenticated, proto::short_name(other.peer_id()));
}

TEST(Handshake, ACertificateOfAnotherKindOfKeyIsRefusedByTheNode) {
  EchoNode node(kNode);
  const identity::Certificate p256 =
      identity::certificate_of_kind(identity::KeyKind::kP256, proto::to_string(kClient.peer_id()));
  expect_hung_up(open(node.running.endpoint, lawless(p256)));
}

TEST(Handshake, ACertificateWithAnotherPeersNameIsRefusedByTheNode) {
  EchoNode node(kNode);
  const identity::Certificate forged = identity::certificate_of_kind(
      identity::KeyKind::kEd25519, proto::to_string(kClient.peer_id()));
  expect_hung_up(open(node.running.endpoint, lawless(forged)));
}

TEST(Handshake, NoClientCertificateIsRefusedByTheNode) {
  EchoNode node(kNode);
  const absl::Status status = outcome(open(node.running.endpoint, lawless(std::nullopt)));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST(Handshake, ACertificateIsUselessWithoutItsKey) {
  EchoNode node(kNode);
  identity::Certificate stolen = identity::make_certificate(kClient, {});
  stolen.private_key_pem = identity::make_certificate(identity::identity_of(3), {}).private_key_pem;
  const absl::Status status = outcome(open(node.running.endpoint, lawless(stolen)));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST(Handshake, AnInsecureClientIsRefused) {
  EchoNode node(kNode);
  expect_hung_up(open(node.running.endpoint, grpc::InsecureChannelCredentials()));
}

TEST(Handshake, AnInsecureServerIsRefused) {
  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const absl::Status status = dialled(loopback(static_cast<std::uint16_t>(port)), kNode.peer_id());
  expect_says(status, absl::StatusCode::kUnavailable, "no node of this protocol");
}

TEST(Handshake, OnAnInsecureServerNobodyIsKnown) {
  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const absl::Status status =
      outcome(open(loopback(static_cast<std::uint16_t>(port)), grpc::InsecureChannelCredentials()));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
}

struct SwarmCase {
  int node_key, client_key;  // 0: none
  const char* client_reads;
};

TEST(Handshake, SwarmKeysMustBeTheSame) {
  const SwarmCase cases[] = {
      {1, 1, nullptr},
      {1, 2, "proves another swarm key"},
      {1, 0, "belongs to a private swarm"},
      {0, 1, "shows no membership"},
      {0, 0, nullptr},
  };
  for (const SwarmCase& test : cases) {
    SCOPED_TRACE(testing::Message() << "node " << test.node_key << ", client " << test.client_key);
    const auto key = [](int number) {
      return number == 0 ? std::nullopt : std::optional(identity::swarm_key_of(number));
    };
    EchoNode node(kNode, key(test.node_key));
    const absl::Status status =
        dialled(node.running.endpoint, kNode.peer_id(), key(test.client_key));
    if (test.client_reads == nullptr) {
      EXPECT_TRUE(status.ok()) << status;
    } else {
      expect_says(status, absl::StatusCode::kUnauthenticated, test.client_reads);
      expect_says(status, absl::StatusCode::kUnauthenticated, "--swarm-key");
    }
  }
}

TEST(Handshake, TheNodeItselfRefusesOtherSwarmsWhateverTheClientAccepts) {
  for (const std::optional<identity::SwarmKey>& shown :
       {std::optional<identity::SwarmKey>(), std::optional(identity::swarm_key_of(2))}) {
    EchoNode node(kNode, identity::swarm_key_of(1));
    expect_hung_up(
        open(node.running.endpoint, lawless(identity::make_certificate(kClient, shown))));
  }
  EchoNode node(kNode);
  expect_hung_up(open(node.running.endpoint,
                      lawless(identity::make_certificate(kClient, identity::swarm_key_of(1)))));
}

TEST(Handshake, AMembersProofIsUselessToAnotherIdentity) {
  EchoNode node(kNode, identity::swarm_key_of(1));
  // The stranger copies the proof out of a member's certificate into one of its own.
  std::string proof;
  identity::changed_certificate(
      identity::identity_of(3), identity::swarm_key_of(1), [&](X509* member) {
        ASN1_OBJECT* object = OBJ_txt2obj(identity::kMembershipOid, 1);
        const int at = X509_get_ext_by_OBJ(member, object, -1);
        ASN1_OBJECT_free(object);
        const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(member, at));
        proof.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<std::size_t>(ASN1_STRING_length(value)));
      });
  ASSERT_EQ(proof.size(), 34u);
  identity::Certificate stranger = identity::make_certificate(kClient, {});
  stranger.certificate_pem = identity::changed_certificate(kClient, {}, [&](X509* own) {
    identity::add_raw_extension(own, identity::kMembershipOid, proof, false);
  });
  expect_hung_up(open(node.running.endpoint, lawless(stranger)));
}

TEST(Handshake, EachOfManyCallersIsKnownAsItself) {
  EchoNode node(kNode, identity::swarm_key_of(1));
  constexpr int kCallers = 24;
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < kCallers; ++i) {
    threads.emplace_back([&, i] {
      const identity::Identity caller = identity::identity_of(100 + i);
      ChannelPool pool(caller, identity::swarm_key_of(1));
      for (int round = 0; round < 20; ++round) {
        if (round % 5 == 0) pool.drop(kNode.peer_id());
        const Answer answer = describe(pool.get(kNode.peer_id(), {node.running.endpoint}));
        right += answer.status.ok() && answer.peer_id == caller.peer_id().to_bytes();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, kCallers * 20);
}

}  // namespace
}  // namespace shoal::net
