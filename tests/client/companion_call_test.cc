// SPDX-License-Identifier: Apache-2.0
// A model's small files from nodes that are honest, old, without them, of another opinion, slow,
// busy, or liars; over real connections.
#include "client/swarm/companion_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>

#include "base/check.h"
#include "identity/sodium.h"
#include "net/channel_pool.h"
#include "net/server.h"
#include "proto/limits.h"
#include "proto/span_service.grpc.pb.h"
#include "proto/version.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"

namespace shoal::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Files = std::map<std::string, std::string>;

const proto::Digest kModel{{7}};

Files small_files() {
  std::string tokenizer(2 * proto::kCompanionPieceBytes + 1234, 'x');
  for (std::size_t i = 0; i < tokenizer.size(); i += 1000) {
    tokenizer[i] = static_cast<char>('a' + i % 26);
  }
  return {{"chat_template.jinja", "{{ hi }}"},
          {"config.json", "{}"},
          {"generation_config.json", ""},
          {"tokenizer.json", tokenizer}};
}

proto::CompanionList list_of(const Files& files) {
  proto::CompanionList list;
  for (const auto& [name, bytes] : files) {
    list.push_back({name, bytes.size(), proto::Digest{identity::sha256(bytes)}});
  }
  return list;
}

// Lists some files, and sends what `sends` makes of their bytes.
class FileService : public wire::SpanService::CallbackService {
 public:
  using Sends = std::function<grpc::Status(const std::string& name, std::uint64_t offset,
                                           std::string& chunk)>;
  explicit FileService(const Files& files) : files_(files), list_(list_of(files)) {}

  grpc::ServerUnaryReactor* Companions(grpc::CallbackServerContext* context,
                                       const wire::CompanionsRequest* request,
                                       wire::CompanionsReply* reply) override {
    EXPECT_EQ(request->model_digest(), kModel.to_bytes());
    ++listed;
    *reply = proto::to_wire(list_);
    return end(context, grpc::Status::OK);
  }
  grpc::ServerUnaryReactor* CompanionPiece(grpc::CallbackServerContext* context,
                                           const wire::CompanionPieceRequest* request,
                                           wire::CompanionPieceReply* reply) override {
    ++pieces;
    for (const proto::Companion& file : list_) {
      if (file.sha256.to_bytes() != request->sha256()) continue;
      std::string chunk =
          files_.at(file.name).substr(request->offset(), proto::kCompanionPieceBytes);
      const grpc::Status status =
          sends ? sends(file.name, request->offset(), chunk) : grpc::Status::OK;
      reply->set_chunk(chunk);
      return end(context, status);
    }
    return end(context, {grpc::NOT_FOUND, "no such file"});
  }

  Sends sends;
  std::atomic<int> listed = 0, pieces = 0;

 private:
  static grpc::ServerUnaryReactor* end(grpc::CallbackServerContext* context,
                                       const grpc::Status& status) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }
  const Files files_;
  const proto::CompanionList list_;
};

// Knows none of these calls.
class OldService : public wire::SpanService::CallbackService {};

template <typename Service>
struct FileNode {
  template <typename... Arguments>
  explicit FileNode(int number, const Arguments&... arguments)
      : service(arguments...), identity(identity::identity_of(number)) {
    auto started = net::start_server(net::loopback(), identity, {}, {&service});
    CHECK(started.ok()) << started.status().ToString();
    running = std::move(*started);
  }
  ~FileNode() { running.shut_down(std::chrono::milliseconds(200)); }
  proto::ServedModel::Node as_served() const {
    return {identity.peer_id(), {net::loopback(running.endpoint.port)}};
  }
  Service service;
  identity::Identity identity;
  net::RunningServer running;
};

class CompanionCall : public testing::Test {
 protected:
  absl::StatusOr<AgreedCompanions> ask(std::vector<proto::ServedModel::Node> nodes) {
    return ask_companions(pool_, {kModel, std::move(nodes)}, stop_);
  }
  absl::StatusOr<std::vector<std::string>> fetch(std::vector<proto::ServedModel::Node> nodes) {
    const auto agreed = ask(std::move(nodes));
    if (!agreed.ok()) return agreed.status();
    return fetch_companions(
        pool_, kModel, *agreed, agreed->list,
        [this](std::uint64_t done, std::uint64_t all) {
          EXPECT_LE(done, all);
          done_ = done;
        },
        stop_);
  }
  void expect_all(const absl::StatusOr<std::vector<std::string>>& bytes) {
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    std::vector<std::string> expected;
    std::uint64_t all = 0;
    for (const auto& [name, text] : files_) {
      expected.push_back(text);
      all += text.size();
    }
    EXPECT_EQ(*bytes, expected);
    EXPECT_EQ(done_, all);
  }

  const Files files_ = small_files();
  const identity::Identity identity_ = identity::identity_of(1);
  net::ChannelPool pool_{identity_, {}};
  base::StopToken stop_;
  std::uint64_t done_ = 0;
};

TEST_F(CompanionCall, FilesComeInPiecesFromAllWhoAgree) {
  const FileNode<FileService> a(2, files_), b(3, files_);
  expect_all(fetch({a.as_served(), b.as_served()}));
  EXPECT_EQ(a.service.listed + b.service.listed, 2);
  EXPECT_EQ(a.service.pieces + b.service.pieces, 5);
  EXPECT_GT(a.service.pieces, 0);
  EXPECT_GT(b.service.pieces, 0);
}

