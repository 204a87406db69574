// SPDX-License-Identifier: Apache-2.0
#include "node/control/node_status.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "node/account/amounts.h"
#include "proto/printable.h"

namespace shoal::node {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxShownBytes = 256;

Json tally_json(const WorkTally& tally) {
  return {{"seconds", tally.up_s},
          {"paused_seconds", tally.paused_s},
          {"sessions_opened", tally.sessions_opened},
          {"sessions_ended", tally.sessions_ended},
          {"sessions_failed", tally.sessions_failed},
          {"session_seconds", tally.session_s},
          {"tokens", tally.tokens()},
          {"prefill_tokens", tally.prefill_tokens},
          {"decode_tokens", tally.decode_tokens},
          {"bytes_in", tally.bytes_in},
          {"bytes_out", tally.bytes_out},
          {"hops_lost", tally.hops_lost},
          {"computing_seconds", tally.computing_s},
          {"computing_share", tally.computing_share()},
          {"energy_joules", tally.energy_s > 0 ? Json(tally.energy_j) : Json()},
          {"peak_sessions", tally.peak_sessions},
          {"peak_kv_positions", tally.peak_kv_positions}};
}

Json named(const std::string& text) { return text.empty() ? Json() : Json(text); }

// A field of an object that another version may have made.
template <typename T>
T field(const Json& json, const char* name, T otherwise = {}) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  if (!json.is_object() || found == json.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? proto::printable(found->get<std::string>(), kMaxShownBytes)
                              : otherwise;
  } else if constexpr (std::is_same_v<T, bool>) {
    return found->is_boolean() ? found->get<bool>() : otherwise;
  } else if constexpr (std::is_same_v<T, double>) {
    return found->is_number() ? found->get<double>() : otherwise;
  } else {
    return found->is_number_integer() && *found >= 0 ? found->get<T>() : otherwise;
  }
}

Json part(const Json& json, const char* name) {
  const auto found = json.is_object() ? json.find(name) : json.end();
  return json.is_object() && found != json.end() ? *found : Json();
}

WorkTally tally_of(const Json& json) {
  WorkTally tally;
  tally.up_s = field<double>(json, "seconds");
  tally.paused_s = field<double>(json, "paused_seconds");
  tally.sessions_opened = field<std::uint64_t>(json, "sessions_opened");
  tally.sessions_failed = field<std::uint64_t>(json, "sessions_failed");
  tally.prefill_tokens = field<std::uint64_t>(json, "prefill_tokens");
  tally.decode_tokens = field<std::uint64_t>(json, "decode_tokens");
  tally.bytes_in = field<std::uint64_t>(json, "bytes_in");
  tally.bytes_out = field<std::uint64_t>(json, "bytes_out");
  tally.hops_lost = field<std::uint64_t>(json, "hops_lost");
  tally.computing_s = field<double>(json, "computing_seconds");
  tally.peak_sessions = field<std::uint64_t>(json, "peak_sessions");
  tally.peak_kv_positions = field<std::uint64_t>(json, "peak_kv_positions");
  if (part(json, "energy_joules").is_number()) {
    tally.energy_j = field<double>(json, "energy_joules");
    tally.energy_s = tally.up_s;
  }
  return tally;
}

std::string row(const char* name, const std::string& text) {
  return fmt::format("  {:<9} {}\n", name, text);
}

std::string pause_text(const Json& json) {
  const Json pause = part(json, "pause");
  if (!pause.is_object()) return "";
  std::string text =
      field<std::string>(pause, "why") == "hours" ? "outside of its hours" : "as its owner asked";
  if (const auto until = field<std::int64_t>(pause, "until")) text += ", until " + date_text(until);
  if (field<bool>(pause, "stop")) text += "; ends when its sessions have";
  return row("pause", text);
}

}  // namespace

