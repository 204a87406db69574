// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/trials.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <thread>

#include "proto/endpoint.h"
#include "proto/tunnel.h"
#include "tests/identity/examples.h"
#include "tests/nat/lost_relay.h"
#include "tests/nat/nat_swarm.h"
#include "tests/net/parked_node.h"
#include "tests/net/tls_talker.h"

namespace shoal::tests {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

// A site's line: between two sites lie 20 ms one way.
const LinkOptions kHome = {.one_way = milliseconds(10)};
const LinkOptions kNear = {.one_way = milliseconds(1)};
constexpr milliseconds kOnline{20'000};
constexpr seconds kGivesUp{60};
constexpr std::size_t kPrompt = 0;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all.empty() ? "nothing" : all;
}

std::vector<double> step_times(const NatAnswer& answer) {
  if (!answer.wrong.empty()) throw std::runtime_error(answer.wrong);
  return answer.json.at("timings").at("per_token_ms").get<std::vector<double>>();
}

NatNode& online_node(NatSwarm& swarm, const Host& host, const std::string& blocks) {
  NatNode& node = swarm.start(host, blocks);
  if (!NatSwarm::online(node, kOnline)) {
    throw std::runtime_error("a node did not come online: " + node.process->err());
  }
  return node;
}

// Seconds, on the system's clock, at which a log line with `words` was written.
std::optional<double> told_at(const std::string& log, const std::string& words) {
  const std::size_t at = log.find(words);
  if (at == std::string::npos) return std::nullopt;
  const std::size_t line = log.rfind('\n', at) == std::string::npos ? 0 : log.rfind('\n', at) + 1;
  tm time{};
  const char* rest = strptime(log.c_str() + line, "%Y-%m-%d %H:%M:%S", &time);
  if (rest == nullptr) return std::nullopt;
  return static_cast<double>(timegm(&time)) + std::strtod(rest, nullptr);
}

double changed_at(const std::string& path) {
  struct stat file {};
  if (stat(path.c_str(), &file) != 0) throw std::runtime_error("no file " + path);
  return static_cast<double>(file.st_mtim.tv_sec) +
         1e-9 * static_cast<double>(file.st_mtim.tv_nsec);
}

void time_to_online() {
  fmt::print(
      "| router | online after start | after the model was loaded | announced |\n"
      "| --- | --- | --- | --- |\n");
  for (const NatKind kind : kNatKinds) {
    NatSwarm swarm(kHome);
    const Host& user = swarm.internet().host(NatKind::kOpen);
    NatNode& node = swarm.start(swarm.internet().host(kind), "0:8");
    const auto online = NatSwarm::online(node, kOnline);
    if (!online) {
      fmt::print("| {} | never | | |\n", name(kind));
      continue;
    }
    const auto loaded = told_at(node.process->err(), "loaded blocks");
    fmt::print("| {} | {:.2f} s | {} | {} |\n", name(kind), *online,
               loaded ? fmt::format("{:.2f} s", changed_at(node.ready_file) - *loaded) : "",
               joined(swarm.announced(user, NatSwarm::peer_id(node))));
    std::fflush(stdout);
  }
}

// Decode steps of one node, asked directly and over a relay, in turns, so that both meet the same
// load of the machine. Direct: two lines there and two back. Over a relay: four each way. Nothing
// can be punched between two symmetric routers. The emulator's lines are a little longer than told:
// what four of them cost a direct step is what the four more cost a relayed one.
void relay_cost() {
  constexpr int kTokens = 100;
  constexpr int kRounds = 6;
  fmt::print(
      "| a site's line | direct step, median | over a relay | extra | two extra ways, measured | "
      "rest "
      "|\n| --- | --- | --- | --- | --- | --- |\n");
  std::optional<double> without_lines, fastest_without_lines;
  struct Way {
    Way(const LinkOptions& line, NatKind kind)
        : swarm(line), host(swarm.internet().host(kind)), user(swarm.internet().host(kind)) {
      online_node(swarm, host, "0:8");
    }
    void ask() {
      forget_bytes(user);
      const NatAnswer answer = swarm.generate(user, kPrompt, kTokens);
      const auto more = step_times(answer);
      steps.insert(steps.end(), more.begin(), more.end());
      went_directly = tcp_bytes(user, host) > NatSwarm::payload(kPrompt, kTokens) / 2;
    }
    NatSwarm swarm;
    const Host& host;
    const Host& user;
    std::vector<double> steps;
    bool went_directly = false;
  };
  for (const LinkOptions& line : {LinkOptions{}, kHome}) {
    Way direct(line, NatKind::kOpen), relayed(line, NatKind::kSymmetric);
    for (int round = 0; round < kRounds; ++round) {
      direct.ask();
      relayed.ask();
      if (!direct.went_directly || relayed.went_directly)
        throw std::runtime_error("not the way that was to be measured");
    }
    const double medians[2] = {percentile(direct.steps, 0.5), percentile(relayed.steps, 0.5)};
    const double lows[2] = {percentile(direct.steps, 0.1), percentile(relayed.steps, 0.1)};
    if (!without_lines) {
      without_lines = medians[0];
      fastest_without_lines = lows[0];
    }
    const double ways = medians[0] - *without_lines;
    const double extra = medians[1] - medians[0];
    fmt::print(
        "| {} ms | {:.2f} ms | {:.2f} ms | {:.2f} ms | {:.2f} ms | {:.2f} ms (fastest tenth: "
        "{:.2f} ms) |\n",
        std::chrono::duration_cast<milliseconds>(line.one_way).count(), medians[0], medians[1],
        extra, ways, extra - ways, lows[1] - lows[0] - (lows[0] - *fastest_without_lines));
    std::fflush(stdout);
  }
}

// One way, from `from` to `to`: MB/s.
double megabytes_per_second(int from, int to, std::size_t bytes) {
  const auto start = Clock::now();
  std::thread sender([&] {
    const std::string chunk(1 << 16, 'x');
    for (std::size_t sent = 0; sent < bytes;) {
      const ssize_t got =
          send(from, chunk.data(), std::min(chunk.size(), bytes - sent), MSG_NOSIGNAL);
      if (got <= 0) break;
      sent += static_cast<std::size_t>(got);
    }
  });
  std::string buffer(1 << 16, '\0');
  std::size_t received = 0;
  while (received < bytes) {
    const ssize_t got = recv(to, buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    received += static_cast<std::size_t>(got);
  }
  const double took = since(start);
  sender.join();
  if (received < bytes) throw std::runtime_error("the connection ended in the middle");
  return static_cast<double>(bytes) / took / 1e6;
}

void make_blocking(int socket) { fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) & ~O_NONBLOCK); }

