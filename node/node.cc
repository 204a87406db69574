// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include "dht/told_place.h"
#include "net/channel_pool.h"
#include "net/identity_tls.h"
#include "node/account/account.h"
#include "node/account/amounts.h"
#include "node/companion_files.h"
#include "node/device/loaded_model.h"
#include "node/entry.h"
#include "node/live_span.h"
#include "node/member/membership.h"
#include "node/member/own_record_watch.h"
#include "node/memory_promise.h"
#include "node/metrics/metrics.h"
#include "node/model_parts.h"
#include "node/serve/next_hops.h"
#include "node/serve/span_service.h"
#include "node/serve/sweeper.h"
#include "node/span_holder.h"

namespace shoal::node {
namespace {

using model::WeightChoice;
using std::chrono::milliseconds;

// Each is a second; who then still has the same blocks as another moves later.
constexpr int kMostChoices = 5;
// Mapped and asked about in five seconds, or through a relay in six.
constexpr milliseconds kReachWait{6'000};

absl::Status stopped() { return absl::CancelledError("stopped while starting"); }

MembershipOptions membership_of(const NodeOptions& options) {
  MembershipOptions result;
  result.listen = options.listen;
  result.swarm_key = options.swarm_key;
  result.udp = options.udp;
  result.contacts_file = options.contacts_file;
  result.join = options.join;
  result.join_names = options.join_names;
  result.join_timeout_ms = options.join_timeout_ms;
  result.announce = options.announce;
  result.reach = options.reach;
  result.relay.reset();
  // Nobody relays to a relay.
  if (options.relay_mbit && options.reach != ReachMode::kRelay) {
    result.relay.emplace().bytes_per_second = *options.relay_mbit * 1e6 / 8;
  }
  result.cancelled = options.cancelled;
  result.on_silence = options.on_silence;
  return result;
}

}  // namespace

class Node::Impl {
 public:
  explicit Impl(NodeOptions options)
      : options_(std::move(options)),
        memory_(options_.memory_ledger),
        member_(std::make_unique<Membership>(options_.identity, membership_of(options_))) {}
  ~Impl() { drain_and_stop(0, nullptr); }

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

  proto::Endpoint endpoint() const {
    for (const proto::Address& address : member_->announced()) {
      if (address.is_direct()) return address.endpoint;
    }
    return member_->addresses().front();
  }
  std::string place() const { return dht::at_told_place(member_->announced()); }
  std::string reach() const {
    const auto report = member_->reach();
    return report ? report->told() : "";
  }
  std::uint16_t port() const { return member_->port(); }
  const proto::PeerId& peer_id() const { return options_.identity.peer_id(); }
  proto::Offer offer() const { return holder_ == nullptr ? proto::Offer() : holder_->offer(); }
  const std::string& model_name() const { return model_name_; }
  const proto::Digest& model_digest() const { return model_digest_; }

  NodeStats stats() const {
    NodeStats stats;
    if (service_ == nullptr) return stats;
    const auto serving = service_->serving();
    const DeviceStats load = serving == nullptr ? DeviceStats() : serving->device->stats();
    const ServiceCounts served = service_->counts();
    stats.sessions = served.sessions;
    stats.streams = served.streams;
    stats.pages_in_use = load.pages_in_use;
    stats.kept_pages = load.kept_pages;
    stats.reused_positions = load.reused_positions;
    stats.free_kv_positions = load.free_positions;
    stats.total_kv_positions = load.total_positions;
    stats.queued_steps = load.queued_steps;
    stats.batches = load.batches;
    stats.batched_rows = load.batched_rows;
    stats.head_rows = load.head_rows;
    stats.head_calls = load.head_calls;
    stats.computing_s = load.computing_s;
    stats.block_step_us = load.block_step_us;
    stats.outbox = served.outbox;
    stats.sessions_given_way = served.given_way;
    stats.moves = holder_ == nullptr ? 0 : holder_->moves();
    return stats;
  }

  absl::Status tend() {
    member_->rejoin_when_alone();
    if (holder_ == nullptr) return absl::OkStatus();
    // While it is paused there is no record of ours, and nothing to move for.
    absl::Status held = holder_->tend(std::chrono::steady_clock::now(), !paused_);
    if (!held.ok() || paused_) return held;
    if (const auto from = service_->take_twin_call()) own_record_->tell_of_call(*from);
    const proto::Offer own = offer();
    return own_record_->look(
        dht::block_key(member_->swarm().swarm_id(), own.model_digest, own.span.begin));
  }

  std::optional<proto::Endpoint> metrics() const {
    if (metrics_ == nullptr) return std::nullopt;
    return metrics_->endpoint();
  }

