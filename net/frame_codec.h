// SPDX-License-Identifier: Apache-2.0
// Frames as gRPC carries them. Our streams are raw: gRPC tells a typed
// stream nothing when a message cannot be parsed (it looks like the end of the stream), and what
// waits to be sent is counted in the bytes that it takes. Pure.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <cstdint>

namespace shoal::net {

inline grpc::ByteBuffer to_bytes(const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  grpc::Slice slice(size);
  message.SerializeWithCachedSizesToArray(const_cast<std::uint8_t*>(slice.begin()));
  return grpc::ByteBuffer(&slice, 1);
}

// False when the bytes are no such message. Takes the bytes away.
inline bool from_bytes(grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message) {
  bool parsed = false;
  {
    grpc::ProtoBufferReader reader(&bytes);
    parsed = reader.status().ok() && message.ParseFromZeroCopyStream(&reader);
  }
  bytes.Clear();
  return parsed;
}

}  // namespace shoal::net
