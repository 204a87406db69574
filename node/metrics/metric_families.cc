// SPDX-License-Identifier: Apache-2.0
#include "node/metrics/metric_families.h"

#include <limits>
#include <string>
#include <utility>

namespace shoal::node {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  void gauge(const char* name, const char* help, double value) {
    begin(name, help, MetricType::Gauge);
    gauge({}, value);
  }
  void gauge(Labels labels, double value) { add(std::move(labels)).gauge.value = value; }
  void counter(const char* name, const char* help, std::uint64_t value) {
    begin(name, help, MetricType::Counter);
    counter({}, value);
  }
  void counter(Labels labels, std::uint64_t value) {
    add(std::move(labels)).counter.value = static_cast<double>(value);
  }
  void amount(const char* name, const char* help, double value) {  // that only grows
    begin(name, help, MetricType::Counter);
    add({}).counter.value = value;
  }
  // `unit` is what one of the exported unit is in the histogram's: 1000 for seconds of
  // milliseconds.
  void histogram(const char* name, const char* help, const dht::Histogram& values,
                 double unit = 1) {
    begin(name, help, MetricType::Histogram);
    ClientMetric::Histogram& out = add({}).histogram;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < values.counts().size(); ++i) {
      count += values.counts()[i];
      const double bound = i < values.bounds().size() ? values.bounds()[i] / unit
                                                      : std::numeric_limits<double>::infinity();
      out.bucket.push_back({count, bound});
    }
    out.sample_count = count;
    out.sample_sum = values.sum() / unit;
  }
  void begin(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  ClientMetric& add(Labels labels) {
    ClientMetric metric;
    metric.label = std::move(labels);
    families_.back().metric.push_back(std::move(metric));
    return families_.back().metric.back();
  }

  std::vector<MetricFamily> families_;
};

void add_table(Families& out, const dht::KademliaStats& dht) {
  out.begin("shoal_dht_contacts", "Contacts in the routing table, by common prefix with our id",
            MetricType::Gauge);
  for (std::size_t bucket = 0; bucket < dht.buckets.size(); ++bucket)
    out.gauge({{"bucket", std::to_string(bucket)}}, static_cast<double>(dht.buckets[bucket]));
  out.gauge("shoal_dht_contacts_verified", "Contacts that answered lately",
            static_cast<double>(dht.verified_contacts));
  out.gauge("shoal_dht_verified_share", "Verified part of the routing table", dht.verified_share());
  out.gauge("shoal_dht_estimated_peers", "How many peers the swarm has, by our estimate",
            dht.estimated_peers);
  out.gauge("shoal_dht_records", "Records stored here", static_cast<double>(dht.records));
  out.gauge("shoal_dht_sessions", "Encrypted sessions", static_cast<double>(dht.sessions));
  out.gauge("shoal_dht_requests_in_flight", "Requests without an answer so far",
            static_cast<double>(dht.in_flight));
  out.gauge("shoal_dht_bans", "Peers and addresses whose misbehaviour is remembered",
            static_cast<double>(dht.bans));
  out.begin("shoal_dht_reachability", "1 for what is known of whether strangers reach this node",
            MetricType::Gauge);
  using State = dht::Reachability::State;
  for (const auto& [state, name] :
       {std::pair(State::kUnknown, "unknown"), std::pair(State::kReachable, "reachable"),
        std::pair(State::kUnreachable, "unreachable")})
    out.gauge({{"state", name}}, dht.reachability == state ? 1 : 0);
  out.gauge("shoal_dht_client_mode", "1 while this node has its place in nobody's table",
            dht.client ? 1 : 0);
  out.counter("shoal_dht_dial_backs_total", "Dial-backs that this node asked for", dht.dial_backs);
  out.counter("shoal_dht_dials_total", "Pings made for others who asked for a dial-back",
              dht.dials);
  out.counter("shoal_dht_offences_total", "Misbehaviour that was punished by a ban", dht.offences);
}