  void drain(const std::string& reason) {
    if (service_ == nullptr) return;
    close(true);
    service_->drain(reason);
    service_->set_state(proto::NodeState::kDraining);
    member_->announce_without_waiting();
  }

  void pause(const std::string& reason) {
    if (service_ == nullptr) return;
    close(true);
    service_->end_sessions(reason);
    paused_ = true;
    withdraw();
  }

  void resume() {
    if (service_ == nullptr) return;
    close(false);
    service_->accept();
    const bool serves = service_->serving() != nullptr;  // or moves at this moment
    service_->set_state(serves ? proto::NodeState::kOnline : proto::NodeState::kJoining);
    paused_ = false;
    // Whoever asked for it finds the node in the swarm when it is told that it serves.
    if (const absl::Status told = member_->announce(); !told.ok()) {
      spdlog::debug("{}", std::string(told.message()));
    }
  }

  void set_limits(std::uint32_t max_sessions, std::uint32_t max_sessions_per_peer) {
    if (holder_ != nullptr) holder_->set_limits(max_sessions, max_sessions_per_peer);
  }

  void hand_over(std::uint32_t drain_timeout_ms) {
    announced_ = false;  // the record is the successor's
    if (service_ != nullptr) service_->drain("this node hands over to its successor");
    metrics_.reset();  // its port too
    // And the memory: it will have the same span in our place.
    if (holder_ != nullptr && holder_->is_settled()) memory_.keep({});
    member_->give_up_port(milliseconds(drain_timeout_ms));
  }

  void drain_and_stop(std::uint32_t drain_timeout_ms, const base::StopToken* hurry) {
    if (std::exchange(stopped_, true)) return;
    member_->set_stop(hurry != nullptr ? *hurry : never_);
    if (service_ != nullptr) {
      service_->drain("this node is shutting down");
      drain(drain_timeout_ms);
    }
    // It may take two seconds, and must end before what it looks at.
    std::future<void> metrics_end;
    try {
      metrics_end = std::async(std::launch::async, [this] { metrics_.reset(); });
    } catch (const std::system_error&) {  // no thread to be had: one after the other
      metrics_.reset();
    }
    if (!paused_) withdraw();
    member_->stop_announcing();
    stop_serving();
    next_hops_.reset();
    sweeper_.reset();
    if (metrics_end.valid()) metrics_end.wait();
    if (holder_ != nullptr) holder_->stop();
    own_record_.reset();
    member_->leave();
    holder_.reset();
    service_.reset();
    channels_.reset();
    member_.reset();
  }

 private:
  void close(bool closed) {
    if (holder_ != nullptr) holder_->close(closed);
  }

  absl::Status run_bootstrap() {
    if (absl::Status status = member_->open({}); !status.ok()) return status;
    if (!member_->joins()) return absl::OkStatus();
    return member_->join([](const std::vector<proto::Endpoint>&) { return absl::OkStatus(); });
  }

  absl::Status run_node() {
    auto loaded =
        LoadedModel::open(options_.model_directory, options_.model_name,
                          {options_.kv_dtype, options_.weights.value_or(WeightChoice::kStored)},
                          told_to_people(member_->stop()), options_.fetch_span != nullptr);
    if (!loaded.ok()) return loaded.status();
    model_ = std::make_unique<LoadedModel>(std::move(*loaded));
    for (const std::string& warning : model_->warnings) spdlog::warn("{}", warning);
    if (options_.blocks) {
      absl::Status inside = check_blocks(*options_.blocks, own_model(*model_));
      if (!inside.ok()) return inside;
      absl::Status held =
          options_.fetch_span ? absl::OkStatus() : model_->check_held(*options_.blocks);
      if (!held.ok()) return held;
    }
    if (model_->manifest == nullptr && !member_->joins()) return unnamed_parts(*model_);
    read_companions();
    const std::uint64_t run = run_of_now();
    channels_ = std::make_unique<net::ChannelPool>(options_.identity, options_.swarm_key);
    service_ = std::make_unique<SpanService>(peer_id(), *channels_, run);
    own_record_ = std::make_unique<OwnRecordWatch>(*member_, *channels_, peer_id(), run);
    if (absl::Status status = member_->open({&service_->calls()}); !status.ok()) return status;
    sweeper_ = std::make_unique<Sweeper>(member_->io(), *service_);

    if (absl::Status status = open_devices(); !status.ok()) return status;
    if (absl::Status status = settle_compute(); !status.ok()) return status;
    auto entry =
        enter_swarm(options_, chosen_, memory_, *model_, *channels_, *member_, *own_record_);
    if (!entry.ok()) return entry.status();
    if (absl::Status status = own_record_->await(); !status.ok()) return status;
    model_name_ = model_->name;
    model_digest_ = model_->digest;
    holder_ = std::make_unique<SpanHolder>(options_, *member_, *service_, memory_, member_->stop());
    service_->offer_manifest(model_->digest, model_->manifest);
    service_->offer_companions(model_->digest, std::exchange(companions_, nullptr));
    member_->start_announcing([this] { return announcement(); }, entry->last_sequence);
    if (absl::Status said = say_choice(*entry); !said.ok()) return said;
    start_next_hops();
    absl::Status serves = holder_->start(std::move(*model_), *std::move(entry), std::move(chosen_));
    model_.reset();
    if (!serves.ok()) return serves;
    if (member_->stop().stopped()) return stopped();
    // Asked since we joined, while the model was loaded.
    member_->await_reach(kReachWait);
    return announce(proto::NodeState::kOnline);
  }

