// SPDX-License-Identifier: Apache-2.0
// Both ends of the gRPC echo: a server of Session that answers each Step with a Result of the same
// activation, and a client that waits for each answer. The client: one thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <string>

#include "proto/span_service.grpc.pb.h"

namespace shoal::bench {

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

}  // namespace shoal::bench
