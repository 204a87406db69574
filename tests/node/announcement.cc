// SPDX-License-Identifier: Apache-2.0
#include "tests/node/announcement.h"

#include <future>

#include "base/check.h"
#include "proto/limits.h"

namespace shoal::node {

Announcement::Announcement(const identity::Identity& identity, const LoadedModel& model,
                           proto::Span span, const proto::Endpoint& join,
                           const proto::Endpoint& address) {
  dht::UdpServiceOptions options;
  options.listen = *proto::parse_endpoint("127.0.0.1:0");
  options.client_mode = true;
  auto opened = dht::UdpService::open(io_.context(), identity, options);
  CHECK(opened.ok()) << opened.status();
  dht_ = std::move(*opened);
  dht::Record record;
  record.sequence = 1;
  record.ttl_ms = proto::kMaxRecordTtlMs;
  record.load.state = proto::NodeState::kOnline;
  record.offer.model_digest = model.digest;
  record.offer.model_name = model.name;
  record.offer.block_count = static_cast<std::uint32_t>(model.config.block_count);
  record.offer.span = span;
  record.offer.numerics = model.numerics;
  record.addresses = {address};
  auto stored = std::make_shared<std::promise<int>>();
  std::future<int> replicas = stored->get_future();
  io_.post([this, identity, record, join, stored] {
    dht_->bootstrap({join}, 5'000, [this, identity, record, stored](const absl::Status&) {
      dht_->publish(dht::sign_record(identity, record), dht::keys_of(dht_->swarm_id(), record),
                    [stored](int count) { stored->set_value(count); });
    });
  });
  CHECK(replicas.get() > 0) << "nobody keeps the record";
}

Announcement::~Announcement() {
  io_.run_and_wait([this] { dht_.reset(); });
}

}  // namespace shoal::node
