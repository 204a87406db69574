// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <system_error>
#include <thread>

#include "net/channel_pool.h"
#include "net/directory.h"
#include "net/identity_tls.h"
#include "net/io_thread.h"
#include "node/device/device_thread.h"
#include "node/device/loaded_model.h"
#include "node/device/sizing.h"
#include "node/member/announcer.h"
#include "node/member/join.h"
#include "node/member/joiner.h"
#include "node/member/own_addresses.h"
#include "node/member/placement.h"
#include "node/member/ports.h"
#include "node/member/twin.h"
#include "node/metrics/metrics.h"
#include "node/model_parts.h"
#include "node/serve/span_service.h"
#include "node/serve/sweeper.h"

namespace shoal::node {
namespace {

using std::chrono::milliseconds;

// Nodes that are started together should not choose the same blocks.
constexpr std::uint32_t kPlacementPauseMs = 1'500;
// Storing a record takes a lookup; a lone or lossy swarm must not hold the node up for longer.
constexpr std::uint32_t kPublishTimeoutMs = 5'000;
constexpr std::uint32_t kWithdrawTimeoutMs = 2'000;
constexpr std::uint32_t kFindTimeoutMs = 5'000;
// A node that has lost everybody looks where the names of its --join lead, this often.
constexpr auto kLookForOthers = milliseconds(15'000);
// And whether its model files were replaced, which changes nothing yet, this often.
constexpr auto kLookForFiles = milliseconds(2'000);
constexpr std::uint32_t kTwinTimeoutMs = 2'000;
// Whether the swarm's record of us is ours. A look is one lookup; in a large swarm that is left to
// the rhythm of announcing.
constexpr auto kLookAtRecord = milliseconds(5'000);
constexpr auto kLookAtRecordOfMany = milliseconds(proto::kRecordRefreshMs);
constexpr double kManyPeers = 200;
constexpr std::uint64_t kLeapUs = 60'000'000;
// Prometheus waits ten seconds as a rule; a net thread that is so late has other troubles.
constexpr std::uint32_t kSnapshotTimeoutMs = 2'000;

absl::Status stopped() { return absl::CancelledError("stopped while starting"); }

class WholeNode final : public Node {
 public:
  explicit WholeNode(NodeOptions options) : options_(std::move(options)) {
    if (options_.cancelled != nullptr) stop_ = options_.cancelled;
    std::vector<std::string> addresses = options_.join_names;
    for (const proto::Endpoint& peer : options_.join) addresses.push_back(proto::to_string(peer));
    if (!addresses.empty()) joiner_.emplace(std::move(addresses), *stop_);
  }
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
    auto loaded =
        LoadedModel::open(options_.model_directory, options_.model_name, told_in_log(*stop_));
    if (!loaded.ok()) return loaded.status();
    model_ = std::make_unique<LoadedModel>(std::move(*loaded));
    for (const std::string& warning : model_->warnings) spdlog::warn("{}", warning);
    if (options_.blocks) {
      absl::Status inside = check_blocks(*options_.blocks, own_model());
      if (!inside.ok()) return inside;
      if (absl::Status held = model_->check_held(*options_.blocks); !held.ok()) return held;
    }
    if (model_->manifest == nullptr && !joiner_) return unnamed_parts(*model_);
    channels_ = std::make_unique<net::ChannelPool>(options_.identity, options_.swarm_key);
    service_ = std::make_unique<SpanService>(options_.identity.peer_id(), *channels_, run_);
    if (absl::Status status = open_swarm(service_.get()); !status.ok()) return status;
    sweeper_ = std::make_unique<Sweeper>(*io_, *service_);

    auto span = enter_swarm();
    if (!span.ok()) return span.status();
    if (absl::Status status = await_twin(); !status.ok()) return status;
    set_facts(*span);
    if (absl::Status kept = model_->keep(*span); !kept.ok()) return kept;
    service_->offer_manifest(model_->digest, model_->manifest);
    if (absl::Status status = announce(proto::NodeState::kJoining); !status.ok()) return status;
    if (absl::Status status = start_device(); !status.ok()) return status;
    if (stop_->stopped()) return stopped();
    start_next_hops();
    service_->serve(facts_, *device_, *next_hops_);
    return announce(proto::NodeState::kOnline);
  }

  proto::Endpoint endpoint() const override { return addresses_->list().front(); }
  std::uint16_t port() const override { return swarm_->endpoint().port; }
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
    stats.outbox = service_->outbox().stats();
    stats.sessions_given_way = service_->sessions().given_way();
    return stats;
  }

  absl::Status tend() override {
    rejoin_when_alone();
    if (device_ == nullptr) return absl::OkStatus();
    if (absl::Status status = check_model_files(); !status.ok()) return status;
    return watch_own_record();
  }

  std::optional<proto::Endpoint> metrics() const override {
    if (metrics_ == nullptr) return std::nullopt;
    return metrics_->endpoint();
  }

  void drain_and_stop(std::uint32_t drain_timeout_ms, const base::StopToken* hurry) override {
    if (std::exchange(stopped_, true)) return;
    if (twin_.valid()) twin_.wait();
    stop_ = hurry != nullptr ? hurry : &never_;
    if (service_ != nullptr) {
      service_->sessions().refuse_new("this node is shutting down");
      drain(drain_timeout_ms);
    }
    // It may take two seconds, and must end before what it looks at.
    std::future<void> metrics_end;
    try {
      metrics_end = std::async(std::launch::async, [this] { metrics_.reset(); });
    } catch (const std::system_error&) {  // no thread to be had: one after the other
      metrics_.reset();
    }
    withdraw();
    stop_serving();
    next_hops_.reset();
    sweeper_.reset();
    if (metrics_end.valid()) metrics_end.wait();
    device_.reset();
    if (addresses_ != nullptr) {
      io_->run_and_wait([this] {
        announcer_.reset();
        addresses_.reset();
      });
    }
    swarm_.reset();
    service_.reset();
    channels_.reset();
    io_.reset();
  }

 private:
  OwnModel own_model() const {
    return {model_->name, model_->digest, static_cast<std::uint32_t>(model_->config.block_count)};
  }

  // On any thread but the net thread, while everything lives.
  std::optional<dht::DhtStats> directory() const {
    return swarm_->stats(kSnapshotTimeoutMs, never_);
  }

  // The directory asks the addresses that it knows again by itself; but a name may lead elsewhere
  // by now.
  void rejoin_when_alone() {
    const auto now = std::chrono::steady_clock::now();
    if (!joiner_ || options_.join_names.empty() || now < look_for_others_at_) return;
    look_for_others_at_ = now + kLookForOthers;
    const auto stats = directory();
    if (stats && stats->contacts == 0) joiner_->rejoin(*swarm_);
  }

  // A record of ours in a swarm that we have only just joined is of an earlier run, or of a twin. A
  // restart must not wait for that: it is found out beside what else takes time.
  void look_for_twin(std::span<const dht::Record> served) {
    for (const dht::Record& record : served) {
      if (record.peer_id() != peer_id() || record.addresses.empty()) continue;
      try {
        twin_ = std::async(std::launch::async, [this, addresses = record.addresses] {
          return find_twin(*channels_, peer_id(), addresses, run_, kTwinTimeoutMs);
        });
      } catch (const std::system_error&) {  // no thread: then as if nobody had answered
      }
      return;
    }
  }
  absl::Status await_twin() {
    const auto twin = twin_.valid() ? twin_.get() : std::nullopt;
    return twin ? twin_error(peer_id(), *twin) : absl::OkStatus();
  }

  // Whether the swarm's record of us is ours; an error when another run is older, and goes on.
  absl::Status watch_own_record() {
    if (const auto from = service_->take_twin_call()) {
      spdlog::warn(
          "another node was started with this node's identity {}, at {}: it was told to take "
          "another one, and this one goes on. A copied key file is the usual reason",
          to_string(peer_id()), proto::to_string(*from));
    }
    const auto now = std::chrono::steady_clock::now();
    if (now < look_at_record_at_) return absl::OkStatus();
    const auto stats = directory();
    const bool large = stats && stats->estimated_peers > kManyPeers;
    look_at_record_at_ = now + (large ? kLookAtRecordOfMany : kLookAtRecord);
    const auto found =
        find(dht::block_key(swarm_->swarm_id(), facts_.model_digest, facts_.span.begin));
    if (!found.ok()) return absl::OkStatus();
    const auto own = std::find_if(found->begin(), found->end(), [&](const dht::Record& record) {
      return record.peer_id() == peer_id();
    });
    std::uint64_t announced = 0;
    io_->run_and_wait([&] { announced = announcer_->sequence(); });
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
        const auto twin = find_twin(*channels_, peer_id(), own->addresses, run_, kTwinTimeoutMs);
        if (twin && twin->run != 0 && twin->run < run_) {
          replaced_ = true;
          return twin_error(peer_id(), *twin);
        }
        spdlog::warn(
            "another node announces itself as {}, which is this node's identity{}: a copied key "
            "file is the usual reason. Give that one a new identity: start it with another "
            "--identity FILE",
            to_string(peer_id()),
            twin ? " (it runs at " + proto::to_string(twin->address) + ")" : std::string());
        above = own->sequence;
        break;
      }
    }
    io_->post([this, above] { announcer_->announce_over(above, [](int) {}); });
    return absl::OkStatus();
  }

