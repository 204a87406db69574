// SPDX-License-Identifier: Apache-2.0
#include "node/netcheck.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <utility>

#include "dht/key.h"
#include "node/member/dial_back_call.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kReachLimit{12'000};
constexpr milliseconds kRouterLimit{3'000};
// So long for a second peer to say where it sees us, which tells kinds of translators apart.
constexpr milliseconds kPortsLimit{1'500};

const char* name_of(Family family) { return family == Family::kV4 ? "IPv4" : "IPv6"; }

const char* name_of(Rung rung) {
  switch (rung) {
    case Rung::kUnknown:
      return "unknown";
    case Rung::kNobodyToAsk:
      return "nobody_to_ask";
    case Rung::kDirect:
      return "direct";
    case Rung::kMapped:
      return "mapped";
    case Rung::kRelayed:
      return "relayed";
    case Rung::kUnreached:
      return "unreached";
  }
  return "?";
}

const char* name_of(Reached reached) {
  return reached == Reached::kYes ? "reached" : reached == Reached::kNo ? "not reached" : "unknown";
}

const char* name_of(NetCheck::Answer answer) {
  switch (answer) {
    case NetCheck::Answer::kReached:
      return "reached";
    case NetCheck::Answer::kHereOnly:
      return "this_machine_only";
    case NetCheck::Answer::kNotReached:
      return "not_reached";
    case NetCheck::Answer::kNobodyToAsk:
      return "nobody_to_ask";
  }
  return "?";
}

std::string bare(const proto::Endpoint& address) {
  const std::string text = proto::to_string(address);
  return text.substr(0, text.rfind(':'));
}

// "none", "one port for all", ...; empty: unknown.
std::string translation_of(const NetCheck::FamilyFacts& family) {
  if (!family.verdict.seen) return "";
  const bool is_own = std::ranges::any_of(family.own, [&](const proto::Endpoint& address) {
    return address.address == family.verdict.seen->address;
  });
  if (is_own) return "none";
  if (family.ports.peers < 2) return "there is one; what kind, shows when two peers answer by UDP";
  return family.ports.endpoints == 1 ? "one port towards all peers"
                                     : "another port towards each peer";
}

std::string offers_of(const NetCheck::FamilyFacts& family) {
  if (!family.router) return "not asked";
  std::string text;
  const auto add = [&](bool offered, const char* name) {
    if (offered) text += (text.empty() ? "" : ", ") + std::string(name);
  };
  add(family.router->pcp, "PCP");
  add(family.router->nat_pmp, "NAT-PMP");
  add(family.router->upnp, "UPnP");
  return text.empty() ? "nothing" : text;
}

nlohmann::ordered_json json_of(const NetCheck::FamilyFacts& family) {
  nlohmann::ordered_json json = {{"family", family.name}, {"own", nlohmann::json::array()}};
  for (const proto::Endpoint& address : family.own)
    json["own"].push_back(proto::to_string(address));
  json["seen"] = nullptr;
  if (family.verdict.seen) json["seen"] = bare(*family.verdict.seen);
  json["tcp"] = name_of(family.verdict.tcp);
  json["udp"] = name_of(family.verdict.udp);
  json["reach"] = name_of(family.rung);
  json["translation"] = translation_of(family);
  json["router"] = nullptr;
  if (family.router) {
    json["router"] = {{"pcp", family.router->pcp},
                      {"nat_pmp", family.router->nat_pmp},
                      {"upnp", family.router->upnp}};
  }
  json["mapping"] = nullptr;
  if (family.mapping) {
    json["mapping"] = {{"protocol", net::name_of(family.mapping->protocol)},
                       {"port", family.mapping->external.port},
                       {"lease_s", family.mapping->lease.count()}};
  }
  json["helpers"] = nlohmann::json::array();
  for (std::size_t i = 0; i < family.answers.size(); ++i) {
    const DialBackAnswer& answer = family.answers[i];
    nlohmann::ordered_json helper = {
        {"peer", to_string(answer.helper.peer)}, {"address", proto::to_string(answer.helper.at)},
        {"sees_us_at", bare(answer.seen)},       {"tcp", words_of(answer.tcp)},
        {"udp", words_of(answer.udp)},           {"round_trip_ms", nullptr}};
    if (i < family.round_trips.size() && family.round_trips[i])
      helper["round_trip_ms"] = static_cast<double>(family.round_trips[i]->count()) / 1000;
    json["helpers"].push_back(std::move(helper));
  }
  return json;
}

}  // namespace

NetCheck::Answer NetCheck::answer() const {
  const auto any = [this](std::initializer_list<Rung> rungs) {
    return std::ranges::any_of(families, [&](const FamilyFacts& family) {
      return std::ranges::find(rungs, family.rung) != rungs.end();
    });
  };
  if (!joined) return Answer::kNobodyToAsk;
  if (is_here_only) return Answer::kHereOnly;
  if (!relays.empty() || any({Rung::kDirect, Rung::kMapped, Rung::kRelayed}))
    return Answer::kReached;
  return any({Rung::kUnreached}) ? Answer::kNotReached : Answer::kNobodyToAsk;
}

absl::StatusOr<NetCheck> check_net(MembershipOptions options, const base::StopToken& stop) {
  const identity::Identity identity = identity::Identity::generate();
  const std::optional<identity::SwarmKey> swarm_key = options.swarm_key;
  options.cancelled = &stop;
  options.always_ask_router = true;
  Membership member(identity, std::move(options));
  if (absl::Status opened = member.open({}); !opened.ok()) return opened;
  NetCheck check;
  if (member.joins()) {
    absl::Status joined =
        member.join([](const std::vector<proto::Endpoint>&) { return absl::OkStatus(); });
    if (!joined.ok()) return joined;
    check.joined = true;
    const auto served = member.find(dht::models_key(member.swarm().swarm_id()));
    if (served.ok()) member.learn_others(*served);
  }
  member.await_reach(kReachLimit);
  if (stop.stopped()) return stop.status();
  const std::optional<ReachReport> report = member.reach();
  if (!report) return absl::InternalError("nobody looks how others reach this machine");
  std::array<dht::ObservedPorts, 2> ports;
  const auto end = Clock::now() + kPortsLimit;
  const auto routers = member.reach_keeper()->routers(Clock::now() + kRouterLimit, stop);
  do {
    member.io().run_and_wait([&] {
      for (const Family family : kFamilies)
        ports[static_cast<std::size_t>(family)] =
            member.swarm().dht().observed_ports(family == Family::kV4);
    });
  } while (check.joined && ports[0].peers < 2 && ports[1].peers < 2 && Clock::now() < end &&
           base::sleep_for(milliseconds(50), stop));
  check.is_here_only = report->is_here_only;
  check.port = member.port();
  check.relays = report->relays;
  check.told = report->told();
  for (const Family family : kFamilies) {
    const std::size_t at = static_cast<std::size_t>(family);
    NetCheck::FamilyFacts facts;
    facts.name = name_of(family);
    for (const proto::Endpoint& address : report->own) {
      if (is_of(family, address)) facts.own.push_back(address);
    }
    facts.verdict = report->ladder.verdict(family);
    facts.rung = report->ladder.rung(family);
    facts.mapping = report->ladder.mapping(family);
    facts.why_unmapped = report->ladder.why_unmapped(family);
    facts.router = routers[at];
    facts.ports = ports[at];
    facts.answers = report->answers[at];
    for (const DialBackAnswer& answer : facts.answers)
      facts.round_trips.push_back(helper_round_trip(identity, swarm_key, answer.helper));
    check.families.push_back(std::move(facts));
  }
  member.stop_server(milliseconds(0));
  member.leave();
  return check;
}

std::string netcheck_text(const NetCheck& check) {
  std::string text;
  const auto row = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {:<14}{}\n", name, value);
  };
  for (const NetCheck::FamilyFacts& family : check.families) {
    text += family.name + "\n";
    std::string own;
    for (const proto::Endpoint& address : family.own)
      own += (own.empty() ? "" : ", ") + bare(address);
    row("addresses", own.empty() ? "none" : own);
    if (own.empty()) continue;
    row("seen at", family.verdict.seen ? bare(*family.verdict.seen) : "nobody says");
    row("TCP", name_of(family.verdict.tcp));
    row("UDP", name_of(family.verdict.udp));
    row("translation", translation_of(family));
    row("router offers", offers_of(family));
    if (family.mapping) {
      row("mapped", fmt::format("port {} by {}", family.mapping->external.port,
                                net::name_of(family.mapping->protocol)));
    } else {
      row("not mapped", family.why_unmapped);
    }
    for (std::size_t i = 0; i < family.answers.size(); ++i) {
      const DialBackAnswer& answer = family.answers[i];
      std::string far = "-";
      if (i < family.round_trips.size() && family.round_trips[i]) {
        far = fmt::format("{:.1f} ms", static_cast<double>(family.round_trips[i]->count()) / 1000);
      }
      row("helper",
          fmt::format("{} at {}, {}: TCP {}, UDP {}", proto::short_name(answer.helper.peer),
                      proto::to_string(answer.helper.at), far, words_of(answer.tcp),
                      words_of(answer.udp)));
    }
  }
  for (const proto::Address& relay : check.relays)
    text += fmt::format("relay           {}\n", proto::to_string(relay));
  switch (check.answer()) {
    case NetCheck::Answer::kReached:
    case NetCheck::Answer::kHereOnly:
      return text + fmt::format("A node here is reached: {}\n", check.told);
    case NetCheck::Answer::kNotReached:
      return text + fmt::format("A node here is not reached: {}\n", check.told);
    case NetCheck::Answer::kNobodyToAsk:
      break;
  }
  return text + (check.joined
                     ? "Nobody to ask: whether a node here is reached shows when a peer on "
                       "another machine has joined\n"
                     : "Nobody to ask: name an address of the swarm with --join "
                       "HOST:PORT\n");
}

std::string netcheck_json(const NetCheck& check) {
  nlohmann::ordered_json json = {{"answer", name_of(check.answer())},
                                 {"reached", check.is_good()},
                                 {"told", check.told},
                                 {"joined", check.joined},
                                 {"this_machine_only", check.is_here_only},
                                 {"families", nlohmann::json::array()},
                                 {"relays", nlohmann::json::array()}};
  for (const NetCheck::FamilyFacts& family : check.families)
    json["families"].push_back(json_of(family));
  for (const proto::Address& relay : check.relays)
    json["relays"].push_back(proto::to_string(relay));
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace shoal::node
