// SPDX-License-Identifier: Apache-2.0
#include "node/caretaker.h"

#include <fmt/format.h>
#include <malloc.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <utility>

#include "node/account/amounts.h"
#include "node/control/local_socket.h"
#include "node/node.h"

namespace shoal::node {
namespace {

using CareClock = std::chrono::steady_clock;

// Sessions that are drained have all the time they need; an idle one is closed in minutes.
constexpr std::chrono::hours kLongestDrain{24};
constexpr std::chrono::seconds kTendAccount{1};

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Account::Options account_options(const IdentityFile& identity) {
  Account::Options options;
  options.file = identity.account_path();
  options.info = [](const std::string& text) { spdlog::info("{}", text); };
  options.warn = [](const std::string& text) { spdlog::warn("{}", text); };
  options.unix_s = unix_seconds();
  options.now = CareClock::now();
  return options;
}

std::string until_text(const Wish& wish) {
  return wish.until_unix_s ? " until " + date_text(*wish.until_unix_s) : std::string();
}

std::string why_text(const Wish& wish) {
  return wish.by_hours ? "outside of its hours" : "as its owner asked";
}

}  // namespace

Caretaker::Caretaker(const IdentityFile& identity, CaretakerOptions options)
    : options_(std::move(options)),
      bootstrap_(options_.bootstrap),
      identity_(identity.path()),
      account_(std::make_unique<Account>(account_options(identity), EnergyMeter())),
      desk_(std::make_unique<OwnerDesk>(OwnerWish(options_.hours, options_.free_by_hours),
                                        *account_, unix_seconds)),
      peer_id_(to_string(identity.identity().peer_id())) {
  desk_->show(status_without_node("starting"));
  auto control = ControlServer::start(
      socket_paths(identity_, runtime_folder()),
      [desk = desk_.get()](const ControlRequest& request) { return desk->answer(request); });
  if (control.ok()) {
    control_ = *std::move(control);
    spdlog::debug("shoal-node status, pause and resume reach this node at {}", control_->path());
  } else {
    spdlog::warn("shoal-node status, pause and resume do not reach this node: {}",
                 std::string(control.status().message()));
  }
}

Caretaker::~Caretaker() {
  desk_->close();
  control_.reset();
  account_->close(CareClock::now());
}

Caretaker::Start Caretaker::look_without_node() {
  const Wish wish = desk_->wish();
  if (wish.serve || bootstrap_) {
    pausing_ = {};
    waits_ = false;
    silence_unix_s_ = 0;
    desk_->show(status_without_node("starting"));
    return Start::kNow;
  }
  if (wish.stop) return Start::kNever;
  if (!std::exchange(waits_, true)) {
    spdlog::info("paused {}{}: nothing is loaded", why_text(wish), until_text(wish));
    desk_->show(status_without_node("paused"));
    malloc_trim(0);  // what a node before had
  }
  tend_account(std::nullopt);
  return Start::kLater;
}

void Caretaker::waits_for(const std::string& addresses) {
  NodeStatus status = status_without_node("starting");
  if (addresses.empty()) {
    silence_unix_s_ = 0;
  } else {
    if (silence_unix_s_ == 0) silence_unix_s_ = unix_seconds();
    status.silent = addresses;
    status.silent_since_unix_s = silence_unix_s_;
  }
  desk_->show(status);
}

void Caretaker::tend_account(const std::optional<NodeMoment>& moment) {
  const auto now = CareClock::now();
  if (tended_ && now - *tended_ < kTendAccount) return;
  tended_ = now;
  account_->tend(moment, now);
}

NodeStatus Caretaker::status_without_node(const char* state) const {
  NodeStatus status;
  status.state = state;
  status.peer_id = peer_id_;
  status.identity = identity_;
  status.version = SHOAL_VERSION;
  status.pid = getpid();
  if (status.state == "starting") status.port = options_.port;
  status.bootstrap = bootstrap_;
  return status;
}

NodeStatus Caretaker::status_of(const Node& node) const {
  NodeStatus status = status_without_node(name_of(pausing_.state()));
  status.port = node.port();
  status.address = proto::to_string(node.endpoint());
  status.place = node.place();
  if (node.span().empty()) return status;
  status.model = node.model_name();
  status.blocks = proto::to_string(node.span());
  const NodeStats stats = node.stats();
  status.sessions = stats.sessions;
  status.queued_steps = stats.queued_steps;
  status.kv_positions = stats.total_kv_positions;
  status.free_kv_positions = stats.free_kv_positions;
  status.block_step_us = stats.block_step_us;
  return status;
}

void Caretaker::began(const Node& node) {
  const NodeStatus status = status_of(node);
  if (status.blocks.empty()) {
    spdlog::info("joined the swarm as bootstrap node {}, {}", proto::short_name(node.peer_id()),
                 status.place);
  } else {
    spdlog::info("joined the swarm as node {}, serves blocks {} of {} {}",
                 proto::short_name(node.peer_id()), status.blocks, status.model, status.place);
  }
  desk_->show(status);
}

std::chrono::milliseconds Caretaker::patience_of(const Wish& wish) const {
  return wish.all_the_time ? std::chrono::milliseconds(kLongestDrain) : options_.patience;
}

Caretaker::Next Caretaker::look(Node& node) {
  const auto now = CareClock::now();
  const NodeStats stats = node.stats();
  const Wish wish = bootstrap_ ? Wish{} : desk_->wish();
  const std::string why = why_text(wish);
  switch (pausing_.next(wish.serve, patience_of(wish), stats.sessions, now)) {
    case Pausing::Act::kNothing:
      break;
    case Pausing::Act::kDrain:
      spdlog::info("pausing {}: {} open", why, count_of(stats.sessions, "session", "sessions"));
      node.drain("this node is paused by its owner");
      break;
    case Pausing::Act::kPause:
      if (wish.stop) {
        spdlog::info("its sessions have ended: leaving {}", why);
        return Next::kStop;
      }
      node.pause("this node is paused by its owner");
      spdlog::info("paused {}{}", why, until_text(wish));
      break;
    case Pausing::Act::kResume:
      node.resume();
      spdlog::info("serving again");
      break;
  }
  const bool paused = pausing_.state() == Pausing::State::kPaused;
  const std::int64_t used = stats.total_kv_positions - stats.free_kv_positions;
  tend_account(NodeMoment{.paused = paused,
                          .computing_s = stats.computing_s,
                          .kv_positions = static_cast<std::uint64_t>(used)});
  desk_->show(status_of(node));
  if (paused && wish.stop) return Next::kStop;
  return paused && wish.free ? Next::kLeave : Next::kGoOn;
}

void Caretaker::hand_over() {
  desk_->close();
  control_.reset();
  account_->save();
}

void Caretaker::set_options(const CaretakerOptions& options) {
  options_ = options;
  desk_->set_hours(options_.hours, options_.free_by_hours);
}

void Caretaker::leaving(const Node& node) {
  NodeStatus status = status_of(node);
  status.state = "leaving";
  desk_->show(status);
  account_->tend(NodeMoment{.computing_s = node.stats().computing_s}, CareClock::now());
}

}  // namespace shoal::node
