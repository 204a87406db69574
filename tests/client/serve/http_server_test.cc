// SPDX-License-Identifier: Apache-2.0
// The server over loopback, against clients that are wrong, slow, greedy or gone.
#include "client/serve/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/client/serve/http_client.h"

namespace shoal::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using tests::HttpClient;
using tests::post;

constexpr const char* kGet = "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n";

class Server : public ::testing::Test {
 protected:
  void start(HttpLimits limits = {}) {
    auto started = HttpServer::start("127.0.0.1:0", limits,
                                     [this](HttpRequest request, std::shared_ptr<HttpReply> reply) {
                                       handle(std::move(request), std::move(reply));
                                     });
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }
  void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) {
    if (request.path == "/echo") {
      reply->respond({200, "text/plain", request.method + " " + request.body, {}});
    } else if (request.path == "/keep") {  // the test answers
      reply->on_gone([this] { gone_ = true; });
      reply->expect_stream({}, StreamForm::kEvents);
      kept_.set_value(reply);
    } else {
      reply->respond({404, "text/plain", "no", {}});
    }
  }
  std::shared_ptr<HttpReply> kept() {
    auto future = kept_.get_future();
    EXPECT_EQ(future.wait_for(std::chrono::seconds(5)), std::future_status::ready);
    return future.get();
  }
  bool gone_within(int ms) const {
    for (int i = 0; i < ms && !gone_; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return gone_;
  }
  bool empty_within(int ms) const {
    for (int i = 0; i < ms && server_->connections() > 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return server_->connections() == 0;
  }

  std::promise<std::shared_ptr<HttpReply>> kept_;
  std::atomic<bool> gone_{false};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(Server, AnswersOneRequestAfterAnotherOnAConnection) {
  start();
  HttpClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.received.clear();
    ASSERT_TRUE(client.send(post("/echo", "body" + std::to_string(i))));
    ASSERT_TRUE(client.receive_until("POST body" + std::to_string(i), 5'000)) << client.received;
    EXPECT_THAT(client.received, HasSubstr("Connection: keep-alive"));
  }
  client.received.clear();
  ASSERT_TRUE(client.send(std::string(kGet) + kGet));  // pipelined
  ASSERT_TRUE(client.receive_until("GET ", 5'000));
  for (int i = 0; i < 50 && client.received.rfind("HTTP/1.1 200") == 0; ++i) client.receive(100);
  EXPECT_GT(client.received.rfind("HTTP/1.1 200"), 0u) << client.received;
}

TEST_F(Server, ClosesWhereTheClientWantsThat) {
  start();
  HttpClient client(server_->port());
  client.send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.receive_end(5'000));
  EXPECT_THAT(client.received, HasSubstr("Connection: close"));
  HttpClient old(server_->port());
  old.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.receive_end(5'000));
  EXPECT_THAT(old.received, StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(Server, StreamsInChunks) {
  start();
  HttpClient client(server_->port());
  client.send(post("/keep", ""));
  const auto reply = kept();
  EXPECT_TRUE(reply->write("data: 1\n\n"));
  ASSERT_TRUE(client.receive_until("9\r\ndata: 1\n\n\r\n", 5'000)) << client.received;
  EXPECT_THAT(client.received, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_FALSE(reply->respond({500, "text/plain", "too late", {}}));
  reply->finish();
  ASSERT_TRUE(client.receive_until("0\r\n\r\n", 5'000));
  EXPECT_THAT(client.received, Not(HasSubstr("too late")));
  client.send(kGet);  // the connection is good for more
  EXPECT_TRUE(client.receive_until("GET ", 5'000));
  EXPECT_FALSE(gone_);
}

TEST_F(Server, ASilentStreamSaysThatItLives) {
  HttpLimits limits;
  limits.silence_time = std::chrono::milliseconds(50);
  start(limits);
  HttpClient client(server_->port());
  client.send(post("/keep", ""));
  const auto reply = kept();
  EXPECT_TRUE(client.receive_until(":\n\n\r\n3\r\n:\n\n", 5'000)) << client.received;
  EXPECT_FALSE(reply->respond({503, "text/plain", "", {}}));
}

TEST_F(Server, NoticesThatAClientHasGone) {
  start();
  HttpClient client(server_->port());
  client.send(post("/keep", ""));
  const auto reply = kept();
  client.close();
  EXPECT_TRUE(gone_within(5'000));
  EXPECT_FALSE(reply->write("data: 1\n\n"));
  EXPECT_TRUE(empty_within(5'000));
}

TEST_F(Server, LetsGoOfAClientThatDoesNotRead) {
  HttpLimits limits;
  limits.unread_bytes = 64u << 10;
  start(limits);
  HttpClient client(server_->port());
  client.send(post("/keep", ""));
  const auto reply = kept();
  const std::string piece(32u << 10, 'x');
  std::size_t written = 0;
  while (written < (256u << 20) && reply->write(piece)) {
    written += piece.size();
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_LT(written, 256u << 20);
  EXPECT_TRUE(gone_);
}

TEST_F(Server, LetsGoOfAClientThatReadsTooSlowly) {
  HttpLimits limits;
  limits.write_time = std::chrono::milliseconds(200);
  start(limits);
  HttpClient client(server_->port());
  client.send(post("/keep", ""));
  const auto reply = kept();
  reply->write(std::string(64u << 20, 'x'));
  EXPECT_TRUE(gone_within(5'000));
}

TEST_F(Server, RefusesWhatIsNoRequest) {
  start();
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello hello"),
        std::string("HELLO\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"),
        std::string("GET /\x01 HTTP/1.1\r\n\r\n"),
        std::string("POST /echo HTTP/1.1\r\nContent-Length: x\r\n\r\n"),
        std::string(
            "POST /echo HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
        std::string("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    HttpClient client(server_->port());
    client.send(bytes);
    EXPECT_TRUE(client.receive_end(8'000)) << bytes;
    EXPECT_THAT(client.received, StartsWith("HTTP/1.1 4")) << bytes;
    EXPECT_THAT(client.received, HasSubstr("\"param\":null")) << bytes;
  }
  EXPECT_TRUE(empty_within(8'000));
}

TEST_F(Server, RefusesHeadsAndBodiesThatAreTooLarge) {
  HttpLimits limits;
  limits.body_bytes = 1u << 20;
  start(limits);
  HttpClient told(server_->port());
  told.send("POST /echo HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n");
  EXPECT_TRUE(told.receive_until("HTTP/1.1 413 ", 5'000)) << told.received;
  HttpClient pushed(server_->port());  // who does not wait for the answer gets it all the same
  pushed.send(post("/echo", std::string(3u << 20, 'x')));
  EXPECT_TRUE(pushed.receive_until("HTTP/1.1 413 ", 5'000)) << pushed.received;
  HttpClient chunked(server_->port());
  chunked.send("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20 && chunked.send("20000\r\n" + std::string(0x20000, 'x') + "\r\n"); ++i) {
  }
  EXPECT_TRUE(chunked.receive_until("HTTP/1.1 413 ", 5'000)) << chunked.received;
  HttpClient head(server_->port());
  head.send("GET /echo HTTP/1.1\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n");
  EXPECT_TRUE(head.receive_until("HTTP/1.1 431 ", 5'000)) << head.received;
  HttpClient exact(server_->port());
  exact.send(post("/echo", std::string(1u << 20, 'x')));
  EXPECT_TRUE(exact.receive_until("HTTP/1.1 200 ", 5'000));
}

TEST_F(Server, TellsAClientThatAsksToGoOn) {
  start();
  HttpClient client(server_->port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  ASSERT_TRUE(client.receive_until("HTTP/1.1 100 Continue\r\n\r\n", 5'000));
  client.send("four");
  EXPECT_TRUE(client.receive_until("POST four", 5'000));
}

TEST_F(Server, EndsSlowRequestsAndIdleConnections) {
  HttpLimits limits;
  limits.head_time = std::chrono::milliseconds(200);
  limits.body_time = std::chrono::milliseconds(200);
  limits.idle_time = std::chrono::milliseconds(200);
  start(limits);
  HttpClient head(server_->port()), body(server_->port()), idle(server_->port()),
      silent(server_->port());
  body.send("POST /echo HTTP/1.1\r\nContent-Length: 100\r\n\r\n");
  idle.send(kGet);
  for (int i = 0; i < 12 && head.send("G"); ++i) {  // a byte now and then
    body.send("x");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  for (HttpClient* client : {&head, &body, &idle, &silent}) EXPECT_TRUE(client->receive_end(5'000));
  EXPECT_TRUE(empty_within(5'000));
}

TEST_F(Server, HoldsSoMuchOfAllBodiesAtATime) {
  HttpLimits limits;
  limits.body_bytes = 1u << 20;
  limits.all_bodies_bytes = 2u << 20;
  start(limits);
  const std::string begun = "POST /echo HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n";
  HttpClient first(server_->port()), second(server_->port());
  first.send(begun);
  second.send(begun);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  {
    HttpClient third(server_->port());
    third.send(begun);
    EXPECT_TRUE(third.receive_until("HTTP/1.1 503 ", 5'000));
    EXPECT_THAT(third.received, HasSubstr("Retry-After: "));
  }
  first.close();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  HttpClient fourth(server_->port());
  fourth.send(begun + std::string(1u << 20, 'x'));
  EXPECT_TRUE(fourth.receive_until("HTTP/1.1 200 ", 5'000));
}

TEST_F(Server, WhoIsIdleForLongestMakesRoom) {
  HttpLimits limits;
  limits.connections = 3;
  start(limits);
  HttpClient first(server_->port()), second(server_->port()), third(server_->port());
  for (HttpClient* client : {&first, &second, &third}) {  // in this order
    client->send(kGet);
    ASSERT_TRUE(client->receive_until("GET ", 5'000));
  }
  HttpClient fourth(server_->port());
  fourth.send(kGet);
  EXPECT_TRUE(fourth.receive_until("GET ", 5'000));
  EXPECT_TRUE(first.receive_end(5'000));
  second.received.clear();
  second.send(kGet);
  EXPECT_TRUE(second.receive_until("GET ", 5'000));
}

TEST_F(Server, ManyIdleConnectionsLeaveRoomForOneThatAsks) {
  HttpLimits limits;
  limits.connections = 200;
  start(limits);
  std::vector<std::unique_ptr<HttpClient>> idle;
  for (int i = 0; i < 400; ++i) idle.push_back(std::make_unique<HttpClient>(server_->port()));
  HttpClient client(server_->port());
  client.send(kGet);
  EXPECT_TRUE(client.receive_until("GET ", 5'000));
  EXPECT_LE(server_->connections(), 200u);
}

TEST_F(Server, StopsAcceptingAndFinishesWhatItAnswers) {
  start();
  HttpClient idle(server_->port()), busy(server_->port());
  busy.send(post("/keep", ""));
  const auto reply = kept();
  server_->stop_accepting();
  EXPECT_TRUE(idle.receive_end(5'000));
  reply->write("data: last\n\n");
  reply->finish();
  EXPECT_TRUE(busy.receive_end(5'000));
  EXPECT_THAT(busy.received, HasSubstr("data: last"));
  EXPECT_FALSE(gone_);
}

TEST_F(Server, NeedsAnAddressOfItsOwn) {
  start();
  const auto nothing = [](HttpRequest, std::shared_ptr<HttpReply>) {};
  const auto taken = HttpServer::start("127.0.0.1:" + std::to_string(server_->port()), {}, nothing);
  EXPECT_THAT(taken.status().message(), HasSubstr("--listen"));
  const auto v6 = HttpServer::start("[::1]:0", {}, nothing);
  EXPECT_TRUE(v6.ok() || absl::IsUnavailable(v6.status())) << v6.status();
  EXPECT_FALSE(HttpServer::start("nonsense", {}, nothing).ok());
}

}  // namespace
}  // namespace shoal::client
