// SPDX-License-Identifier: Apache-2.0
// A server under its limits: ports, hostile bytes, oversized and compressed messages, and hundreds
// of lives.
#include "net/server.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "net/channel_pool.h"
#include "proto/limits.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"
#include "tests/support/own_process.h"

namespace shoal::net {
namespace {

const identity::Identity kNode = identity::identity_of(1);
const identity::Identity kClient = identity::identity_of(2);

int tcp_connect(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return fd;
}

// True when the other side closes within timeout_ms, whatever it sends before.
bool closed_within(int fd, int timeout_ms) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  char buffer[4096];
  while (std::chrono::steady_clock::now() < end) {
    pollfd poll_for{fd, POLLIN, 0};
    if (poll(&poll_for, 1, 50) > 0 && read(fd, buffer, sizeof(buffer)) <= 0) return true;
  }
  return false;
}

TEST(Server, PicksAPortAndReportsIt) {
  EchoNode node(kNode);
  EXPECT_NE(node.running.endpoint.port, 0);
  EXPECT_TRUE(node.running.endpoint.is_loopback());
}

TEST(Server, ATakenPortIsNamedWithTheWayOut) {
  EchoNode first(kNode);
  for (const std::string host : {"127.0.0.1", "0.0.0.0"}) {
    EchoService service;
    const auto taken =
        proto::parse_endpoint(host + ":" + std::to_string(first.running.endpoint.port));
    const auto second = start_server(*taken, kNode, {}, {&service});
    ASSERT_FALSE(second.ok()) << host;
    EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
    const std::string message(second.status().message());
    EXPECT_NE(message.find(proto::to_string(*taken)), std::string::npos) << message;
    EXPECT_NE(message.find("--listen"), std::string::npos) << message;
  }
}

TEST(Server, AForeignAddressIsNamed) {
  EchoService service;
  const auto server = start_server(*proto::parse_endpoint("192.0.2.1:0"), kNode, {}, {&service});
  ASSERT_FALSE(server.ok());
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << server.status();
}

TEST(Server, ListensOnIpv6AndOnAllAddresses) {
  for (const std::string listen : {"[::1]:0", "[::]:0", "0.0.0.0:0"}) {
    EchoNode node(kNode, {}, listen);
    EXPECT_NE(node.running.endpoint.port, 0) << listen;
    ChannelPool pool(kClient, {});
    proto::Endpoint to = *proto::parse_endpoint(listen[0] == '[' ? "[::1]:1" : "127.0.0.1:1");
    to.port = node.running.endpoint.port;
    EXPECT_TRUE(describe(pool.get(kNode.peer_id(), {to})).status.ok()) << listen;
  }
}

TEST(Server, ThePortIsFreeAgainAtOnce) {
  proto::Endpoint endpoint;
  for (int round = 0; round < 5; ++round) {
    EchoNode node(kNode, {}, round == 0 ? "127.0.0.1:0" : proto::to_string(endpoint));
    endpoint = node.running.endpoint;
    ChannelPool pool(kClient, {});
    ASSERT_TRUE(describe(pool.get(kNode.peer_id(), {endpoint})).status.ok());
  }
}

TEST(Server, GarbageIsHungUpOnAndOthersAreServedMeanwhile) {
  EchoNode node(kNode);
  ChannelPool pool(kClient, {});
  std::mt19937 random(5);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                          11);  // half a ClientHello
  for (int round = 0; round < 60; ++round) {
    const int fd = tcp_connect(node.running.endpoint.port);
    std::string bytes(random() % 3000 + 6, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (round % 4 == 0) bytes = preface + bytes;
    if (round % 4 == 1) bytes = hello + bytes;
    if (round % 4 == 2) bytes = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    [[maybe_unused]] const auto sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (round % 4 == 0 || round % 4 == 2) {
      EXPECT_TRUE(closed_within(fd, 3000)) << round;
    }
    close(fd);
    if (round % 10 == 0) {
      EXPECT_TRUE(describe(pool.get(kNode.peer_id(), {node.running.endpoint})).status.ok());
    }
  }
}

TEST(Server, AConnectionThatSaysNothingIsClosedAfterTheHandshakeTimeout) {
  EchoNode node(kNode);
  const int silent = tcp_connect(node.running.endpoint.port);
  const int slow = tcp_connect(node.running.endpoint.port);
  EXPECT_EQ(send(slow, "\x16\x03\x01\x02", 4, MSG_NOSIGNAL), 4);
  EXPECT_TRUE(closed_within(silent, static_cast<int>(proto::kConnectTimeoutMs) + 3000));
  EXPECT_TRUE(closed_within(slow, 3000));
  close(silent);
  close(slow);
}

// Requests beyond our own client's limits.
grpc::Status oversized(const std::shared_ptr<grpc::Channel>& channel, std::size_t bytes,
                       grpc_compression_algorithm compression = GRPC_COMPRESS_NONE,
                       std::size_t metadata_bytes = 0) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  context.set_compression_algorithm(compression);
  if (metadata_bytes > 0) context.AddMetadata("x", std::string(metadata_bytes, 'x'));
  wire::DescribeRequest request;  // an unknown field of that size
  const std::string field(bytes, '\0');
  request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(100, field);
  wire::DescribeReply reply;
  return wire::SpanService::NewStub(channel)->Describe(&context, request, &reply);
}

std::shared_ptr<grpc::Channel> unlimited_channel(const proto::Endpoint& node) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(proto::to_string(node),
                                   channel_credentials(kClient, {}, kNode.peer_id()), arguments);
}

TEST(Server, MessagesUpToTheLimitPassAndLargerOnesAreRefused) {
  EchoNode node(kNode);
  const auto channel = unlimited_channel(node.running.endpoint);
  EXPECT_TRUE(oversized(channel, proto::kMaxMessageBytes - 100).ok());
  EXPECT_EQ(oversized(channel, proto::kMaxMessageBytes + 1).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(describe(channel).status.ok());
}

TEST(Server, CompressedMessagesAreRefusedBeforeTheyUnpack) {
  EchoNode node(kNode);
  const auto channel = unlimited_channel(node.running.endpoint);
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    const grpc::Status status = oversized(channel, 64u << 20, algorithm);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << status.error_message();
  }
  EXPECT_TRUE(describe(channel).status.ok());
}

TEST(Server, LargeMetadataIsRefused) {
  EchoNode node(kNode);
  const auto channel = unlimited_channel(node.running.endpoint);
  EXPECT_TRUE(oversized(channel, 1, GRPC_COMPRESS_NONE, 1000).ok());
  EXPECT_FALSE(oversized(channel, 1, GRPC_COMPRESS_NONE, 2 * proto::kMaxMetadataBytes).ok());
  // The server may end that connection, but goes on with all others.
  EXPECT_TRUE(describe(unlimited_channel(node.running.endpoint)).status.ok());
}

TEST(Server, TwoHundredLivesLeaveNothingBehind) {
  const auto live = [] {
    EchoNode node(kNode, identity::swarm_key_of(1));
    ChannelPool pool(kClient, identity::swarm_key_of(1));
    ASSERT_TRUE(describe(pool.get(kNode.peer_id(), {node.running.endpoint})).status.ok());
  };
  for (int i = 0; i < 20; ++i) live();
  const std::int64_t before = tests::open_descriptors();
  for (int i = 0; i < 200; ++i) live();
  std::int64_t after = tests::open_descriptors();
  for (int wait = 0; wait < 100 && after > before; ++wait) {  // gRPC closes in the background
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    after = tests::open_descriptors();
  }
  EXPECT_LE(after, before);
}

}  // namespace
}  // namespace shoal::net
