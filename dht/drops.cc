// SPDX-License-Identifier: Apache-2.0
#include "dht/drops.h"

namespace shoal::dht {

std::string_view to_string(Drop reason) {
  switch (reason) {
    case Drop::kSource:
      return "source";
    case Drop::kSize:
      return "size";
    case Drop::kSeal:
      return "seal";
    case Drop::kPacket:
      return "packet";
    case Drop::kReplay:
      return "replay";
    case Drop::kOtherPeer:
      return "other_peer";
    case Drop::kClientMode:
      return "client_mode";
    case Drop::kCookie:
      return "cookie";
    case Drop::kSignature:
      return "signature";
    case Drop::kCiphertext:
      return "ciphertext";
    case Drop::kCounter:
      return "counter";
    case Drop::kUnasked:
      return "unasked";
    case Drop::kSourceRate:
      return "source_rate";
    case Drop::kNetworkRate:
      return "network_rate";
    case Drop::kHandshakeRate:
      return "handshake_rate";
    case Drop::kPeerRate:
      return "peer_rate";
    case Drop::kBudget:
      return "budget";
    case Drop::kBanned:
      return "banned";
    case Drop::kBody:
      return "body";
    case Drop::kSendBounds:
      return "send_bounds";
    case Drop::kCount:
      break;
  }
  return "unknown";
}

}  // namespace shoal::dht
