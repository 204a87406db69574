// SPDX-License-Identifier: Apache-2.0
// A fixed conversation that contains every packet and every message type, made from fixed seeds,
// and its form as a fixture file. docs/protocol-dht.md, "Golden datagrams".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "identity/identity.h"
#include "identity/swarm_key.h"

namespace shoal::dht {

struct GoldenDatagram {
  std::string name;
  std::string packet;  // hello, challenge, handshake, message, question, reply
  std::string bytes;
  std::string body;  // the DhtMessage inside in protobuf's text form, or empty
};

// Of peer 2, who can read all of it: the others send to it, it answers.
identity::Identity golden_answerer();

// What today's code sends, byte for byte the same in each run.
std::vector<GoldenDatagram> golden_conversation(const std::optional<identity::SwarmKey>& swarm_key);

// One JSON object per conversation: the swarm key (or ""), and the datagrams.
std::string to_json(const std::optional<identity::SwarmKey>& swarm_key,
                    const std::vector<GoldenDatagram>& datagrams);
struct GoldenFile {
  std::optional<identity::SwarmKey> swarm_key;
  std::vector<GoldenDatagram> datagrams;
};
GoldenFile read_golden(const std::string& path);

}  // namespace shoal::dht
