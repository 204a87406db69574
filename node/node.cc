// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "net/channel_pool.h"
#include "net/identity_tls.h"
#include "net/io_thread.h"
#include "node/announcer.h"
#include "node/device_thread.h"
#include "node/join.h"
#include "node/listen.h"
#include "node/loaded_model.h"
#include "node/metrics.h"
#include "node/placement.h"
#include "node/ports.h"
#include "node/sizing.h"
#include "node/span_service.h"
#include "node/swarm_link.h"
#include "node/sweeper.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

// Nodes that are started together should not choose the same blocks.
constexpr std::uint32_t kPlacementPauseMs = 1'500;
// Storing a record takes a lookup; a lone or lossy swarm must not hold the node up for longer.
constexpr std::uint32_t kPublishTimeoutMs = 5'000;
constexpr std::uint32_t kWithdrawTimeoutMs = 2'000;
// Prometheus waits ten seconds as a rule; a net thread that is so late has other troubles.
constexpr auto kSnapshotTimeout = milliseconds(2'000);
// Queued activations of all peers; one peer may have half of it.
constexpr std::int64_t kMaxQueuedBytes = 256 << 20;

absl::Status stopped() { return absl::CancelledError("stopped while starting"); }

class WholeNode final : public Node {
 public:
  explicit WholeNode(NodeOptions options) : options_(std::move(options)) {}
  ~WholeNode() override { drain_and_stop(0, nullptr); }

  absl::Status run() {
    net::init_transport();
    if (options_.metrics) {
      auto metrics = MetricsServer::start(*options_.metrics);
      if (!metrics.ok()) return metrics.status();
      metrics_ = std::move(*metrics);
    }
    absl::Status online = options_.model_directory.empty() ? run_bootstrap() : run_node();
    if (online.ok() && metrics_ != nullptr) metrics_->serve([this] { return snapshot(); });
    return online;
  }

  absl::Status run_node() {
    auto loaded = LoadedModel::open(options_.model_directory, options_.model_name);
    if (!loaded.ok()) return loaded.status();
    model_ = std::make_unique<LoadedModel>(std::move(*loaded));
    if (options_.blocks) {
      absl::Status inside = check_blocks(*options_.blocks, own_model());
      if (!inside.ok()) return inside;
    }
    channels_ = std::make_unique<net::ChannelPool>(options_.identity, options_.swarm_key);
    service_ = std::make_unique<SpanService>(options_.identity.peer_id(), *channels_);
    if (absl::Status status = open_swarm(service_.get()); !status.ok()) return status;
    sweeper_ = std::make_unique<Sweeper>(*io_, *service_);

    auto span = enter_swarm();
    if (!span.ok()) return span.status();
    set_facts(*span);
    if (absl::Status status = announce(proto::NodeState::kJoining); !status.ok()) return status;
    if (absl::Status status = start_device(); !status.ok()) return status;
    if (options_.cancelled != nullptr && *options_.cancelled) return stopped();
    service_->serve(facts_, *device_);
    return announce(proto::NodeState::kOnline);
  }

  proto::Endpoint endpoint() const override { return addresses_.front(); }
  std::uint16_t port() const override { return addresses_.front().port; }
  const proto::PeerId& peer_id() const override { return options_.identity.peer_id(); }
  proto::Span span() const override { return facts_.span; }
  const std::string& model_name() const override { return facts_.model_name; }
  const proto::Digest& model_digest() const override { return facts_.model_digest; }

  NodeStats stats() const override {
    NodeStats stats;
    if (device_ == nullptr) return stats;
    const DeviceStats load = device_->stats();
    stats.sessions = service_->sessions().size();
    stats.streams = service_->registry().size();
    stats.pages_in_use = load.pages_in_use;
    stats.free_kv_positions = load.free_positions;
    stats.total_kv_positions = load.total_positions;
    stats.queued_steps = load.queued_steps;
    stats.batches = load.batches;
    stats.batched_rows = load.batched_rows;
    stats.block_step_us = load.block_step_us;
    return stats;
  }

  std::optional<proto::Endpoint> metrics() const override {
    if (metrics_ == nullptr) return std::nullopt;
    return metrics_->endpoint();
  }

  void drain_and_stop(std::uint32_t drain_timeout_ms, const std::atomic<bool>* hurry) override {
    if (std::exchange(stopped_, true)) return;
    if (swarm_ != nullptr) swarm_->set_cancelled(hurry);
    if (service_ != nullptr) {
      service_->sessions().refuse_new("this node is shutting down");
      drain(drain_timeout_ms, hurry);
    }
    // It may take two seconds, and must end before what it looks at.
    auto metrics_end = std::async(std::launch::async, [this] { metrics_.reset(); });
    withdraw();
    stop_serving();
    sweeper_.reset();
    metrics_end.wait();
    device_.reset();
    if (announcer_ != nullptr) io_->run_and_wait([this] { announcer_.reset(); });
    swarm_.reset();
    service_.reset();
    channels_.reset();
    io_.reset();
  }

 private:
  OwnModel own_model() const {
    return {model_->name, model_->digest, static_cast<std::uint32_t>(model_->config.block_count)};
  }

  // On a thread of the metrics server, while everything lives.
  std::optional<MetricsSnapshot> snapshot() const {
    auto promise = std::make_shared<std::promise<dht::DhtStats>>();
    std::future<dht::DhtStats> taken = promise->get_future();
    io_->post([this, promise] { promise->set_value(swarm_->dht().stats()); });
    if (taken.wait_for(kSnapshotTimeout) != std::future_status::ready) return std::nullopt;
    MetricsSnapshot snapshot{taken.get(), std::nullopt};
    if (device_ != nullptr) snapshot.node = stats();
    return snapshot;
  }

  absl::Status run_bootstrap() {
    if (absl::Status status = open_swarm(nullptr); !status.ok()) return status;
    if (options_.join.empty()) return absl::OkStatus();
    return swarm_->bootstrap(options_.join, options_.join_timeout_ms);
  }

  absl::Status open_swarm(grpc::Service* service) {
    if (options_.announce) {
      absl::Status usable = proto::check_address(*options_.announce, proto::AddressUse::kAnnounce);
      if (!usable.ok()) return usable;
    }
    io_ = std::make_unique<net::IoThread>();
    dht::UdpServiceOptions dht;
    dht.listen = options_.listen;
    dht.swarm_key = options_.swarm_key;
    dht.table_file = options_.contacts_file;
    dht.warn = [](const std::string& text) { spdlog::warn("{}", text); };
    dht.on_reachable = [](bool reachable) {
      if (reachable) {
        spdlog::info("strangers reach this node: it takes part in the directory again");
      } else {
        spdlog::warn(
            "strangers do not reach this node's UDP port, so others in the directory no longer ask "
            "it: forward the port of --listen on the router, or open it in the firewall");
      }
    };
    auto ports = open_ports(*io_, options_.identity, dht, service);
    if (!ports.ok()) return ports.status();
    server_ = std::move(ports->server.server);
    swarm_ = std::make_unique<SwarmLink>(*io_, std::move(ports->dht), options_.cancelled);
    proto::Endpoint bound = options_.listen;
    bound.port = swarm_->endpoint().port;
    addresses_ = reachable_addresses(bound, options_.join);
    if (options_.announce) {
      addresses_ = {*options_.announce};
      if (addresses_.front().port == 0) addresses_.front().port = bound.port;
    }
    return absl::OkStatus();
  }

  // We may have joined by loopback a swarm that reaches beyond this machine.
  void reconsider_addresses(std::span<const dht::Record> served) {
    if (!options_.listen.is_unspecified() || options_.announce || !addresses_.front().is_loopback())
      return;
    std::vector<proto::Endpoint> others;
    for (const dht::Record& record : served) {
      if (record.peer_id() != peer_id())
        others.insert(others.end(), record.addresses.begin(), record.addresses.end());
    }
    if (loopback_swarm(others)) return;
    proto::Endpoint bound = options_.listen;
    bound.port = swarm_->endpoint().port;
    addresses_ = reachable_addresses(bound, {});
  }

  // Joins, checks that our model belongs there, and chooses the span.
  absl::StatusOr<proto::Span> enter_swarm() {
    const OwnModel own = own_model();
    if (!options_.join.empty()) {
      const absl::Status joined = swarm_->bootstrap(options_.join, options_.join_timeout_ms);
      if (!joined.ok()) return joined;
      const auto served = swarm_->find(dht::models_key(swarm_->swarm_id()));
      if (!served.ok()) return served.status();
      last_sequence_ = known_sequence(*served, peer_id());
      reconsider_addresses(*served);
      if (!options_.add_model) {
        const absl::Status fits = check_model(*served, own);
        if (!fits.ok()) return fits;
      }
    }
    if (options_.blocks) return *options_.blocks;

    auto count =
        blocks_that_fit(available_memory(), model_->needs,
                        options_.kv_positions.value_or(kDefaultKvPositions), own.block_count);
    if (!count.ok() && !options_.kv_positions) {
      // The default cache is a wish: one block with a small one still helps.
      count = blocks_that_fit(available_memory(), model_->needs, kDefaultKvPositions / 32, 1);
    }
    if (!count.ok()) return count.status();
    if (*count == own.block_count) return proto::Span{0, own.block_count};
    std::vector<dht::Record> records;
    if (!options_.join.empty()) {
      const auto pause =
          static_cast<std::uint32_t>(dht::Random::from_system().below(kPlacementPauseMs));
      if (absl::Status status = swarm_->pause(pause); !status.ok()) return status;
      auto found = swarm_->find(dht::model_key(swarm_->swarm_id(), own.digest));
      if (!found.ok()) return found.status();
      records = std::move(*found);
    }
    const auto servers = served_spans(records, own.digest, own.block_count, peer_id());
    return choose_span(block_throughput(servers, own.block_count), *count);
  }

  void set_facts(proto::Span span) {
    facts_.peer_id = peer_id();
    facts_.public_name = options_.public_name;
    facts_.model_name = model_->name;
    facts_.model_digest = model_->digest;
    facts_.block_count = static_cast<std::uint32_t>(model_->config.block_count);
    facts_.span = span;
    facts_.hidden = static_cast<std::uint32_t>(model_->config.hidden);
    facts_.compute = model_->compute;
    facts_.max_rows_per_step = rows_per_step(facts_.hidden);
    facts_.max_sessions = options_.max_sessions;
    facts_.max_sessions_per_peer = options_.max_sessions_per_peer;
  }

  absl::Status start_device() {
    const auto positions = kv_positions_that_fit(available_memory(), model_->needs,
                                                 facts_.span.size(), options_.kv_positions);
    if (!positions.ok()) return positions.status();
    DeviceOptions device;
    device.span = facts_.span;
    device.kv_positions = *positions;
    device.threads = options_.threads;
    const std::int64_t row_bytes = static_cast<std::int64_t>(facts_.hidden) * sizeof(float);
    device.limits.queued_rows =
        std::max<std::int64_t>(kMaxQueuedBytes / row_bytes, 2 * facts_.max_rows_per_step);
    device.limits.queued_rows_per_peer = device.limits.queued_rows / 2;
    auto started = DeviceThread::start(model_->config, model_->checkpoint, device);
    if (!started.ok()) return started.status();
    facts_.max_positions =
        static_cast<std::uint32_t>(std::min(*positions, model_->config.max_positions));
    device_ = std::move(*started);
    spdlog::info("loaded blocks {} of {}: {:.0f} us per block and row, room for {} positions",
                 proto::to_string(facts_.span), facts_.model_name, device_->stats().block_step_us,
                 *positions);
    return absl::OkStatus();
  }

  dht::Record record() const {
    dht::Record record;
    record.ttl_ms = proto::kMaxRecordTtlMs;
    record.state = service_->state();
    record.model_digest = facts_.model_digest;
    record.model_name = facts_.model_name;
    record.block_count = facts_.block_count;
    record.span = facts_.span;
    record.compute = facts_.compute;
    record.addresses = addresses_;
    record.public_name = facts_.public_name;
    record.version_major = proto::kProtocolMajor;
    record.version_minor = proto::kProtocolMinor;
    if (record.state == proto::NodeState::kOnline) {
      const DeviceStats load = device_->stats();
      record.block_step_us = load.block_step_us;
      record.free_kv_positions = static_cast<std::uint32_t>(load.free_positions);
      record.queue_depth = static_cast<std::uint32_t>(load.queued_steps);
    }
    return record;
  }

  // Waits until the record is stored; a swarm that is slow to store does not keep the node from
  // serving.
  absl::Status announce(proto::NodeState state) {
    service_->set_state(state);
    if (announcer_ == nullptr) {
      io_->run_and_wait([this] {
        announcer_ = std::make_unique<Announcer>(
            io_->context(), swarm_->dht(), options_.identity,
            [this] {
              return Load{record(), service_->sessions().size() == 0};
            },
            last_sequence_);
      });
    }
    absl::Status told = swarm_->await(
        kPublishTimeoutMs, [this](auto done) { announcer_->announce([done](int) { done(); }); });
    if (absl::IsCancelled(told)) return told;
    if (!told.ok()) spdlog::warn("the swarm has not confirmed our record yet; announcing goes on");
    return absl::OkStatus();
  }

  void drain(std::uint32_t timeout_ms, const std::atomic<bool>* hurry) {
    const auto deadline = std::chrono::steady_clock::now() + milliseconds(timeout_ms);
    bool told = false;
    while (service_->sessions().size() > 0 && std::chrono::steady_clock::now() < deadline &&
           !(hurry != nullptr && *hurry)) {
      if (!std::exchange(told, true)) {
        spdlog::info("draining: {} sessions have {} ms to finish", service_->sessions().size(),
                     timeout_ms);
        service_->set_state(proto::NodeState::kDraining);
        io_->post([this] { announcer_->announce([](int) {}); });
      }
      std::this_thread::sleep_for(milliseconds(10));
    }
  }

  void withdraw() {
    if (announcer_ == nullptr) return;
    service_->set_state(proto::NodeState::kOffline);
    absl::Status told = swarm_->await(
        kWithdrawTimeoutMs, [this](auto done) { announcer_->withdraw([done](int) { done(); }); });
    if (!told.ok())
      spdlog::info("the swarm has not confirmed that we left; our record expires by itself");
  }

  void stop_serving() {
    if (service_ == nullptr) return;
    service_->sessions().fail_all(
        {.code = absl::StatusCode::kUnavailable, .reason = "this node is shutting down"});
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::system_clock::now() + milliseconds(1'000));
      server_.reset();
    }
    // Our streams to other nodes: cancelled with their sessions, gone within moments.
    while (!service_->registry().wait_empty(milliseconds(5'000))) {
      spdlog::warn("{} streams to other nodes have not ended yet", service_->registry().size());
    }
  }

  NodeOptions options_;
  std::unique_ptr<LoadedModel> model_;
  NodeFacts facts_;
  std::vector<proto::Endpoint> addresses_;
  std::uint64_t last_sequence_ = 0;
  bool stopped_ = false;

  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<net::IoThread> io_;
  std::unique_ptr<net::ChannelPool> channels_;
  std::unique_ptr<SpanService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<SwarmLink> swarm_;
  std::unique_ptr<Sweeper> sweeper_;
  std::unique_ptr<Announcer> announcer_;  // lives and dies on the net thread
  std::unique_ptr<DeviceThread> device_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Node>> Node::start(NodeOptions options) {
  auto node = std::make_unique<WholeNode>(std::move(options));
  absl::Status status = node->run();
  if (!status.ok()) return status;  // the destructor takes down what was built
  return node;
}

}  // namespace shoal::node
