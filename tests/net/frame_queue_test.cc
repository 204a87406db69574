// SPDX-License-Identifier: Apache-2.0
// Frames go out in order, one at a time, and every byte is counted until it is written or dropped.
#include "net/frame_queue.h"

#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace shoal::net {
namespace {

using Time = FrameQueue<ByteLimit>::Time;
using std::chrono::milliseconds;

grpc::ByteBuffer frame(const std::string& text) {
  const grpc::Slice slice(text);
  return grpc::ByteBuffer(&slice, 1);
}

std::string text(const grpc::ByteBuffer* buffer) {
  if (buffer == nullptr) return "none";
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer->Dump(&slices).ok());
  std::string result;
  for (const grpc::Slice& slice : slices) {
    result.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return result;
}

TEST(FrameQueue, FramesAreWrittenInOrderOneAtATime) {
  FrameQueue<ByteLimit> queue(100);
  EXPECT_EQ(text(queue.next({})), "none");
  EXPECT_TRUE(queue.push(frame("one")));
  EXPECT_TRUE(queue.push(frame("three")));
  queue.push_first(frame("open"));
  EXPECT_EQ(text(queue.next({})), "open");
  EXPECT_EQ(text(queue.next({})), "none") << "one is being written";
  queue.written();
  EXPECT_EQ(text(queue.next({})), "one");
  queue.written();
  EXPECT_FALSE(queue.idle());
  EXPECT_EQ(text(queue.next({})), "three");
  EXPECT_FALSE(queue.idle());
  queue.written();
  EXPECT_TRUE(queue.idle());
}

TEST(FrameQueue, BytesCountUntilTheyAreWrittenOrDropped) {
  FrameQueue<ByteLimit> queue(10);
  EXPECT_TRUE(queue.push(frame("12345")));
  EXPECT_TRUE(queue.push(frame("67890")));
  EXPECT_EQ(text(queue.next({})), "12345");
  EXPECT_FALSE(queue.push(frame("x"))) << "what is being written waits too";
  queue.push_unjudged(frame("the end"));
  EXPECT_EQ(queue.budget().bytes(), 18u);
  queue.drop();
  EXPECT_EQ(queue.budget().bytes(), 5u) << "gRPC still reads it";
  queue.written();
  EXPECT_EQ(queue.budget().bytes(), 0u);
  EXPECT_TRUE(queue.idle());
}

TEST(FrameQueue, AWriteThatTakesTooLongIsStuck) {
  FrameQueue<ByteLimit> queue(10);
  const Time start{};
  EXPECT_TRUE(queue.push(frame("x")));
  EXPECT_FALSE(queue.stuck(start + milliseconds(9'000), milliseconds(100)))
      << "waiting is no write";
  ASSERT_NE(queue.next(start), nullptr);
  EXPECT_FALSE(queue.stuck(start + milliseconds(99), milliseconds(100)));
  EXPECT_TRUE(queue.stuck(start + milliseconds(100), milliseconds(100)));
  queue.written();
  EXPECT_FALSE(queue.stuck(start + milliseconds(100), milliseconds(100)));
}

}  // namespace
}  // namespace shoal::net