void add_lookups(Families& out, const dht::Measurements& done) {
  out.begin("shoal_dht_finds_total", "Finds that ended, by whether a record was found",
            MetricType::Counter);
  out.counter({{"result", "found"}}, done.finds_found);
  out.counter({{"result", "nothing"}}, done.finds - done.finds_found);
  out.begin("shoal_dht_finds_continued_total",
            "Finds that went on over the whole region, or over disjoint paths",
            MetricType::Counter);
  out.counter({{"how", "wide"}}, done.finds_wide);
  out.counter({{"how", "secure"}}, done.finds_secure);
  out.histogram("shoal_dht_find_seconds", "Time of a find, to its end", done.find_ms, 1000);
  out.histogram("shoal_dht_first_record_seconds", "Time of a find, to its first record",
                done.first_record_ms, 1000);
  out.histogram("shoal_dht_find_requests", "Requests of a find", done.find_requests);
  out.histogram("shoal_dht_find_hops", "Hops to the first record", done.hops);
  out.histogram("shoal_dht_find_replicas", "Peers that answered a find with a record",
                done.replicas_found);
  out.histogram("shoal_dht_record_age_seconds",
                "Age of a record that was read: since its owner refreshed it there",
                done.record_age_s);
  out.counter("shoal_dht_read_repairs_total", "Replicas stored by finds where one was missing",
              done.read_repairs);
  out.begin("shoal_dht_publishes_total", "Publishes that ended, by whether all replicas were made",
            MetricType::Counter);
  out.counter({{"result", "full"}}, done.publishes - done.publishes_short);
  out.counter({{"result", "short"}}, done.publishes_short);
  out.histogram("shoal_dht_publish_seconds", "Time of a publish", done.publish_ms, 1000);
  out.histogram("shoal_dht_publish_requests", "Requests of a publish", done.publish_requests);
  out.histogram("shoal_dht_publish_replicas", "Replicas of a publish's least replicated key",
                done.replicas_made);
}

void add_traffic(Families& out, const dht::KademliaStats& dht) {
  using Direction = std::pair<const char*, const dht::Traffic*>;
  const Direction directions[] = {{"in", &dht.in}, {"out", &dht.out}};
  out.begin("shoal_dht_messages_total", "Messages by type", MetricType::Counter);
  for (const auto& [direction, traffic] : directions) {
    for (std::size_t i = 0; i < dht::Traffic::kTypes.size(); ++i) {
      out.counter({{"direction", direction}, {"type", std::string(dht::Traffic::kTypes[i])}},
                  traffic->by_type[i].messages);
    }
  }
  out.begin("shoal_dht_message_bytes_total", "Bytes of messages by type, before encryption",
            MetricType::Counter);
  for (const auto& [direction, traffic] : directions) {
    for (std::size_t i = 0; i < dht::Traffic::kTypes.size(); ++i) {
      out.counter({{"direction", direction}, {"type", std::string(dht::Traffic::kTypes[i])}},
                  traffic->by_type[i].bytes);
    }
  }
  out.begin("shoal_dht_datagrams_total", "Datagrams", MetricType::Counter);
  out.counter({{"direction", "in"}}, dht.datagrams_in);
  out.counter({{"direction", "out"}}, dht.datagrams_out);
  out.begin("shoal_dht_datagram_bytes_total", "Bytes of datagrams", MetricType::Counter);
  out.counter({{"direction", "in"}}, dht.bytes_in);
  out.counter({{"direction", "out"}}, dht.bytes_out);
  out.begin("shoal_dht_drops_total", "What was refused, by reason", MetricType::Counter);
  for (std::size_t i = 0; i < static_cast<std::size_t>(dht::Drop::kCount); ++i) {
    const auto reason = static_cast<dht::Drop>(i);
    out.counter({{"reason", std::string(to_string(reason))}}, dht.drops[reason]);
  }
  // Failed over all: how stale the entries of tables are.
  out.begin("shoal_dht_requests_total", "Requests that ended, by whether the peer answered",
            MetricType::Counter);
  out.counter({{"result", "answered"}}, dht.requests_answered);
  out.counter({{"result", "failed"}}, dht.requests_failed);
}

