// SPDX-License-Identifier: Apache-2.0
#include "node/serve/push_reactor.h"

#include "net/frame_codec.h"
#include "node/serve/session_desk.h"
#include "proto/span_service.pb.h"

namespace shoal::node {

PushReactor::PushReactor(SessionDesk& desk, proto::PeerId caller)
    : desk_(desk),
      caller_(caller),
      deadline_(std::chrono::steady_clock::now() +
                std::chrono::milliseconds(proto::kConnectTimeoutMs)) {}

void PushReactor::start() { StartRead(&in_); }

void PushReactor::read_next() {
  const base::MutexLock lock(mutex_);
  if (!finished_) StartRead(&in_);
}

void PushReactor::OnReadDone(bool ok) {
  std::shared_ptr<Session> session;
  bool opened = false;
  {
    const base::MutexLock lock(mutex_);
    session = session_;
    opened = std::exchange(opened_, true);
  }
  if (!ok) {
    return finish(opened ? grpc::Status::OK
                         : grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                                        "the stream ended before an open frame"));
  }
  wire::PushFrame frame;
  if (!net::from_bytes(in_, frame)) {
    const std::string reason = "a frame of this push cannot be read";
    finish({grpc::StatusCode::INVALID_ARGUMENT, reason});
    if (session != nullptr) session->previous_failed(reason);
    return;
  }
  if (!opened) {
    if (!frame.has_open()) {
      return finish({grpc::StatusCode::INVALID_ARGUMENT, "the first frame must be open"});
    }
    return open(frame.open());
  }
  if (session == nullptr) return;  // finished meanwhile
  if (frame.has_open()) return finish({grpc::StatusCode::INVALID_ARGUMENT, "a push opens once"});
  if (frame.has_step()) session->step(frame.step());
  frame.Clear();
  {
    const base::MutexLock lock(mutex_);
    paused_ = true;
  }
  resume();
}

void PushReactor::resume() {
  std::shared_ptr<Session> session;
  {
    const base::MutexLock lock(mutex_);
    if (!paused_ || finished_) return;
    session = session_;
  }
  if (session == nullptr || !session->wants_more_of_previous()) return;
  const base::MutexLock lock(mutex_);
  if (finished_ || !std::exchange(paused_, false)) return;
  StartRead(&in_);
}

void PushReactor::open(const wire::PushOpen& message) {
  if (const auto refusal = check_version(message.version())) {
    return finish({static_cast<grpc::StatusCode>(refusal->code), refusal->reason});
  }
  const auto id = proto::SessionId::from_bytes(message.session_id());
  if (!id) return finish({grpc::StatusCode::INVALID_ARGUMENT, "session_id is not 16 bytes"});
  token_ = message.hop_token().substr(0, proto::HopToken::kSize + 1);
  if (auto session = desk_.find_or_wait(*id, shared_from_this())) {
    session_ready(std::move(session));
  }
}

void PushReactor::session_ready(std::shared_ptr<Session> session) {
  if (!session->admits(caller_, token_)) {
    return finish({grpc::StatusCode::PERMISSION_DENIED,
                   "this session expects another peer or token from the hop before"});
  }
  {
    const base::MutexLock lock(mutex_);
    if (finished_) return;
    session_ = session;
    StartSendInitialMetadata();
  }
  session->set_previous(shared_from_this());
  read_next();
}

void PushReactor::give_up() {
  finish({grpc::StatusCode::NOT_FOUND, "no such session was opened here"});
}

void PushReactor::end() { finish({grpc::StatusCode::ABORTED, "the session has ended"}); }

void PushReactor::finish(grpc::Status status) {
  const base::MutexLock lock(mutex_);
  if (finished_) return;
  finished_ = true;
  Finish(std::move(status));
}

void PushReactor::sweep(std::chrono::steady_clock::time_point now) {
  resume();
  {
    const base::MutexLock lock(mutex_);
    if (opened_ || now < deadline_) return;
  }
  finish({grpc::StatusCode::DEADLINE_EXCEEDED, "no open frame within 5 s"});
}

void PushReactor::OnCancel() { finish({grpc::StatusCode::CANCELLED, "cancelled"}); }

void PushReactor::OnDone() {
  {
    const base::MutexLock lock(mutex_);
    session_.reset();
  }
  desk_.registry().remove(this);  // destroys this
}

}  // namespace shoal::node
