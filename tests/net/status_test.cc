// SPDX-License-Identifier: Apache-2.0
// What a person reads when a call fails, and the codes that programs act on.
#include "net/status.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "proto/limits.h"

namespace shoal::net {
namespace {

absl::Status translated(grpc::StatusCode code, const std::string& message) {
  return to_absl(grpc::Status(code, message), "node 1a2b3c4d at 192.0.2.1:7000");
}

TEST(Status, CodesSurviveBothWays) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status there(static_cast<absl::StatusCode>(code), "the reason");
    const grpc::Status wire = to_grpc(there);
    EXPECT_EQ(static_cast<int>(wire.error_code()), code);
    EXPECT_EQ(to_absl(wire, "x").code(), there.code());
  }
  EXPECT_TRUE(to_grpc(absl::OkStatus()).ok());
  EXPECT_TRUE(to_absl(grpc::Status::OK, "x").ok());
  EXPECT_EQ(translated(static_cast<grpc::StatusCode>(20), "?").code(), absl::StatusCode::kUnknown);
}

TEST(Status, TheContextComesFirstAndTheReasonIsKept) {
  EXPECT_EQ(translated(grpc::StatusCode::RESOURCE_EXHAUSTED, "no KV pages left").message(),
            "node 1a2b3c4d at 192.0.2.1:7000: no KV pages left");
  EXPECT_EQ(translated(grpc::StatusCode::INTERNAL, "").message(),
            "node 1a2b3c4d at 192.0.2.1:7000: it failed without a reason: look into the log of "
            "that node");
  EXPECT_EQ(to_absl(grpc::Status(grpc::StatusCode::INTERNAL, "broken"), "").message(), "broken");
}

TEST(Status, TextsOfGrpcBecomeAdvice) {
  const struct {
    const char* grpc_says;
    absl::StatusCode code;
    const char* we_say;
  } cases[] = {
      {"Socket closed", absl::StatusCode::kUnavailable, "closed the connection"},
      {"recvmsg:Connection reset by peer", absl::StatusCode::kUnavailable, "closed the connection"},
      {"GOAWAY received", absl::StatusCode::kUnavailable, "shutting down"},
  };
  for (const auto& test : cases) {
    const absl::Status status = translated(grpc::StatusCode::UNAVAILABLE, test.grpc_says);
    EXPECT_EQ(status.code(), test.code) << test.grpc_says;
    EXPECT_NE(std::string(status.message()).find(test.we_say), std::string::npos) << status;
    // That is for who has one, and our own check of the certificate says it.
    EXPECT_EQ(std::string(status.message()).find("--swarm-key"), std::string::npos) << status;
  }
  EXPECT_NE(
      std::string(translated(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded").message())
          .find("did not answer in time"),
      std::string::npos);
}

TEST(Status, FailuresToConnectSayWhatToCheck) {
  const std::pair<int, const char*> cases[] = {{ECONNREFUSED, "nothing listens there"},
                                               {EHOSTUNREACH, "no route"},
                                               {ENETUNREACH, "cannot be reached from here"},
                                               {EAFNOSUPPORT, "IPv6?"},
                                               {ETIMEDOUT, "firewall"},
                                               {ECONNRESET, "look into its log"},
                                               {EMFILE, "ulimit -n"},
                                               {EIO, "Input/output error"}};
  for (const auto& [error, words] : cases) {
    const absl::Status status = connect_failure(error);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_NE(std::string(status.message()).find(words), std::string::npos) << status;
  }
}

TEST(Status, APeersOwnReasonIsNotMistakenForGrpcs) {
  for (const std::string reason :
       {"the hop after me says: Connection refused", "the hop after me says: Socket closed",
        "Custom verification check failed with error: UNAUTHENTICATED: so I claim"}) {
    const absl::Status status = translated(grpc::StatusCode::UNAVAILABLE, reason);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_NE(std::string(status.message()).find(reason), std::string::npos) << status;
  }
}

TEST(Status, APeersTextIsBoundedAndCannotPlayWithTheTerminal) {
  const absl::Status status =
      translated(grpc::StatusCode::INTERNAL, "\x1b[2J\nowned\x7f" + std::string(1 << 20, 'x'));
  EXPECT_LE(status.message().size(), proto::kMaxReasonBytes + 100);
  for (const char c : std::string(status.message())) {
    EXPECT_GE(static_cast<unsigned char>(c), 0x20);
    EXPECT_NE(c, 0x7f);
  }
  EXPECT_LE(to_grpc(absl::InternalError(std::string(1 << 20, 'x'))).error_message().size(),
            proto::kMaxReasonBytes);
}

}  // namespace
}  // namespace shoal::net
