// SPDX-License-Identifier: Apache-2.0
#include "node/member/own_record_watch.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <system_error>

#include "proto/limits.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kTwinTimeoutMs = 2'000;
// Whether the swarm's record of us is ours. A look is one lookup; in a large swarm that is left to
// the rhythm of announcing.
constexpr auto kLookAtRecord = milliseconds(5'000);
constexpr auto kLookAtRecordOfMany = milliseconds(proto::kRecordRefreshMs);
constexpr double kManyPeers = 200;
constexpr std::uint64_t kLeapUs = 60'000'000;

}  // namespace

OwnRecordWatch::~OwnRecordWatch() {
  if (twin_.valid()) twin_.wait();
}

absl::Status OwnRecordWatch::check_silent(const std::vector<proto::Endpoint>& silent) const {
  const auto twin =
      find_twin(channels_, self_, {silent.begin(), silent.end()}, run_, kTwinTimeoutMs);
  return twin ? twin_error(self_, *twin) : absl::OkStatus();
}

void OwnRecordWatch::begin(std::span<const dht::Record> served) {
  for (const dht::Record& record : served) {
    if (record.peer_id() != self_ || record.addresses.empty()) continue;
    try {
      twin_ = std::async(std::launch::async, [this, addresses = record.addresses] {
        return find_twin(channels_, self_, addresses, run_, kTwinTimeoutMs);
      });
    } catch (const std::system_error&) {  // no thread: then as if nobody had answered
    }
    return;
  }
}

absl::Status OwnRecordWatch::await() {
  const auto twin = twin_.valid() ? twin_.get() : std::nullopt;
  return twin ? twin_error(self_, *twin) : absl::OkStatus();
}

void OwnRecordWatch::tell_of_call(const proto::Endpoint& from) const {
  spdlog::warn(
      "another node was started with this node's identity {}, at {}: it was told to take "
      "another one, and this one goes on. A copied key file is the usual reason",
      to_string(self_), proto::to_string(from));
}

absl::Status OwnRecordWatch::look(const dht::Key& key) {
  const auto now = std::chrono::steady_clock::now();
  if (now < look_at_) return absl::OkStatus();
  const auto stats = member_.directory();
  const bool large = stats && stats->estimated_peers > kManyPeers;
  look_at_ = now + (large ? kLookAtRecordOfMany : kLookAtRecord);
  const auto found = member_.find(key);
  if (!found.ok()) return absl::OkStatus();
  const auto own = std::find_if(found->begin(), found->end(), [&](const dht::Record& record) {
    return record.peer_id() == self_;
  });
  const std::uint64_t announced = member_.announced_sequence();
  std::uint64_t above = announced;
  switch (look_at_own_record(own == found->end() ? nullptr : &*own, announced)) {
    case OwnRecord::kOurs:
      times_missing_ = 0;
      return absl::OkStatus();
    case OwnRecord::kMissing:
      // A twin whose clock is ahead has withdrawn it for the time to come: leap over that.
      if (times_missing_ > 0) above += kLeapUs << std::min(times_missing_, 12);
      ++times_missing_;
      spdlog::debug("our record is missing in the swarm: announcing it again");
      break;
    case OwnRecord::kReplaced: {
      const auto twin = find_twin(channels_, self_, own->addresses, run_, kTwinTimeoutMs);
      if (twin && twin->run != 0 && twin->run < run_) {
        replaced_ = true;
        return twin_error(self_, *twin);
      }
      spdlog::warn(
          "another node announces itself as {}, which is this node's identity{}: a copied key "
          "file is the usual reason. Give that one a new identity: start it with another "
          "--identity FILE",
          to_string(self_),
          twin ? " (it runs at " + proto::to_string(twin->address) + ")" : std::string());
      above = own->sequence;
      break;
    }
  }
  member_.announce_over(above);
  return absl::OkStatus();
}

}  // namespace shoal::node