  absl::Status check_model_files() {
    if (absl::Status intact = device_->check_files(); !intact.ok()) {
      return absl::FailedPreconditionError(
          fmt::format("{}; this node leaves the swarm: start it again when the file is whole",
                      std::string(intact.message().data(), intact.message().size())));
    }
    const auto now = std::chrono::steady_clock::now();
    if (now < look_for_files_at_) return absl::OkStatus();
    look_for_files_at_ = now + kLookForFiles;
    const std::vector<std::string> replaced = model_->checkpoint.replaced();
    if (!replaced.empty() && !std::exchange(told_of_files_, true)) {
      spdlog::warn(
          "{} was replaced or removed: this node goes on with the model that it has loaded; start "
          "it again to serve the new one",
          replaced.front());
    }
    return absl::OkStatus();
  }

  std::optional<MetricsSnapshot> snapshot() const {
    const auto taken = directory();
    if (!taken) return std::nullopt;
    MetricsSnapshot snapshot{*taken, std::nullopt, std::nullopt};
    if (device_ != nullptr) snapshot.node = stats();
    if (server_.front != nullptr) snapshot.front = server_.front->stats();
    return snapshot;
  }

  absl::Status run_bootstrap() {
    if (absl::Status status = open_swarm(nullptr); !status.ok()) return status;
    return joiner_ ? join() : absl::OkStatus();
  }

