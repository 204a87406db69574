// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/matrix.h"

#include <algorithm>
#include <stdexcept>

namespace shoal::tests {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kOnline{15'000};
constexpr std::size_t kPrompt = 0;
constexpr double kDirect = 0.9;   // of the payload; the rest may have gone before a punch
constexpr double kRelayed = 0.1;  // less is punches that failed

std::string titled(const std::string& title, const std::string& text) {
  return "=== " + title + "\n" + text + "\n";
}

}  // namespace

char letter(const NatCell& cell) {
  if (!cell.wrong.empty()) return 'F';
  if (cell.direct_share >= kDirect) return 'D';
  return cell.direct_share >= kRelayed ? 'u' : 'r';
}

MatrixRow::MatrixRow(NatRole role, NatKind kind, const LinkOptions& access)
    : role_(role), kind_(kind), swarm_(access), host_(&swarm_.internet().host(kind)) {
  node_ = &swarm_.start(*host_, "0:4");
  if (role_ == NatRole::kUser) {
    NatNode& second = swarm_.start(swarm_.internet().host(NatKind::kOpen), "4:8");
    if (!NatSwarm::online(second, kOnline)) {
      throw std::runtime_error("a node in the open did not come online: " + second.process->err());
    }
  }
  online_ = NatSwarm::online(*node_, kOnline);
}

MatrixRow::~MatrixRow() = default;

NatCell MatrixRow::run(NatKind other, int tokens) {
  return run_on(swarm_.internet().host(other), tokens);
}

NatCell MatrixRow::run_neighbour(int tokens) {
  return run_on(swarm_.internet().beside(*host_, kind_ == NatKind::kHairpin), tokens);
}

NatCell MatrixRow::run_on(const Host& other, int tokens) {
  NatCell cell;
  if (!online_) {
    cell.wrong = "the node did not come online";
    return cell;
  }
  const Host* user = &other;
  NatNode* hop = nullptr;
  if (role_ == NatRole::kNextHop) {
    user = &swarm_.internet().host(NatKind::kOpen);
    hop = &swarm_.start(other, "4:8");
    cell.other_online = NatSwarm::online(*hop, kOnline);
  }
  forget_bytes(other);
  const NatAnswer answer = swarm_.generate(*user, kPrompt, tokens);
  cell.wrong = answer.wrong;
  if (hop != nullptr && !cell.other_online) {
    cell.wrong = "the next hop did not come online; " + cell.wrong;
  }
  cell.seconds = answer.seconds;
  cell.direct_share = std::min(1.0, static_cast<double>(tcp_bytes(other, *host_)) /
                                        static_cast<double>(NatSwarm::payload(kPrompt, tokens)));
  if (hop != nullptr) {
    swarm_.stop(*hop);
    other_logs_ += titled("next hop at " + other.address, hop->process->err());
  }
  if (!answer.wrong.empty()) other_logs_ += titled("user at " + user->address, answer.wrong);
  return cell;
}

std::string MatrixRow::logs() {
  std::string all;
  for (std::size_t i = 0; i < swarm_.relays(); ++i) {
    all += titled("relay " + std::to_string(i), swarm_.relay(i).process->err());
  }
  return all + titled("node at " + host_->address, node_->process->err()) + other_logs_;
}

}  // namespace shoal::tests
