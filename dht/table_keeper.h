// SPDX-License-Identifier: Apache-2.0
// Keeps one peer's table file: reads it at start, writes it now and then. The shell's thread. Owns
// the path and what the file said of contacts that have not answered yet in this run.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "dht/routing_table.h"
#include "dht/table_file.h"

namespace shoal::dht {

class TableKeeper {
 public:
  // `warn` gets one sentence for each file that cannot be used or written; it may be empty.
  TableKeeper(std::string path, const identity::SwarmId& swarm,
              std::function<void(const std::string&)> warn);

  // The contacts of the last run; none when there is no file, or no good one.
  std::vector<Contact> load(std::uint64_t now_s);
  // Not while nobody answers: a peer that lost its network must not forget its swarm.
  void save(const RoutingTable& table, std::uint64_t now_s);

 private:
  const std::string path_;
  const identity::SwarmId swarm_;
  const std::function<void(const std::string&)> warn_;
  std::map<proto::PeerId, std::uint64_t> seen_s_;
  bool write_failed_ = false;
};

}  // namespace shoal::dht
