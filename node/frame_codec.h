// SPDX-License-Identifier: Apache-2.0
// Frames as gRPC carries them. The streams of a session are raw on our side: gRPC tells a typed
// stream nothing when a message cannot be parsed (it looks like the end of the stream), and what
// waits to be sent is counted in the bytes that it takes. Pure.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

namespace shoal::node {

template <typename Message>
grpc::ByteBuffer to_bytes(const Message& message) {
  grpc::ByteBuffer bytes;
  bool own = false;
  grpc::GenericSerialize<grpc::ProtoBufferWriter, Message>(message, &bytes, &own);
  return bytes;
}

// False when the bytes are no such message.
template <typename Message>
bool from_bytes(grpc::ByteBuffer& bytes, Message& message) {
  message.Clear();
  return grpc::GenericDeserialize<grpc::ProtoBufferReader, Message>(&bytes, &message).ok();
}

}  // namespace shoal::node