void add_node(Families& out, const NodeStats& node) {
  const auto gauge = [&](const char* name, const char* help, auto value) {
    out.gauge(name, help, static_cast<double>(value));
  };
  gauge("shoal_node_sessions", "Sessions that are open", node.sessions);
  gauge("shoal_node_streams", "gRPC streams, in and out", node.streams);
  gauge("shoal_node_kv_positions", "Positions of KV cache in all", node.total_kv_positions);
  gauge("shoal_node_kv_positions_free",
        "Positions of KV cache that nobody leases, those kept for later sessions among them",
        node.free_kv_positions);
  if (node.total_kv_positions > 0) {
    gauge("shoal_node_kv_cache_usage_perc", "Part of the KV cache that is leased; 1 is all of it",
          1 - static_cast<double>(node.free_kv_positions) /
                  static_cast<double>(node.total_kv_positions));
  }
  gauge("shoal_node_kv_pages_kept",
        "Pages of KV cache kept for later sessions; they go when somebody leases their room",
        node.kept_pages);
  out.counter("shoal_node_reused_positions_total",
              "Positions that sessions did not compute, since they were kept from earlier ones",
              node.reused_positions);
  gauge("shoal_node_queued_steps", "Steps that wait for the device", node.queued_steps);
  gauge("shoal_node_block_step_seconds", "Time of one row through one block",
        node.block_step_us / 1e6);
  gauge("shoal_node_outbox_bytes", "Bytes that wait to be sent: clients and next hops do not read",
        node.outbox.bytes);
  gauge("shoal_node_outbox_limit_bytes", "What may wait to be sent in all", node.outbox.limit);
  out.counter("shoal_node_outbox_ended_total",
              "Streams that were ended because too much waited to be sent", node.outbox.ended);
  out.counter("shoal_node_sessions_given_way_total",
              "Sessions that were ended, idle or beyond their share, because others waited",
              node.sessions_given_way);
  out.counter("shoal_node_moves_total", "Moves to other blocks, since the swarm needed them more",
              node.moves);
  out.counter("shoal_node_batches_total", "Batches computed", node.batches);
  out.counter("shoal_node_batched_rows_total", "Rows computed", node.batched_rows);
  out.counter("shoal_node_head_rows_total", "Rows that the head scored for clients without weights",
              node.head_rows);
  out.counter("shoal_node_head_calls_total", "Calls of the head, each of many rows",
              node.head_calls);
}

// vLLM's names where it has one, with shoal_node_ for vllm:. A request is a session here, and a
// token a position computed through this node's span.
void add_account(Families& out, const WorkTally& done) {
  out.counter("shoal_node_prompt_tokens_total", "Positions computed in steps of many rows",
              done.prefill_tokens);
  out.counter("shoal_node_generation_tokens_total", "Positions computed in steps of one row",
              done.decode_tokens);
  out.begin("shoal_node_request_success_total",
            "Sessions that came to their end, or to another, by how it was", MetricType::Counter);
  out.counter({{"finished_reason", "stop"}}, done.sessions_ended - done.sessions_failed);
  out.counter({{"finished_reason", "error"}}, done.sessions_failed);
  out.counter("shoal_node_sessions_opened_total", "Sessions that were opened",
              done.sessions_opened);
  out.amount("shoal_node_session_seconds_total", "Time of the sessions that ended", done.session_s);
  out.begin("shoal_node_session_bytes_total", "Bytes of frames of sessions, before TLS",
            MetricType::Counter);
  out.counter({{"direction", "in"}}, done.bytes_in);
  out.counter({{"direction", "out"}}, done.bytes_out);
  out.counter("shoal_node_hops_lost_total", "Sessions that lost the hop behind this one",
              done.hops_lost);
  out.amount("shoal_node_computing_seconds_total", "Time in which the device computed",
             done.computing_s);
  out.amount("shoal_node_up_seconds_total", "Time since the program was started", done.up_s);
  out.amount("shoal_node_paused_seconds_total", "Of that, paused by its owner", done.paused_s);
  if (done.energy_s > 0) {
    out.amount("shoal_node_energy_joules_total",
               "Energy of this machine's processors and GPUs, whoever used them", done.energy_j);
  }
}

