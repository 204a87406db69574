// SPDX-License-Identifier: Apache-2.0
#include "dht/table_keeper.h"

#include <utility>

namespace shoal::dht {

TableKeeper::TableKeeper(std::string path, const identity::SwarmId& swarm,
                         std::function<void(const std::string&)> warn)
    : path_(std::move(path)), swarm_(swarm), warn_(std::move(warn)) {}

std::vector<Contact> TableKeeper::load(std::uint64_t now_s) {
  std::vector<Contact> contacts;
  const absl::StatusOr<std::vector<SavedContact>> saved = read_table_file(path_, swarm_, now_s);
  if (!saved.ok()) {
    const auto message = saved.status().message();
    if (!absl::IsNotFound(saved.status()) && warn_)
      warn_(std::string(message.data(), message.size()));
    return contacts;
  }
  for (const SavedContact& one : *saved) {
    contacts.push_back(one.contact);
    seen_s_[one.contact.peer] = one.seen_s;
  }
  return contacts;
}

void TableKeeper::save(const RoutingTable& table, std::uint64_t now_s) {
  if (table.verified() == 0) return;
  SavedTable saved{swarm_, {}};
  std::map<proto::PeerId, std::uint64_t> seen_s;
  table.for_each([&](const RoutingTable::Entry& entry) {
    const auto known = seen_s_.find(entry.contact.peer);
    // Who has not answered since the last run is kept as old as it is; hearsay is not kept.
    if (!entry.verified && known == seen_s_.end()) return;
    const std::uint64_t when = entry.verified ? now_s : known->second;
    seen_s[entry.contact.peer] = when;
    saved.contacts.push_back({entry.contact, when});
  });
  seen_s_ = std::move(seen_s);
  const absl::Status status = write_table_file(path_, saved);
  if (!status.ok() && !write_failed_ && warn_)
    warn_(std::string(status.message().data(), status.message().size()));
  write_failed_ = !status.ok();
}

}  // namespace shoal::dht