  // Others see what is coming, and we what they have chosen at the same time.
  absl::Status say_choice(Entry& entry) {
    for (int round = 0;; ++round) {
      holder_->set_offer(facts_of(options_, *model_, entry).offer);
      if (absl::Status told = announce(proto::NodeState::kJoining); !told.ok()) return told;
      if (round == kMostChoices) return absl::OkStatus();
      const auto other = choose_again(options_, *model_, *member_, entry);
      if (!other.ok()) return other.status();
      if (!*other) return absl::OkStatus();
      spdlog::info("others that join have chosen blocks {} too: takes {}",
                   proto::to_string(entry.span), proto::to_string(**other));
      absl::Status settled = settle_span(options_, *model_, **other, entry);
      if (!settled.ok()) return settled;
      memory_.keep(entry.claim(*model_));
    }
  }

  std::optional<MetricsSnapshot> snapshot() const {
    const auto taken = member_->directory();
    if (!taken) return std::nullopt;
    MetricsSnapshot snapshot{*taken, std::nullopt, member_->front()};
    snapshot.relay = member_->relay();
    if (holder_ != nullptr) snapshot.node = stats();
    if (options_.account != nullptr) snapshot.account = options_.account->run();
    return snapshot;
  }

  // Before it is counted what memory is free. A node computes as well without them.
  void read_companions() {
    auto files = read_companion_files(options_.model_directory);
    if (files.ok()) {
      companions_ = *std::move(files);
    } else if (!absl::IsNotFound(files.status())) {
      spdlog::warn(
          "clients that have nothing of the model get none of its files from this node: {}",
          std::string(files.status().message()));
    }
  }

  absl::Status open_devices() {
    if (!options_.open_devices) return absl::OkStatus();
    auto opened = options_.open_devices();
    if (!opened.ok()) return opened.status();
    chosen_ = *std::move(opened);
    if (options_.account != nullptr && !chosen_.executors.empty()) options_.account->count_gpus();
    return absl::OkStatus();
  }

  // What the device makes of --compute mma.
  absl::Status settle_compute() {
    if (options_.weights != WeightChoice::kMma) return absl::OkStatus();
    const auto kind = mma_of(chosen_);
    if (!kind.ok()) return kind.status();
    model_->keep_as({options_.kv_dtype, WeightChoice::kMma, *kind});
    spdlog::info("computes in {}", proto::to_string(model_->numerics));
    return absl::OkStatus();
  }

  // Whoever our clients name as the next hop is found in the directory.
  void start_next_hops() {
    const auto find = [this](proto::BlockIndex block, auto done) {
      // A hop that is connected stays; looking for others needs the directory.
      if (member_->gave_up_port()) return done({});
      net::Directory& swarm = member_->swarm();
      swarm.dht().find(dht::block_key(swarm.swarm_id(), model_digest_, block),
                       [model = model_digest_, done](std::vector<dht::Record> records) {
                         std::erase_if(records, [&](const auto& record) {
                           return record.offer.model_digest != model;
                         });
                         done(std::move(records));
                       });
    };
    next_hops_ = std::make_unique<NextHops>(member_->io(), find, [this] {
      // By all that is announced: who is reached from the Internet, be it through relays, must not
      // be a window into the network around it.
      std::vector<proto::Endpoint> reached_at;
      for (const proto::Address& address : member_->announced()) {
        reached_at.push_back(address.endpoint);
      }
      DialReach reach = dial_reach(reached_at, options_.swarm_key.has_value());
      proto::Endpoint front = member_->swarm().endpoint();
      if (front.is_unspecified()) front = proto::Endpoint::v4({127, 0, 0, 1}, front.port);
      reach.own_relay = proto::Address::through(peer_id(), front);
      return reach;
    });
    service_->start(*next_hops_, options_.account != nullptr ? &options_.account->book() : nullptr);
  }