const char* name_of(proto::TunnelRefusal refusal) {
  switch (refusal) {
    case proto::TunnelRefusal::kNotParked:
      return "not_parked";
    case proto::TunnelRefusal::kFull:
      return "full";
    case proto::TunnelRefusal::kYourShare:
      return "callers_share";
    case proto::TunnelRefusal::kTheirShare:
      return "nodes_share";
    case proto::TunnelRefusal::kStopping:
      return "stopping";
    case proto::TunnelRefusal::kNone:
    case proto::TunnelRefusal::kCount:
      break;
  }
  return "other";
}

void add_relay(Families& out, const net::RelayStats& relay) {
  const auto gauge = [&](const char* name, const char* help, std::uint64_t value) {
    out.gauge(name, help, static_cast<double>(value));
  };
  gauge("shoal_relay_nodes", "Nodes that can be called through this one", relay.parked_peers);
  gauge("shoal_relay_parked", "Their connections that wait for callers", relay.parked);
  gauge("shoal_relay_waiting", "Callers that wait for such a connection", relay.waiting);
  gauge("shoal_relay_tunnels", "Connections carried for others", relay.tunnels);
  out.counter("shoal_relay_opened_total", "Connections carried for others, ever", relay.opened);
  out.counter("shoal_relay_bytes_total", "Bytes carried for others, both ways", relay.bytes);
  out.begin("shoal_relay_refused_total", "Callers and nodes not taken, by reason",
            MetricType::Counter);
  for (std::size_t i = 1; i < relay.refused.size(); ++i)
    out.counter({{"reason", name_of(static_cast<proto::TunnelRefusal>(i))}}, relay.refused[i]);
  out.counter("shoal_relay_broken_total", "Peers let go for what no honest one says", relay.broken);
}

void add_front(Families& out, const net::FrontStats& front) {
  out.gauge("shoal_front_connections", "Connections of the TCP port, with handshakes under way",
            static_cast<double>(front.connections));
  out.counter("shoal_front_accepted_total", "Connections let in as far as TLS", front.accepted);
  out.begin("shoal_front_refused_total", "Connections closed at once, by reason",
            MetricType::Counter);
  for (std::size_t i = 1; i < net::kRefusals; ++i)
    out.counter({{"reason", net::name_of(static_cast<net::Refusal>(i))}}, front.refused[i]);
  out.begin("shoal_front_hung_up_total", "Connections hung up on, by reason", MetricType::Counter);
  for (std::size_t i = 1; i < net::kFaults; ++i)
    out.counter({{"reason", net::name_of(static_cast<net::Fault>(i))}}, front.hung_up[i]);
  out.counter("shoal_front_bans_total", "Peers refused for a minute", front.bans);
  out.counter("shoal_front_slowed_total", "Times a peer that calls too fast had to wait",
              front.slowed);
  out.gauge("shoal_front_half_message_bytes", "Bytes of messages that are not complete yet",
            static_cast<double>(front.half_message_bytes));
  out.gauge("shoal_front_silent_streams", "Streams on which no message came yet",
            static_cast<double>(front.silent_streams));
}

}  // namespace

std::vector<MetricFamily> metric_families(const MetricsSnapshot& snapshot) {
  Families out;
  add_table(out, snapshot.dht);
  add_lookups(out, snapshot.dht.measurements);
  add_traffic(out, snapshot.dht);
  if (snapshot.node) add_node(out, *snapshot.node);
  if (snapshot.node && snapshot.account) add_account(out, *snapshot.account);
  if (snapshot.front) add_front(out, *snapshot.front);
  if (snapshot.relay) add_relay(out, *snapshot.relay);
  return out.take();
}

}  // namespace shoal::node