TEST_F(CompanionCall, ADifferenceIsNamedHoweverFewSaySo) {
  Files other = files_;
  other["chat_template.jinja"] = "{{ pay me }}";
  const FileNode<FileService> a(2, files_), b(3, files_), c(4, other);
  const auto agreed = ask({a.as_served(), b.as_served(), c.as_served()});
  EXPECT_TRUE(absl::IsFailedPrecondition(agreed.status()));
  EXPECT_THAT(
      std::string(agreed.status().message()),
      AllOf(HasSubstr("disagree on chat_template.jinja"),
            HasSubstr(proto::short_name(c.identity.peer_id()) + " says"), HasSubstr("(12 bytes)")));
  EXPECT_EQ(a.service.pieces + b.service.pieces + c.service.pieces, 0);
}

TEST_F(CompanionCall, OldNodesAndThoseThatAreGoneAreSkipped) {
  const FileNode<OldService> old(2);
  auto gone = std::make_unique<FileNode<FileService>>(4, files_);
  const auto where = gone->as_served();
  gone.reset();
  const FileNode<FileService> a(3, files_);
  expect_all(fetch({old.as_served(), where, a.as_served()}));
  const auto nobody = ask({old.as_served()});
  EXPECT_TRUE(absl::IsNotFound(nobody.status()));
  EXPECT_THAT(std::string(nobody.status().message()), HasSubstr("of an older version"));
}

TEST_F(CompanionCall, MoreAreAskedWhenTheFirstHaveNothing) {
  const FileNode<OldService> old(2);
  const FileNode<FileService> a(3, files_);
  std::vector<proto::ServedModel::Node> nodes(6, old.as_served());
  nodes.push_back(a.as_served());
  expect_all(fetch(nodes));
}

TEST_F(CompanionCall, AListThatMayNotBeIsNone) {
  Files huge = files_;
  huge["chat_template.jinja"] = std::string(proto::kMaxChatTemplateBytes + 1, 'x');
  const FileNode<FileService> a(2, huge);
  const auto nobody = ask({a.as_served()});
  EXPECT_THAT(
      std::string(nobody.status().message()),
      AllOf(HasSubstr("lists the model's files wrongly"), HasSubstr("chat_template.jinja")));
}

TEST_F(CompanionCall, ALiarIsLeftAndNamedWhenNobodyElseIsThere) {
  FileNode<FileService> liar(2, files_);
  liar.service.sends = [](const std::string& name, std::uint64_t offset, std::string& chunk) {
    if (name == "tokenizer.json" && offset > 0) chunk[5] ^= 1;
    return grpc::Status::OK;
  };
  const FileNode<FileService> honest(3, files_);
  expect_all(fetch({liar.as_served(), honest.as_served()}));
  const auto lied = fetch({liar.as_served()});
  EXPECT_TRUE(absl::IsDataLoss(lied.status())) << lied.status();
  EXPECT_THAT(std::string(lied.status().message()),
              AllOf(HasSubstr("node " + proto::short_name(liar.identity.peer_id())),
                    HasSubstr("another tokenizer.json than it lists")));
}

TEST_F(CompanionCall, PiecesOfAnotherSizeAndRefusalsAreAnothersWork) {
  const std::vector<FileService::Sends> all = {
      [](const std::string&, std::uint64_t, std::string& chunk) {
        chunk += "x";
        return grpc::Status::OK;
      },
      [](const std::string&, std::uint64_t, std::string& chunk) {
        chunk.clear();
        return grpc::Status::OK;
      },
      [](const std::string&, std::uint64_t, std::string&) {
        return grpc::Status(grpc::NOT_FOUND, "not any more");
      }};
  for (const auto& sends : all) {
    FileNode<FileService> bad(2, files_);
    bad.service.sends = sends;
    const FileNode<FileService> good(3, files_);
    expect_all(fetch({bad.as_served(), good.as_served()}));
    EXPECT_FALSE(fetch({bad.as_served()}).ok());
    pool_.drop(bad.identity.peer_id());
    pool_.drop(good.identity.peer_id());
  }
}

TEST_F(CompanionCall, ABusyNodeIsAskedAgain) {
  FileNode<FileService> busy(2, files_);
  std::atomic<int> refusals = 2;
  busy.service.sends = [&](const std::string&, std::uint64_t, std::string&) {
    return refusals-- > 0 ? grpc::Status(grpc::RESOURCE_EXHAUSTED, "later") : grpc::Status::OK;
  };
  expect_all(fetch({busy.as_served()}));
}

TEST_F(CompanionCall, WhoIsInterruptedWaitsNoLonger) {
  FileNode<FileService> node(2, files_);
  node.service.sends = [&](const std::string&, std::uint64_t, std::string&) {
    stop_.stop(2);
    return grpc::Status(grpc::RESOURCE_EXHAUSTED, "later");
  };
  EXPECT_TRUE(absl::IsCancelled(fetch({node.as_served()}).status()));
}

}  // namespace
}  // namespace shoal::client
