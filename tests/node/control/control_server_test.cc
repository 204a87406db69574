// SPDX-License-Identifier: Apache-2.0
// The local socket: who is heard, what is bounded, and which of several nodes is meant.
#include "node/control/control_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "node/control/local_socket.h"
#include "node/control/owner_desk.h"
#include "tests/support/temp_dir.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

TEST(LocalSocket, LiesBesideTheIdentity) {
  EXPECT_THAT(socket_paths("/var/lib/a.key", ""), ElementsAre("/var/lib/a.sock"));
  EXPECT_THAT(socket_paths("/var/lib/x/../a.key", "/run/user/1/shoal"),
              ElementsAre("/var/lib/a.sock", testing::StartsWith("/run/user/1/shoal/a-")));
  EXPECT_THAT(socket_paths("a", ""), ElementsAre(EndsWith("/a.sock")));
  // Too long for a socket.
  const std::string deep = "/" + std::string(120, 'd') + "/a.key";
  EXPECT_THAT(socket_paths(deep, "/run/shoal"), ElementsAre(testing::StartsWith("/run/shoal/a-")));
  EXPECT_NE(socket_paths(deep, "/run/shoal"), socket_paths("/b" + deep, "/run/shoal"));
  EXPECT_THAT(socket_paths(deep, ""), testing::IsEmpty());
  EXPECT_THAT(socket_paths("", "/run/shoal"),
              ElementsAre("/run/shoal/run-" + std::to_string(getpid()) + ".sock"));
}

TEST(LocalSocket, TrustsOnlyAFolderOfItsUser) {
  const tests::TempDir folder;
  EXPECT_TRUE(is_own_folder(folder.path()));
  EXPECT_FALSE(is_own_folder(folder.file("missing")));
  ASSERT_EQ(chmod(folder.path().c_str(), 0777), 0);
  EXPECT_FALSE(is_own_folder(folder.path()));
  ASSERT_EQ(symlink("/", folder.file("link").c_str()), 0);
  EXPECT_FALSE(is_own_folder(folder.file("link")));
}

