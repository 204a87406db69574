// SPDX-License-Identifier: Apache-2.0
// Frames that wait to be written to a stream, and the one that is being written: what every gRPC
// reactor of ours keeps, so that it is left with gRPC's verbs. Each byte is counted, from push() to
// written() or drop(), by a budget that says when there is too much. Pure: time comes in by
// argument, and whoever owns it guards it. A frame refers to gRPC's slices: to copy it copies no
// bytes.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <utility>

namespace shoal::net {

// A budget of one stream alone. What every budget of a FrameQueue has: add(), whose answer is
// push()'s; add_unjudged(); release().
class ByteLimit {
 public:
  explicit ByteLimit(std::size_t most) : most_(most) {}
  // Counts in any case; false: too much waits, and the stream should end.
  [[nodiscard]] bool add(std::size_t bytes) {
    bytes_ += bytes;
    return bytes_ <= most_;
  }
  void add_unjudged(std::size_t bytes) { bytes_ += bytes; }
  void release(std::size_t bytes) { bytes_ -= bytes; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::size_t most_;
  std::size_t bytes_ = 0;
};

template <typename Budget>
class FrameQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  template <typename... Arguments>
  explicit FrameQueue(Arguments&&... of_budget) : budget_(std::forward<Arguments>(of_budget)...) {}

  // Takes the frame; what the budget says of it.
  [[nodiscard]] auto push(const grpc::ByteBuffer& frame) {
    auto verdict = budget_.add(frame.Length());
    waiting_.push_back(frame);
    return verdict;
  }
  // For the one frame with which a stream begins or ends.
  void push_unjudged(const grpc::ByteBuffer& frame) {
    budget_.add_unjudged(frame.Length());
    waiting_.push_back(frame);
  }
  void push_first(const grpc::ByteBuffer& frame) {
    budget_.add_unjudged(frame.Length());
    waiting_.push_front(frame);
  }

  // The frame to write now, which stays here until written(); null when one is being written, or
  // none waits.
  grpc::ByteBuffer* next(Time now) {
    if (writing_ || waiting_.empty()) return nullptr;
    out_ = waiting_.front();
    waiting_.pop_front();
    out_bytes_ = out_.Length();
    writing_ = true;
    write_began_ = now;
    return &out_;
  }
  void written() {
    writing_ = false;
    budget_.release(std::exchange(out_bytes_, 0));
    out_.Clear();
  }
  // All that wait; not the one that is being written, which gRPC still reads.
  void drop() {
    for (const grpc::ByteBuffer& frame : waiting_) budget_.release(frame.Length());
    waiting_.clear();
  }

  bool idle() const { return !writing_ && waiting_.empty(); }
  // Whether one write goes on for so long.
  bool stuck(Time now, std::chrono::milliseconds patience) const {
    return writing_ && now - write_began_ >= patience;
  }
  Budget& budget() { return budget_; }
  const Budget& budget() const { return budget_; }

 private:
  Budget budget_;
  std::deque<grpc::ByteBuffer> waiting_;
  grpc::ByteBuffer out_;  // being written
  std::size_t out_bytes_ = 0;
  bool writing_ = false;
  Time write_began_;
};

}  // namespace shoal::net