std::string node_status_json(const NodeStatus& status, const StatusContext& context) {
  Json json = {{"ok", true},
               {"state", status.state},
               {"peer_id", status.peer_id},
               {"identity", named(status.identity)},
               {"version", status.version},
               {"pid", status.pid},
               {"port", status.port == 0 ? Json() : Json(status.port)},
               {"bootstrap", status.bootstrap},
               {"waits_for", named(status.silent)},
               {"waits_since", status.silent.empty() ? Json() : Json(status.silent_since_unix_s)},
               {"address", named(status.address)},
               {"place", named(status.place)},
               {"model", named(status.model)},
               {"blocks", named(status.blocks)},
               {"sessions", status.sessions},
               {"queued_steps", status.queued_steps},
               {"kv_positions", status.kv_positions},
               {"free_kv_positions", status.free_kv_positions},
               {"block_step_us", status.block_step_us},
               {"hours", named(context.hours)},
               {"pause", nullptr}};
  const Wish& wish = context.wish;
  if (!wish.serve) {
    json["pause"] = {{"why", wish.by_hours ? "hours" : "asked"},
                     {"until", wish.until_unix_s ? Json(*wish.until_unix_s) : Json()},
                     {"free", wish.free},
                     {"stop", wish.stop}};
  }
  json["energy"] = context.energy_sources;
  json["run"] = tally_json(context.run);
  json["hour"] = tally_json(context.hour);
  json["all"] = tally_json(context.since_day_one.tally);
  json["since"] = context.since_day_one.since_unix_s;
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

int process_on_port(std::string_view line, std::uint16_t port) {
  const Json json = Json::parse(line, nullptr, false);
  if (port == 0 || field<std::uint64_t>(json, "port") != port) return 0;
  return field<int>(json, "pid");
}

std::string node_status_text(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  const std::string blocks = field<std::string>(json, "blocks");
  const std::string address = field<std::string>(json, "address");
  const std::string place = field<std::string>(json, "place");
  const std::string silent = field<std::string>(json, "waits_for");
  const std::string state =
      silent.empty() ? field<std::string>(json, "state")
                     : fmt::format("waits for its swarm: no answer from {} since {}", silent,
                                   date_text(field<std::int64_t>(json, "waits_since")));
  std::string text =
      fmt::format("{} {}: {}", field<bool>(json, "bootstrap") ? "bootstrap node" : "node",
                  field<std::string>(json, "peer_id").substr(0, 16), state);
  if (!blocks.empty()) {
    text += fmt::format(", blocks {} of {}", blocks, field<std::string>(json, "model"));
  }
  if (!place.empty()) {
    text += " " + place;
  } else if (!address.empty()) {  // of an older version
    text += " at " + address;
  }
  text += "\n" + pause_text(json);
  const std::string hours = field<std::string>(json, "hours");
  if (!hours.empty()) text += row("hours", hours);
  const auto positions = field<std::uint64_t>(json, "kv_positions");
  if (positions > 0) {
    const auto free = field<std::uint64_t>(json, "free_kv_positions");
    text += row(
        "now",
        fmt::format(
            "{}, {}, KV {} of {} positions",
            count_of(field<std::uint64_t>(json, "sessions"), "session", "sessions"),
            count_of(field<std::uint64_t>(json, "queued_steps"), "step waiting", "steps waiting"),
            count_text(positions > free ? positions - free : 0), count_text(positions)));
  }
  const WorkTally run = tally_of(part(json, "run"));
  text += row("this run", duration_text(run.up_s) + ": " + tally_text(run));
  text += row("this hour", tally_text(tally_of(part(json, "hour"))));
  const WorkTally all = tally_of(part(json, "all"));
  text += row("in all", fmt::format("since {}, running for {}: {}",
                                    date_text(field<std::int64_t>(json, "since")),
                                    duration_text(all.up_s), tally_text(all)));
  text += row("most", fmt::format("{} and {} of KV at a time",
                                  count_of(all.peak_sessions, "session", "sessions"),
                                  count_of(all.peak_kv_positions, "position", "positions")));
  text += row("energy", field<std::string>(json, "energy"));
  const std::string identity = field<std::string>(json, "identity");
  return text + row("identity", identity.empty() ? "of this run only" : identity);
}

}  // namespace shoal::node
