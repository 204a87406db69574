// SPDX-License-Identifier: Apache-2.0
// One message that lives on the stack as long as this: a datagram's contents fit into the block,
// so that parsing or building it asks the heap for little. Not for keeping.
#pragma once

#include <google/protobuf/arena.h>

#include <array>
#include <cstddef>

#include "proto/dht.pb.h"

namespace shoal::dht {

// 20 contacts with their strings take 3 KiB.
template <std::size_t kBytes = 4096>
class MessageArena {
 public:
  MessageArena() : arena_(options()) {}
  MessageArena(const MessageArena&) = delete;
  MessageArena& operator=(const MessageArena&) = delete;

  wire::DhtMessage& make() {
    return *google::protobuf::Arena::CreateMessage<wire::DhtMessage>(&arena_);
  }

 private:
  google::protobuf::ArenaOptions options() {
    google::protobuf::ArenaOptions result;
    result.initial_block = block_.data();
    result.initial_block_size = block_.size();
    return result;
  }

  alignas(std::max_align_t) std::array<char, kBytes> block_;
  google::protobuf::Arena arena_;
};

}  // namespace shoal::dht