// A relay between two hosts whose lines, as its own, have 100 Mbit/s: what TLS between the two
// would send, by hand.
void bulk() {
  constexpr std::size_t kBytes = 100'000'000;
  constexpr double kMbit = 100;
  NatSwarm swarm({.one_way = milliseconds(10), .mbit_per_s = kMbit}, 1);
  const Host& relay = *swarm.relay(0).host;
  const Host& node = swarm.internet().host(NatKind::kSymmetric);
  const Host& user = swarm.internet().host(NatKind::kSymmetric);
  const auto dial = [&](const Host& host, int number) {
    const auto at = [](const std::string& address, std::uint16_t port) {
      return proto::parse_endpoint(address + ":" + std::to_string(port)).value();
    };
    return host.network.within([&] {
      return std::make_unique<net::TlsTalker>(identity::identity_of(number),
                                              at(relay.address, 7000), at(host.address, 0));
    });
  };
  constexpr int kNode = 12;
  constexpr int kUser = 13;
  const auto parked = dial(node, kNode);
  const auto caller = dial(user, kUser);
  const auto asks = [](net::TlsTalker& talker, const proto::TunnelRequest& request) {
    return talker.handshake(proto::kTunnelProtocol) &&
           talker.send(proto::encode_tunnel_request(request)) && net::hear(talker).has_value();
  };
  if (!asks(*parked, {}) || !asks(*caller, {identity::identity_of(kNode).peer_id()}) ||
      !net::hear(*parked)) {
    throw std::runtime_error("the relay refused");
  }
  const int from = caller->release();
  const int to = parked->release();
  make_blocking(from);
  make_blocking(to);
  const double down = megabytes_per_second(from, to, kBytes);
  const double up = megabytes_per_second(to, from, kBytes);
  close(from);
  close(to);
  fmt::print("| way | 100 MB at | of 100 Mbit/s |\n| --- | --- | --- |\n");
  fmt::print("| to the node | {:.1f} MB/s | {:.0f} % |\n", down, 100 * down * 8 / kMbit);
  fmt::print("| from the node | {:.1f} MB/s | {:.0f} % |\n", up, 100 * up * 8 / kMbit);
}

