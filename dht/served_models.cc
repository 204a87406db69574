// SPDX-License-Identifier: Apache-2.0
#include "dht/served_models.h"

#include <algorithm>
#include <map>
#include <utility>

#include "proto/limits.h"

namespace shoal::dht {

std::vector<proto::ServedModel> served_models(std::span<const Record> records,
                                              std::uint32_t block_count) {
  std::map<proto::Digest, proto::ServedModel> models;
  for (const Record& record : records) {
    if (record.version_major != proto::kProtocolMajor || record.offer.span.empty() ||
        record.offer.block_count != block_count || record.addresses.empty() ||
        record.load.state == proto::NodeState::kOffline) {
      continue;
    }
    proto::ServedModel& model = models[record.offer.model_digest];
    model.digest = record.offer.model_digest;
    model.nodes.push_back({record.peer_id(), record.addresses});
  }
  std::vector<proto::ServedModel> result;
  result.reserve(models.size());
  for (auto& [digest, model] : models) result.push_back(std::move(model));
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& a, const auto& b) { return a.nodes.size() > b.nodes.size(); });
  return result;
}

}  // namespace shoal::dht
