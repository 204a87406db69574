// SPDX-License-Identifier: Apache-2.0
#include "client/serve/swarm_json.h"

#include <algorithm>
#include <string>
#include <utility>

#include "client/swarm/coverage.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

Json span_json(proto::Span span) { return Json::array({span.begin, span.end}); }

Json spans_json(const std::vector<proto::Span>& spans) {
  Json list = Json::array();
  for (const proto::Span& span : spans) list.push_back(span_json(span));
  return list;
}

Json swarm_node_json(const NodeView& node, std::uint64_t now_us) {
  Json json = {{"peer", proto::to_string(node.peer)},
               {"name", proto::short_name(node.peer)},
               {"public_name", node.offer.public_name},
               {"begin", node.offer.span.begin},
               {"end", node.offer.span.end},
               {"state", node.silence.empty() ? std::string(proto::to_string(node.load.state))
                                              : std::string("silent")},
               {"silence", node.silence},
               {"kind", proto::to_string(node.offer.numerics)},
               {"block_step_us", node.load.block_step_us},
               {"free_kv", node.load.free_kv_positions},
               {"queue", node.load.queue_depth},
               {"delay_ms", node.delay_us ? Json(*node.delay_us * 1e-3) : Json()}};
  const auto& live = node.live;
  json["total_kv"] = live ? Json(live->total_kv_positions) : Json();
  json["sessions"] = live ? Json(live->sessions) : Json();
  json["max_sessions"] = live ? Json(live->max_sessions) : Json();
  const auto age = record_age_s(node, now_us);
  json["record_age_s"] = age ? Json(*age) : Json();
  return json;
}

Json service_json(const BlockService& service) {
  return {{"servers", service.servers}, {"tokens_s", service.tokens_s}};
}

}  // namespace

Json view_json(const SwarmView& view, std::uint64_t now_us) {
  const std::vector<BlockService> blocks = coverage_of(view);
  Json servers = Json::array(), tokens_s = Json::array(), nodes = Json::array();
  for (const BlockService& block : blocks) {
    servers.push_back(block.servers);
    tokens_s.push_back(block.tokens_s);
  }
  for (const NodeView& node : view.nodes) nodes.push_back(swarm_node_json(node, now_us));
  return {{"digest", proto::short_name(view.model_digest)},
          {"blocks", view.block_count},
          {"coverage", {{"servers", std::move(servers)}, {"tokens_s", std::move(tokens_s)}}},
          {"weakest", service_json(weakest(blocks))},
          {"missing", spans_json(served_by(blocks, 0))},
          {"thin", spans_json(served_by(blocks, 1))},
          {"nodes", std::move(nodes)}};
}

Json routes_json(const std::vector<Route>& routes) {
  std::vector<std::pair<Route, int>> counted;
  for (const Route& route : routes) {
    const auto found =
        std::ranges::find(counted, route, [](const auto& entry) { return entry.first; });
    if (found == counted.end()) {
      counted.emplace_back(route, 1);
    } else {
      ++found->second;
    }
  }
  Json list = Json::array();
  for (const auto& [route, answers] : counted) {
    Json hops = Json::array();
    for (const Hop& hop : route) {
      hops.push_back(
          {{"peer", proto::to_string(hop.peer)}, {"begin", hop.span.begin}, {"end", hop.span.end}});
    }
    list.push_back({{"answers", answers}, {"hops", std::move(hops)}});
  }
  return list;
}

Json growth_json(const GpuGrowth& growth) {
  Json formats = Json::array();
  for (const FormatGrowth& format : growth.formats) {
    const char* name =
        format.weights == model::WeightChoice::kStored ? "bf16" : model::name_of(format.weights);
    Json json = {{"weights", name}, {"blocks", format.blocks}};
    if (format.blocks > 0) {
      json["kv_positions"] = format.kv_positions;
      json["begin"] = format.gain.span.begin;
      json["end"] = format.gain.span.end;
      json["before"] = service_json(format.gain.before);
      json["after"] = service_json(format.gain.after);
    }
    formats.push_back(std::move(json));
  }
  return {{"gib", growth.gib}, {"formats", std::move(formats)}};
}

}  // namespace shoal::client
