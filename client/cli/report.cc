// SPDX-License-Identifier: Apache-2.0
#include "client/cli/report.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "client/swarm/gaps.h"
#include "dht/told_place.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Json route_of(const Route& route) {
  Json hops = Json::array();
  for (const Hop& hop : route) {
    hops.push_back({{"peer_id", proto::to_string(hop.peer)},
                    {"span", {hop.span.begin, hop.span.end}},
                    {"compute", proto::to_string(hop.numerics)},
                    {"address", proto::to_string(dht::told_address(hop.addresses))}});
  }
  return hops;
}

// Nine significant digits name a float exactly; more would only look more precise.
double nine_digits(float value) {
  return std::strtod(fmt::format("{:.9g}", value).c_str(), nullptr);
}

double rounded_ms(double ms) { return std::round(ms * 1e3) / 1e3; }

Json logits_of(const std::vector<std::vector<TopLogit>>& steps) {
  Json result = Json::array();
  for (const auto& step : steps) {
    Json top = Json::array();
    for (const TopLogit& logit : step) top.push_back({logit.id, nine_digits(logit.value)});
    result.push_back(std::move(top));
  }
  return result;
}

Json node_json(const NodeView& node, std::uint64_t now_us) {
  Json addresses = Json::array();
  for (const auto& address : node.addresses) addresses.push_back(proto::to_string(address));
  Json json{{"peer_id", proto::to_string(node.peer)},
            {"public_name", node.offer.public_name},
            {"span", {node.offer.span.begin, node.offer.span.end}},
            {"state", std::string(proto::to_string(node.load.state))},
            {"compute", proto::to_string(node.offer.numerics)},
            {"block_step_us", node.load.block_step_us},
            {"free_kv_positions", node.load.free_kv_positions},
            {"queue_depth", node.load.queue_depth},
            {"addresses", addresses},
            {"answers", node.live.has_value()}};
  if (!node.silence.empty()) json["silence"] = node.silence;
  if (const auto age = record_age_s(node, now_us)) json["record_age_s"] = *age;
  if (node.live) {
    json["sessions"] = node.live->sessions;
    json["max_sessions"] = node.live->max_sessions;
    json["total_kv_positions"] = node.live->total_kv_positions;
  }
  return json;
}

Json health_json(const DhtHealth& health) {
  return {{"contacts", health.contacts},
          {"verified_contacts", health.verified_contacts},
          {"verified_share", std::round(health.verified_share() * 1e4) / 1e4},
          {"estimated_peers", std::round(health.estimated_peers)},
          {"lookups", health.lookup_ms.size()},
          {"lookups_found", health.lookups_found},
          {"lookup_success", std::round(health.success() * 1e4) / 1e4},
          {"lookup_ms",
           {{"p50", rounded_ms(health.quantile_ms(0.5))},
            {"p99", rounded_ms(health.quantile_ms(0.99))}}},
          {"requests_answered", health.requests_answered},
          {"requests_failed", health.requests_failed}};
}

std::string ms(double us) { return fmt::format("{:.2f}", us / 1e3); }

std::string steps_text(const StepTiming& timing, double client_us, double divisor) {
  std::string text;
  for (const HopTiming& hop : timing.hops) {
    const bool here = hop.peer == proto::PeerId{};
    text += fmt::format("{} [{}) queue {} compute {} network {} | ",
                        here ? "local" : proto::short_name(hop.peer), proto::to_string(hop.span),
                        ms(hop.queue_us / divisor), ms(hop.compute_us / divisor),
                        ms(hop.network_us / divisor));
  }
  return text + fmt::format("return {} | client {}", ms(timing.return_us / divisor),
                            ms(client_us / divisor));
}

}  // namespace

std::string generate_json(const GenerateRequest& request, const GenerateResult& result,
                          const RunFacts& facts) {
  Json per_token = Json::array();
  for (const double time : result.per_token_ms) per_token.push_back(rounded_ms(time));
  Json json{{"prompt_ids", request.prompt_ids},
            {"ids", result.ids},
            {"text", result.text},
            {"finish_reason", result.finish_reason},
            {"route", route_of(facts.route)},
            {"reroutes", facts.reroutes},
            {"reused_positions", facts.reused_positions},
            {"compute", describe_kinds(facts.kinds)},
            {"head", model::name_of(facts.head)},
            {"exact", facts.exact},
            {"seed", request.seed},
            {"timings",
             {{"time_to_first_token_ms", rounded_ms(result.time_to_first_token_ms)},
              {"per_token_ms", per_token},
              {"total_ms", rounded_ms(result.total_ms)}}}};
  if (request.top_logits > 0) json["logits"] = logits_of(result.top_logits);
  return dump(json);
}