  absl::Status join() {
    absl::Status joined = joiner_->join(
        *swarm_, options_.join_timeout_ms, [this](const std::vector<proto::Endpoint>& silent) {
          // To the directory, a peer of our own identity is silence.
          if (channels_ == nullptr) return absl::OkStatus();
          const auto twin = find_twin(*channels_, peer_id(), silent, run_, kTwinTimeoutMs);
          return twin ? twin_error(peer_id(), *twin) : absl::OkStatus();
        });
    if (!joined.ok() || options_.join_names.empty()) return joined;
    // Now it is known by which of our addresses the swarm is reached.
    options_.join = joiner_->endpoints();
    watch_addresses();
    return joined;
  }

  absl::Status open_swarm(grpc::Service* service) {
    for (const proto::Endpoint& address : options_.announce) {
      absl::Status usable = proto::check_address(address, proto::AddressUse::kAnnounce);
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
    server_ = std::move(ports->server);
    swarm_ = std::make_unique<net::Directory>(*io_, std::move(ports->dht));
    watch_addresses();
    return absl::OkStatus();
  }

  void watch_addresses() {
    OwnAddressesOptions own{swarm_->endpoint(), options_.join, options_.announce};
    for (proto::Endpoint& address : own.announced) {
      if (address.port == 0) address.port = own.bound.port;
    }
    io_->run_and_wait([&] {
      addresses_.reset();
      addresses_ =
          std::make_unique<OwnAddresses>(io_->context(), swarm_->dht(), std::move(own), [this] {
            if (announcer_ != nullptr) announcer_->announce_change();
          });
    });
  }

  absl::StatusOr<std::vector<dht::Record>> find(const dht::Key& key) {
    return swarm_->find(key, kFindTimeoutMs, *stop_);
  }

  // Joins, checks that our model belongs there, and chooses the span.
  absl::StatusOr<proto::Span> enter_swarm() {
    if (joiner_) {
      if (absl::Status joined = join(); !joined.ok()) return joined;
      const auto served = find(dht::models_key(swarm_->swarm_id()));
      if (!served.ok()) return served.status();
      last_sequence_ = known_sequence(*served, peer_id());
      look_for_twin(*served);
      // We may have joined by loopback a swarm that reaches beyond this machine.
      io_->run_and_wait([&] {
        addresses_->learn_others(*served);
        addresses_->look();
      });
      if (model_->manifest == nullptr) {
        absl::Status found = find_manifest(*model_, *served, *channels_, *stop_);
        if (!found.ok()) return found;
      }
      if (!options_.add_model) {
        const absl::Status fits = check_model(*served, own_model());
        if (!fits.ok()) return fits;
      }
    }
    const OwnModel own = own_model();
    std::uint32_t most = 0;  // blocks in a row that are here
    for (const proto::Span& run : model_->held) most = std::max(most, run.size());
    if (absl::Status status = plan_span(most); !status.ok()) return status;
    if (options_.blocks) return *options_.blocks;
    if (plan_.blocks == own.block_count) return proto::Span{0, own.block_count};
    std::vector<dht::Record> records;
    if (joiner_) {
      const milliseconds pause(identity::Random::from_system().below(kPlacementPauseMs));
      if (!base::sleep_for(pause, *stop_)) return stopped();
      auto found = find(dht::model_key(swarm_->swarm_id(), own.digest));
      if (!found.ok()) return found.status();
      records = std::move(*found);
    }
    const auto servers = served_spans(records, own.digest, own.block_count, peer_id());
    return choose_span(block_throughput(servers, own.block_count), plan_.blocks, model_->held);
  }

  // What memory there is now, after all waiting.
  absl::Status plan_span(std::uint32_t most_blocks) {
    MemoryWishes wishes;
    if (options_.blocks) wishes.blocks = options_.blocks->size();
    wishes.kv_positions = options_.kv_positions;
    auto plan = plan_memory(memory_budget("/", process_limits(), options_.memory), model_->needs,
                            most_blocks, wishes);
    if (!plan.ok()) return plan.status();
    plan_ = *std::move(plan);
    spdlog::info("{}", plan_.reason);
    return absl::OkStatus();
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
    DeviceOptions device;
    device.span = facts_.span;
    device.kv_positions = plan_.kv_positions;
    device.threads = options_.threads;
    const std::int64_t row_bytes = static_cast<std::int64_t>(facts_.hidden) * sizeof(float);
    device.limits.queued_rows =
        std::max<std::int64_t>(proto::kMaxInboxBytes / row_bytes, 2 * facts_.max_rows_per_step);
    device.limits.queued_rows_per_peer = device.limits.queued_rows / 2;
    auto started = DeviceThread::start(model_->config, model_->checkpoint, device);
    if (!started.ok()) return started.status();
    facts_.max_positions =
        static_cast<std::uint32_t>(std::min(plan_.kv_positions, model_->config.max_positions));
    device_ = std::move(*started);
    spdlog::info("loaded blocks {} of {}: {:.0f} us per block and row, room for {} positions",
                 proto::to_string(facts_.span), facts_.model_name, device_->stats().block_step_us,
                 plan_.kv_positions);
    return absl::OkStatus();
  }

  // Whoever our clients name as the next hop is found in the directory.
  void start_next_hops() {
    const auto find = [this](proto::BlockIndex block, auto done) {
      swarm_->dht().find(dht::block_key(swarm_->swarm_id(), facts_.model_digest, block),
                         [model = facts_.model_digest, done](std::vector<dht::Record> records) {
                           std::erase_if(records, [&](const auto& record) {
                             return record.model_digest != model;
                           });
                           done(std::move(records));
                         });
    };
    next_hops_ = std::make_unique<NextHops>(*io_, find, [this] {
      return dial_reach(addresses_->list(), options_.swarm_key.has_value());
    });
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
    record.addresses = addresses_->list();
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
        kPublishTimeoutMs, [this](auto done) { announcer_->announce([done](int) { done(); }); },
        *stop_);
    if (absl::IsCancelled(told)) return told;
    if (!told.ok()) spdlog::warn("the swarm has not confirmed our record yet; announcing goes on");
    return absl::OkStatus();
  }