// The process of the relay that carries a session is killed in its middle.
void lost_relay() {
  constexpr int kTokens = 800;
  fmt::print(
      "| run | ids | median step | longest pause | reroutes |\n"
      "| --- | --- | --- | --- | --- |\n");
  for (int i = 0; i < 5; ++i) {
    NatSwarm swarm(kNear, 3);
    const Host& host = swarm.internet().host(NatKind::kSymmetric);
    online_node(swarm, host, "0:8");
    const Host& user = swarm.internet().host(NatKind::kSymmetric);
    const LostRelay run = lose_relay(swarm, user, host, kTokens);
    if (!run.answer.wrong.empty()) {
      fmt::print("| {} | {} | | | |\n", i + 1,
                 run.answer.wrong.substr(0, run.answer.wrong.find('\n')));
      continue;
    }
    fmt::print("| {} | golden | {:.1f} ms | {:.0f} ms | {} |\n", i + 1, run.median_ms,
               run.longest_ms, run.reroutes);
    std::fflush(stdout);
  }
}

// Seconds until records name `wanted`, and until a session works again; "never" after a minute.
std::string until_right(const NatSwarm& swarm, const Host& user, const NatNode& node,
                        const std::string& wanted) {
  const auto start = Clock::now();
  const auto seen = [&] {
    const auto addresses = swarm.announced(user, NatSwarm::peer_id(node));
    return wanted.empty() || std::ranges::any_of(addresses, [&](const std::string& address) {
             return address.find(wanted) != std::string::npos;
           });
  };
  while (!seen()) {
    if (Clock::now() - start > kGivesUp) return "never | never |";
    std::this_thread::sleep_for(milliseconds(200));
  }
  const double announced = since(start);
  while (!swarm.generate(user, kPrompt, 4).wrong.empty()) {
    if (Clock::now() - start > kGivesUp) return fmt::format("{:.1f} s | never |", announced);
  }
  return fmt::format("{:.1f} s | {:.1f} s |", announced, since(start));
}

// A router whose nodes are called at its public address: then records must name the new one.
bool named_by_its_address(NatKind kind) {
  return kind == NatKind::kOpen || kind == NatKind::kMapped;
}

// What a node does that was online, its provider having given it another address: at once, or
// while it slept.
void moved(bool asleep) {
  fmt::print("| router | announced | session works |\n| --- | --- | --- |\n");
  for (const NatKind kind :
       {NatKind::kOpen, NatKind::kMapped, NatKind::kPortRestricted, NatKind::kTcpOut}) {
    NatSwarm swarm(kNear);
    const Host& user = swarm.internet().host(NatKind::kOpen);
    Host& host = swarm.internet().host(kind);
    NatNode& node = online_node(swarm, host, "0:8");
    if (asleep) {
      node.process->signal(SIGSTOP);
      std::this_thread::sleep_for(seconds(20));
    }
    swarm.internet().renumber(host);
    if (asleep) node.process->signal(SIGCONT);
    fmt::print("| {} | {}\n", name(kind),
               until_right(swarm, user, node,
                           named_by_its_address(kind) ? host.public_address + ":" : ""));
    std::fflush(stdout);
  }
}

// A node that starts before its line is there.
void late_network() {
  constexpr seconds kLate{5};
  fmt::print("| router | online after the line was there |\n| --- | --- |\n");
  for (const NatKind kind : {NatKind::kOpen, NatKind::kMapped, NatKind::kPortRestricted}) {
    NatSwarm swarm(kNear);
    Host& host = swarm.internet().host(kind);
    swarm.internet().cut(host, true);
    NatNode& node = swarm.start(host, "0:8");
    std::this_thread::sleep_for(kLate);
    swarm.internet().cut(host, false);
    const auto online = NatSwarm::online(node, kOnline);
    fmt::print("| {} | {} |\n", name(kind),
               online ? fmt::format("{:.1f} s", *online - static_cast<double>(kLate.count()))
                      : std::string("never"));
    std::fflush(stdout);
  }
}

}  // namespace

std::vector<Trial> nat_trials() {
  return {
      {"online", "Time from start to online, 20 ms between sites", time_to_online},
      {"relay-cost", "A decode step over a relay against a direct one", relay_cost},
      {"bulk", "100 MB through a relay, lines of 100 Mbit/s and 10 ms", bulk},
      {"lost-relay", "The relay of a session is killed in its middle", lost_relay},
      {"moved", "The provider gives a node's site another address", [] { moved(false); }},
      {"woken", "The same while the machine slept for 20 s", [] { moved(true); }},
      {"late", "A node starts 5 s before its line is there", late_network},
  };
}

}  // namespace shoal::tests