std::string score_json(const ScoreResult& result, std::int64_t window, const RunFacts& facts) {
  return dump({{"targets", result.targets},
               {"mean_nll", result.mean_nll},
               {"perplexity", result.perplexity},
               {"window", window},
               {"window_mean_nll", result.window_mean_nll},
               {"route", route_of(facts.route)},
               {"compute", describe_kinds(facts.kinds)},
               {"head", model::name_of(facts.head)},
               {"exact", facts.exact}});
}

std::string score_text(const ScoreResult& result, const RunFacts& facts) {
  return fmt::format("{} tokens, {:.6g} nats per token, perplexity {:.6g} ({})\n", result.targets,
                     result.mean_nll, result.perplexity, facts_line(facts));
}

std::string facts_line(const RunFacts& facts) {
  const std::string reused = facts.reused_positions > 0
                                 ? fmt::format("{} positions reused, ", facts.reused_positions)
                                 : "";
  return fmt::format("computed in {}, head {}, {}{}", describe_kinds(facts.kinds),
                     model::name_of(facts.head), reused, facts.exact ? "exact" : "not exact");
}

std::string status_json(const std::vector<SwarmView>& views, const DhtHealth& health,
                        std::uint64_t now_us) {
  Json models = Json::array();
  for (const SwarmView& view : views) {
    Json nodes = Json::array();
    for (const NodeView& node : view.nodes) nodes.push_back(node_json(node, now_us));
    Json missing = Json::array();
    for (const proto::Span& span : view.missing()) missing.push_back({span.begin, span.end});
    Json gaps = Json::array();
    for (const proto::Span& span : view.missing()) {
      const auto bytes = weight_bytes(view, span);
      gaps.push_back({{"begin", span.begin},
                      {"end", span.end},
                      {"weight_bytes", bytes ? Json(*bytes) : Json()}});
    }
    models.push_back({{"model_name", view.model_name},
                      {"model_digest", proto::to_string(view.model_digest)},
                      {"block_count", view.block_count},
                      {"served", missing.empty()},
                      {"missing", missing},
                      {"gaps", gaps},
                      {"answering", view.answering()},
                      {"nodes", nodes}});
  }
  return dump({{"models", models}, {"dht", health_json(health)}});
}

std::string trace_line(std::size_t token, const StepTiming& timing, double client_us) {
  return fmt::format("token {}: {} ms = {}", token, ms(timing.total_us + client_us),
                     steps_text(timing, client_us, 1));
}

void TraceSummary::add(const StepTiming& timing, double client_us) {
  if (sum_.hops.size() != timing.hops.size()) {  // the first one, or another route: start afresh
    sum_ = {};
    sum_.hops = timing.hops;
    for (HopTiming& hop : sum_.hops) hop.queue_us = hop.compute_us = hop.network_us = 0;
    client_us_ = 0;
    steps_ = 0;
  }
  ++steps_;
  client_us_ += client_us;
  sum_.total_us += timing.total_us;
  sum_.return_us += timing.return_us;
  for (std::size_t i = 0; i < sum_.hops.size(); ++i) {
    sum_.hops[i].peer = timing.hops[i].peer;
    sum_.hops[i].span = timing.hops[i].span;
    sum_.hops[i].queue_us += timing.hops[i].queue_us;
    sum_.hops[i].compute_us += timing.hops[i].compute_us;
    sum_.hops[i].network_us += timing.hops[i].network_us;
  }
}

std::string TraceSummary::text() const {
  if (steps_ == 0) return "";
  const auto steps = static_cast<double>(steps_);
  return fmt::format("mean of {} decode steps: {} ms = {}", steps_,
                     ms((sum_.total_us + client_us_) / steps), steps_text(sum_, client_us_, steps));
}

}  // namespace shoal::client