  // On the net thread.
  Announced announcement() const { return {record(), service_->counts().sessions == 0}; }

  dht::Record record() const {
    dht::Record record;
    record.ttl_ms = proto::kMaxRecordTtlMs;
    record.offer = holder_->offer();
    record.load = service_->load();
    record.addresses = member_->announced();
    return record;
  }

  absl::Status announce(proto::NodeState state) {
    service_->set_state(state);
    announced_ = true;
    return member_->announce();
  }

  void drain(std::uint32_t timeout_ms) {
    const auto deadline = std::chrono::steady_clock::now() + milliseconds(timeout_ms);
    bool told = false;
    while (service_->counts().sessions > 0 && std::chrono::steady_clock::now() < deadline &&
           !member_->stop().stopped()) {
      if (!std::exchange(told, true)) {
        const std::size_t sessions = service_->counts().sessions;
        spdlog::info("draining: {} {} {} s to finish", count_of(sessions, "session", "sessions"),
                     sessions == 1 ? "has" : "have", timeout_ms / 1000.0);
        service_->set_state(proto::NodeState::kDraining);
        if (!member_->gave_up_port()) member_->announce_without_waiting();
      }
      std::this_thread::sleep_for(milliseconds(10));
    }
  }

  void withdraw() {
    // Never told, or the record is another run's by now.
    if (!announced_ || own_record_->replaced()) return;
    service_->set_state(proto::NodeState::kOffline);
    member_->withdraw();
  }

  void stop_serving() {
    if (service_ != nullptr) service_->stop("this node is shutting down");
    member_->stop_server(milliseconds(1'000));
    if (service_ == nullptr) return;
    // Our streams to other nodes: cancelled with their sessions, gone within moments.
    while (!service_->await_streams(milliseconds(5'000))) {
      spdlog::warn("{} streams to other nodes have not ended yet", service_->counts().streams);
    }
  }

  const NodeOptions options_;
  const base::StopToken never_;
  std::unique_ptr<LoadedModel> model_;                // until it is loaded
  std::shared_ptr<const CompanionFiles> companions_;  // until the service has them
  std::string model_name_;
  proto::Digest model_digest_;
  bool announced_ = false;
  bool paused_ = false;  // main's
  bool stopped_ = false;
  MemoryPromise memory_;

  // In the order in which they start; drain_and_stop() takes them down.
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<Membership> member_;
  std::unique_ptr<net::ChannelPool> channels_;
  std::unique_ptr<SpanService> service_;
  std::unique_ptr<OwnRecordWatch> own_record_;
  std::unique_ptr<Sweeper> sweeper_;
  ChosenDevices chosen_;  // until the span's device thread has them
  std::unique_ptr<SpanHolder> holder_;
  std::unique_ptr<NextHops> next_hops_;
};

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

absl::StatusOr<std::unique_ptr<Node>> Node::start(NodeOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  absl::Status status = impl->run();
  if (!status.ok()) return status;  // the destructor takes down what was built
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

proto::Endpoint Node::endpoint() const { return impl_->endpoint(); }
std::string Node::place() const { return impl_->place(); }
std::string Node::reach() const { return impl_->reach(); }
std::uint16_t Node::port() const { return impl_->port(); }
const proto::PeerId& Node::peer_id() const { return impl_->peer_id(); }
proto::Span Node::span() const { return impl_->offer().span; }
proto::Ends Node::ends() const { return impl_->offer().ends; }
const std::string& Node::model_name() const { return impl_->model_name(); }
const proto::Digest& Node::model_digest() const { return impl_->model_digest(); }
NodeStats Node::stats() const { return impl_->stats(); }
std::optional<proto::Endpoint> Node::metrics() const { return impl_->metrics(); }
absl::Status Node::tend() { return impl_->tend(); }
void Node::drain(const std::string& reason) { impl_->drain(reason); }
void Node::pause(const std::string& reason) { impl_->pause(reason); }
void Node::resume() { impl_->resume(); }
void Node::set_limits(std::uint32_t max_sessions, std::uint32_t max_sessions_per_peer) {
  impl_->set_limits(max_sessions, max_sessions_per_peer);
}
void Node::hand_over(std::uint32_t drain_timeout_ms) { impl_->hand_over(drain_timeout_ms); }
void Node::drain_and_stop(std::uint32_t drain_timeout_ms, const base::StopToken* hurry) {
  impl_->drain_and_stop(drain_timeout_ms, hurry);
}

}  // namespace shoal::node