class ControlServerTest : public testing::Test {
 protected:
  void start() {
    auto started = ControlServer::start({path_}, [this](const ControlRequest& request) {
      ++asked_;
      return request.verb == ControlRequest::Verb::kResume ? error_json("not now")
                                                           : std::string(R"({"ok": true})");
    });
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  // What comes back for these bytes; nothing when it hangs up.
  std::optional<std::string> reply_to(const std::string& bytes) const {
    const auto socket = connect_to(path_);
    EXPECT_TRUE(socket.ok()) << socket.status();
    const auto deadline = Clock::now() + seconds(5);
    send_all(socket->get(), bytes, deadline);
    return read_line(socket->get(), kMaxReplyBytes, deadline);
  }

  tests::TempDir folder_;
  const std::string path_ = folder_.file("node.sock");
  std::atomic<int> asked_ = 0;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlServerTest, AnswersItsOwner) {
  start();
  struct stat found {};
  ASSERT_EQ(lstat(path_.c_str(), &found), 0);
  EXPECT_TRUE(S_ISSOCK(found.st_mode));
  EXPECT_EQ(found.st_mode & 07777, 0600u);
  const auto reply = ask_node(path_, {});
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(*reply, R"({"ok": true})");
  const auto no = ask_node(path_, {.verb = ControlRequest::Verb::kResume});
  EXPECT_EQ(std::string(no.status().message()), "the node says: not now");
  EXPECT_EQ(asked_, 2);
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_TRUE(absl::IsNotFound(ask_node(path_, {}).status()));
}

TEST_F(ControlServerTest, WhatIsNotUnderstoodReachesNobody) {
  start();
  EXPECT_THAT(reply_to("stop\n").value_or(""), HasSubstr(R"("ok":false)"));
  EXPECT_THAT(reply_to("\xff\xff\n").value_or(""), HasSubstr("??"));
  EXPECT_EQ(reply_to(std::string(100'000, 'a')), std::nullopt);
  EXPECT_EQ(reply_to(std::string(300, 'a') + "\n"), std::nullopt);
  EXPECT_EQ(asked_, 0);
  EXPECT_THAT(reply_to("status\nresume\n").value_or(""), HasSubstr("true"));
  EXPECT_EQ(asked_, 1) << "one request a connection";
}

TEST_F(ControlServerTest, WhoSaysNothingKeepsNobodyForLong) {
  start();
  const auto silent = connect_to(path_);
  ASSERT_TRUE(silent.ok());
  std::this_thread::sleep_for(milliseconds(50));
  const auto before = Clock::now();
  EXPECT_TRUE(ask_node(path_, {}).ok());
  EXPECT_LT(Clock::now() - before, seconds(4));
}

TEST_F(ControlServerTest, WhatAKilledNodeLeftIsTakenOver) {
  { const auto left = listen_on(path_); }  // its file stays
  ASSERT_TRUE(std::filesystem::exists(path_));
  EXPECT_TRUE(absl::IsNotFound(ask_node(path_, {}).status()));
  start();
  EXPECT_TRUE(ask_node(path_, {}).ok());
  // A successor that has taken over keeps its own when this one ends.
  const auto successor = listen_on(path_);
  ASSERT_TRUE(successor.ok());
  server_.reset();
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(ControlServerTest, ListensElsewhereWhereItCannot) {
  tests::write_file(folder_.file("file"), "");
  const std::string other = folder_.file("run/shoal/node.sock");
  const auto started =
      ControlServer::start({folder_.file("file/node.sock"), other},
                           [](const ControlRequest&) { return std::string(R"({"ok": true})"); });
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ((*started)->path(), other);
  EXPECT_TRUE(ask_node(other, {}).ok());
  const auto none = ControlServer::start({folder_.file("file/node.sock")}, {});
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("file/node.sock"));
  EXPECT_THAT(std::string(ControlServer::start({}, {}).status().message()),
              HasSubstr("XDG_RUNTIME_DIR"));
}

TEST_F(ControlServerTest, NodesAreFoundByWhoListens) {
  start();
  tests::write_file(folder_.file("dead.sock"), "");
  { const auto left = listen_on(folder_.file("killed.sock")); }
  EXPECT_THAT(listening_sockets({folder_.path(), folder_.file("missing")}), ElementsAre(path_));
}

TEST_F(ControlServerTest, WhatIsNoNodeIsSaid) {
  const auto socket = listen_on(path_);
  ASSERT_TRUE(socket.ok());
  std::thread other([&] {
    Descriptor peer;
    while (!peer.open()) peer = Descriptor(accept(socket->get(), nullptr, nullptr));
    send_all(peer.get(), "hello\n", Clock::now() + seconds(2));
  });
  EXPECT_THAT(std::string(ask_node(path_, {}).status().message()), HasSubstr("no shoal-node"));
  other.join();
}

TEST(OwnerDesk, KeepsTheWishAndTellsTheStatus) {
  Account::Options options;
  options.info = options.warn = [](const std::string&) {};
  const Account account(std::move(options), EnergyMeter("/nowhere"));
  std::int64_t now = 1'700'000'000;
  OwnerDesk desk(OwnerWish(), account, [&] { return now; });
  NodeStatus status;
  status.state = "serving";
  desk.show(status);
  using Verb = ControlRequest::Verb;
  EXPECT_THAT(desk.answer({}), HasSubstr(R"("state":"serving")"));
  EXPECT_TRUE(desk.wish().serve);
  EXPECT_THAT(desk.answer({.verb = Verb::kPause, .for_s = 60}), HasSubstr(R"("until":1700000060)"));
  EXPECT_FALSE(desk.wish().serve);
  now += 60;
  EXPECT_TRUE(desk.wish().serve);
  desk.answer({.verb = Verb::kDrain, .stop = true});
  EXPECT_TRUE(desk.wish().all_the_time && desk.wish().stop && !desk.wish().serve);
  desk.answer({.verb = Verb::kResume});
  EXPECT_TRUE(desk.wish().serve);
  status.bootstrap = true;
  desk.show(status);
  EXPECT_THAT(desk.answer({.verb = Verb::kPause}), HasSubstr("nothing to pause"));
  EXPECT_TRUE(desk.wish().serve);
  EXPECT_THAT(desk.answer({}), HasSubstr(R"("ok":true)"));
}

TEST(OwnerDesk, AnswersResumeWhenTheNodeServes) {
  Account::Options options;
  options.info = options.warn = [](const std::string&) {};
  const Account account(std::move(options), EnergyMeter("/nowhere"));
  OwnerDesk desk(OwnerWish(), account, [] { return 1'700'000'000; });
  NodeStatus status;
  status.state = "paused";
  desk.show(status);
  using Verb = ControlRequest::Verb;
  desk.answer({.verb = Verb::kPause});
  std::atomic<bool> serves = false;
  std::thread node([&] {
    while (!desk.wish().serve) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    serves = true;
    status.state = "serving";
    desk.show(status);
  });
  EXPECT_THAT(desk.answer({.verb = Verb::kResume}), HasSubstr(R"("state":"serving")"));
  EXPECT_TRUE(serves);
  node.join();
  // A node that ends keeps nobody waiting.
  status.state = "paused";
  desk.show(status);
  desk.close();
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_THAT(desk.answer({.verb = Verb::kResume}), HasSubstr(R"("state":"paused")"));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
}

}  // namespace
}  // namespace shoal::node
