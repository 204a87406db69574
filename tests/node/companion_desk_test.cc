// SPDX-License-Identifier: Apache-2.0
// The small files of a served model, as whoever asks for them sees it, over real mutual TLS.
#include "node/serve/companion_desk.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "model/sha256.h"
#include "net/identity_tls.h"
#include "node/companion_files.h"
#include "proto/companion.h"
#include "proto/limits.h"
#include "tests/node/demo_model.h"
#include "tests/node/hop_client.h"
#include "tests/support/temp_dir.h"

namespace shoal::node {
namespace {

class CompanionDeskTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    net::init_transport();
    NodeOptions options;
    options.model_directory = kDemoModel;
    options.blocks = proto::Span{0, 1};
    options.listen = *proto::parse_endpoint("127.0.0.1:0");
    options.threads = 1;
    options.kv_positions = 256;
    auto node = Node::start(std::move(options));
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = std::move(*node);
  }
  static void TearDownTestSuite() { node_.reset(); }
  void SetUp() override { ASSERT_NE(node_, nullptr); }

  static std::unique_ptr<Node> node_;
  HopClient client_;
};
std::unique_ptr<Node> CompanionDeskTest::node_;

TEST_F(CompanionDeskTest, GivesTheSmallFilesOfItsModel) {
  const auto stub = wire::SpanService::NewStub(client_.channel(*node_));
  const auto list = [&](const std::string& digest, wire::CompanionsReply& reply,
                        std::uint32_t major = proto::kProtocolMajor) {
    grpc::ClientContext context;
    wire::CompanionsRequest request;
    request.mutable_version()->set_major(major);
    request.set_model_digest(digest);
    return stub->Companions(&context, request, &reply);
  };
  const auto piece = [&](const std::string& digest, const std::string& sha256, std::uint64_t offset,
                         wire::CompanionPieceReply& reply,
                         std::uint32_t major = proto::kProtocolMajor) {
    grpc::ClientContext context;
    wire::CompanionPieceRequest request;
    request.mutable_version()->set_major(major);
    request.set_model_digest(digest);
    request.set_sha256(sha256);
    request.set_offset(offset);
    grpc::Status status = stub->CompanionPiece(&context, request, &reply);
    return status;
  };
  const std::string digest = node_->model_digest().to_bytes();
  wire::CompanionsReply listed;
  ASSERT_TRUE(list(digest, listed).ok());
  const auto files = proto::from_wire(listed);
  ASSERT_TRUE(files.ok()) << files.status();
  std::vector<std::string> names;
  wire::CompanionPieceReply reply;
  for (const proto::Companion& file : *files) {
    names.push_back(file.name);
    grpc::Status status = grpc::Status::CANCELLED;
    for (int tries = 0; tries < 1'000 && !status.ok(); ++tries) {  // the answer before is leaving
      if (tries > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      status = piece(digest, file.sha256.to_bytes(), 0, reply);
    }
    ASSERT_TRUE(status.ok()) << file.name << ": " << status.error_message();
    EXPECT_EQ(reply.chunk(), tests::read_file(std::string(kDemoModel) + "/" + file.name));
    EXPECT_EQ(file.size, reply.chunk().size());
    EXPECT_EQ(file.sha256.bytes, model::sha256(reply.chunk()).value());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"chat_template.jinja", "config.json",
                                             "generation_config.json", "tokenizer.json",
                                             "tokenizer_config.json"}));
  const std::string tokenizer = files->at(3).sha256.to_bytes();
  ASSERT_TRUE(piece(digest, tokenizer, 1'000, reply).ok());
  EXPECT_EQ(reply.chunk(),
            tests::read_file(std::string(kDemoModel) + "/tokenizer.json").substr(1'000));

  EXPECT_EQ(list(std::string(32, 'x'), listed).error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(list("x", listed).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(list(digest, listed, 99).error_code(), grpc::FAILED_PRECONDITION);
  const auto code = [&](const std::string& model, const std::string& sha256, std::uint64_t offset,
                        std::uint32_t major = proto::kProtocolMajor) {
    grpc::Status status = piece(model, sha256, offset, reply, major);
    for (int i = 0; i < 1'000 && status.error_code() == grpc::RESOURCE_EXHAUSTED; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      status = piece(model, sha256, offset, reply, major);
    }
    return status.error_code();
  };
  EXPECT_EQ(code(digest, tokenizer, files->at(3).size), grpc::OUT_OF_RANGE);
  EXPECT_EQ(code(digest, tokenizer, ~std::uint64_t{0}), grpc::OUT_OF_RANGE);
  EXPECT_EQ(code(digest, std::string(32, 'x'), 0), grpc::NOT_FOUND);
  EXPECT_EQ(code(digest, "x", 0), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(code(std::string(32, 'x'), tokenizer, 0), grpc::NOT_FOUND);
  EXPECT_EQ(code(digest, tokenizer, 0, 99), grpc::FAILED_PRECONDITION);
}

// More at a time than one peer may have are refused, and all are given back.
TEST_F(CompanionDeskTest, OnlySoManyPiecesAreOnTheirWayToOnePeer) {
  struct Call {
    grpc::ClientContext context;
    wire::CompanionPieceRequest request;
    wire::CompanionPieceReply reply;
  };
  const auto stub = wire::SpanService::NewStub(client_.channel(*node_));
  wire::CompanionsRequest request;
  request.mutable_version()->set_major(proto::kProtocolMajor);
  request.set_model_digest(node_->model_digest().to_bytes());
  wire::CompanionsReply listed;
  grpc::ClientContext context;
  ASSERT_TRUE(stub->Companions(&context, request, &listed).ok());
  int refused = 0;
  // How many meet in the node is a matter of time; that some do is not, with so many.
  for (int round = 0; round < 50 && refused == 0; ++round) {
    std::vector<std::unique_ptr<Call>> calls;
    std::atomic<int> left = 100, full = 0, good = 0;
    for (int i = 0; i < 100; ++i) {
      calls.push_back(std::make_unique<Call>());
      Call& call = *calls.back();
      *call.request.mutable_version() = request.version();
      call.request.set_model_digest(request.model_digest());
      call.request.set_sha256(listed.files(3).sha256());
      stub->async()->CompanionPiece(&call.context, &call.request, &call.reply,
                                    [&](const grpc::Status& status) {
                                      good += status.ok() ? 1 : 0;
                                      full += status.error_code() == grpc::RESOURCE_EXHAUSTED;
                                      --left;
                                    });
    }
    while (left > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_EQ(good + full, 100);
    EXPECT_GT(good, 0);
    refused = full;
  }
  EXPECT_GT(refused, 0);
  grpc::Status status = grpc::Status::CANCELLED;
  for (int i = 0; i < 1'000 && !status.ok(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    grpc::ClientContext again;
    status = stub->Companions(&again, request, &listed);
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST(CompanionFiles, AFolderWithoutATokenizerGivesNothing) {
  const tests::TempDir folder;
  EXPECT_TRUE(absl::IsNotFound(read_companion_files(folder.path()).status()));
  tests::write_file(folder.file("config.json"), "{}");
  EXPECT_TRUE(absl::IsNotFound(read_companion_files(folder.path()).status()));
  tests::write_file(folder.file("tokenizer.json"), "{}");
  tests::write_file(folder.file("model.safetensors"), "weights");
  tests::write_file(folder.file("README.md"), "text");
  std::filesystem::create_directories(folder.file("chat_templates"));
  tests::write_file(folder.file("chat_templates/tool_use.jinja"), "");
  tests::write_file(folder.file("chat_templates/notes.txt"), "text");
  const auto files = read_companion_files(folder.path());
  ASSERT_TRUE(files.ok()) << files.status();
  std::vector<std::string> names;
  for (const proto::Companion& file : (*files)->list) names.push_back(file.name);
  EXPECT_EQ(names, (std::vector<std::string>{"chat_templates/tool_use.jinja", "config.json",
                                             "tokenizer.json"}));
}

TEST(CompanionFiles, OneThatIsTooLargeIsNamed) {
  const tests::TempDir folder;
  tests::write_file(folder.file("config.json"), "{}");
  tests::write_file(folder.file("tokenizer.json"), "{}");
  tests::write_file(folder.file("chat_template.jinja"),
                    std::string(proto::kMaxChatTemplateBytes + 1, 'x'));
  const auto files = read_companion_files(folder.path());
  EXPECT_TRUE(absl::IsInvalidArgument(files.status()));
  EXPECT_NE(files.status().message().find("chat_template.jinja"), std::string::npos);
}

}  // namespace
}  // namespace shoal::node