  void drain(std::uint32_t timeout_ms) {
    const auto deadline = std::chrono::steady_clock::now() + milliseconds(timeout_ms);
    bool told = false;
    while (service_->sessions().size() > 0 && std::chrono::steady_clock::now() < deadline &&
           !stop_->stopped()) {
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
    // The record is another run's by now.
    if (announcer_ == nullptr || replaced_) return;
    service_->set_state(proto::NodeState::kOffline);
    absl::Status told = swarm_->await(
        kWithdrawTimeoutMs, [this](auto done) { announcer_->withdraw([done](int) { done(); }); },
        *stop_);
    if (!told.ok())
      spdlog::info("the swarm has not confirmed that we left; our record expires by itself");
  }

  void stop_serving() {
    if (service_ == nullptr) return;
    service_->sessions().fail_all(
        {.code = absl::StatusCode::kUnavailable, .reason = "this node is shutting down"});
    server_.shut_down(milliseconds(1'000));
    // Our streams to other nodes: cancelled with their sessions, gone within moments.
    while (!service_->registry().wait_empty(milliseconds(5'000))) {
      spdlog::warn("{} streams to other nodes have not ended yet", service_->registry().size());
    }
  }

  NodeOptions options_;
  const base::StopToken never_;
  const base::StopToken* stop_ = &never_;  // of starting, and then of draining
  std::unique_ptr<LoadedModel> model_;
  MemoryPlan plan_;
  NodeFacts facts_;
  std::uint64_t last_sequence_ = 0;
  bool stopped_ = false;
  std::optional<Joiner> joiner_;
  const std::uint64_t run_ = run_of_now();
  std::future<std::optional<Twin>> twin_;  // uses channels_: see await_twin()
  bool replaced_ = false;                  // by a twin that goes on in our place
  int times_missing_ = 0;
  std::chrono::steady_clock::time_point look_at_record_at_;
  bool told_of_files_ = false;
  std::chrono::steady_clock::time_point look_for_files_at_;
  std::chrono::steady_clock::time_point look_for_others_at_ =
      std::chrono::steady_clock::now() + kLookForOthers;

  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<net::IoThread> io_;
  std::unique_ptr<net::ChannelPool> channels_;
  std::unique_ptr<SpanService> service_;
  net::RunningServer server_;
  std::unique_ptr<net::Directory> swarm_;
  std::unique_ptr<OwnAddresses> addresses_;  // as is announcer_
  std::unique_ptr<NextHops> next_hops_;
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
