// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "net/channel_pool.h"
#include "net/server.h"
#include "proto/span_service.grpc.pb.h"
#include "tests/bench/echo.h"

namespace shoal::bench {
namespace {

// Answers each Step with a Result that carries the same activation.
class EchoReactor : public grpc::ServerBidiReactor<wire::ClientFrame, wire::HopFrame> {
 public:
  EchoReactor() { StartRead(&in_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    out_.mutable_result()->mutable_activation()->Swap(in_.mutable_step()->mutable_activation());
    StartWrite(&out_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    StartRead(&in_);
  }
  void OnDone() override { delete this; }

 private:
  wire::ClientFrame in_;
  wire::HopFrame out_;
};

class EchoService : public wire::SpanService::CallbackService {
  grpc::ServerBidiReactor<wire::ClientFrame, wire::HopFrame>* Session(
      grpc::CallbackServerContext*) override {
    return new EchoReactor;
  }
};

class EchoClient : public grpc::ClientBidiReactor<wire::ClientFrame, wire::HopFrame> {
 public:
  void start(wire::SpanService::Stub& stub) {
    stub.async()->Session(&context_, this);
    StartCall();
  }
  bool round_trip(const std::string& payload) {
    out_.mutable_step()->mutable_activation()->set_data(payload);
    std::unique_lock lock(mutex_);
    answered_ = false;
    StartRead(&in_);
    StartWrite(&out_);
    changed_.wait(lock, [this] { return (answered_ && written_) || done_; });
    written_ = false;
    return !done_;
  }
  void finish() {
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return done_; });
  }
  void OnReadDone(bool ok) override { set(answered_, ok); }
  void OnWriteDone(bool ok) override { set(written_, ok); }
  void OnDone(const grpc::Status&) override { set(done_, true); }

 private:
  void set(bool& flag, bool ok) {
    const std::lock_guard lock(mutex_);
    flag = ok;
    changed_.notify_one();
  }

  grpc::ClientContext context_;
  wire::ClientFrame out_;
  wire::HopFrame in_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool answered_ = false, written_ = false, done_ = false;
};

}  // namespace

absl::StatusOr<Latency> grpc_echo(std::size_t bytes, int round_trips) {
  const auto server_identity = identity::Identity::generate();
  EchoService service;
  auto server = net::start_server(proto::Endpoint::v4({127, 0, 0, 1}, 0), server_identity,
                                  std::nullopt, {&service});
  if (!server.ok()) return server.status();
  net::ChannelPool channels(identity::Identity::generate(), std::nullopt);
  Latency latency;
  {
    auto stub =
        wire::SpanService::NewStub(channels.get(server_identity.peer_id(), {server->endpoint}));
    EchoClient client;
    client.start(*stub);
    const std::string payload(bytes, 'x');
    for (int i = 0; i < round_trips; ++i) {
      const auto started = std::chrono::steady_clock::now();
      if (!client.round_trip(payload)) break;
      latency.samples_us.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started)
              .count());
    }
    client.finish();
  }
  server->server->Shutdown();
  if (latency.samples_us.size() != static_cast<std::size_t>(round_trips)) {
    return absl::UnavailableError("the gRPC echo broke off");
  }
  return latency;
}

}  // namespace shoal::bench
