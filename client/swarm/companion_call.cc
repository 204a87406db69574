// SPDX-License-Identifier: Apache-2.0
#include "client/swarm/companion_call.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "client/swarm/companion_agreement.h"
#include "client/swarm/network_check.h"
#include "client/swarm/node_name.h"
#include "client/swarm/piece_plan.h"
#include "identity/sodium.h"
#include "net/channel_pool.h"
#include "net/status.h"
#include "proto/limits.h"
#include "proto/span_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;
using ServingNode = proto::ServedModel::Node;

constexpr std::size_t kAsked = 5;            // nodes at a time
constexpr std::size_t kMostNodesAsked = 20;  // of one model
constexpr std::chrono::milliseconds kListTimeout{4'000};
// Nodes that could disagree are not left out for a moment's slowness.
constexpr std::chrono::milliseconds kOthersGet{1'000};
// A cancelled call ends at once; the bound is for a transport that does not keep its word.
constexpr std::chrono::seconds kCallEnd{2};

std::string node_name(const ServingNode& node) { return name_of_node(node.peer, node.addresses); }

// Calls of one kind under way, and what came of them.
template <typename Request, typename Reply>
class Calls {
 public:
  struct Call {
    std::size_t id = 0;
    std::unique_ptr<wire::SpanService::Stub> stub;
    grpc::ClientContext context;
    Request request;
    Reply reply;
    grpc::Status status;
  };
  using Done = std::shared_ptr<Call>;

  // `start` makes the call: async()->METHOD(&context, &request, &reply, then).
  template <typename Start>
  void begin(std::shared_ptr<Call> call, std::chrono::milliseconds timeout, const Start& start) {
    call->context.set_deadline(std::chrono::system_clock::now() + timeout);
    {
      const base::MutexLock lock(board_->mutex);
      board_->running.push_back(call);
    }
    Call& begun = *call;
    start(begun, [board = board_, call = std::move(call)](const grpc::Status& status) {
      call->status = status;
      const base::MutexLock lock(board->mutex);
      std::erase(board->running, call);
      board->ended.push_back(call);
      board->changed.notify_all();
    });
  }
  // The next that ended; null when none has until then.
  Done next(Clock::time_point until) {
    const base::MutexLock lock(board_->mutex);
    while (board_->ended.empty() && board_->changed.wait_until(board_->mutex, until)) continue;
    if (board_->ended.empty()) return nullptr;
    Done done = std::move(board_->ended.front());
    board_->ended.pop_front();
    return done;
  }
  std::size_t running() {
    const base::MutexLock lock(board_->mutex);
    return board_->running.size() + board_->ended.size();
  }
  ~Calls() {
    std::vector<Done> left;
    {
      const base::MutexLock lock(board_->mutex);
      left = board_->running;
    }
    for (const Done& call : left) call->context.TryCancel();
    const base::MutexLock lock(board_->mutex);
    const auto end = Clock::now() + kCallEnd;
    while (!board_->running.empty() && board_->changed.wait_until(board_->mutex, end)) continue;
  }

 private:
  struct Board {
    base::Mutex mutex;
    base::CondVar changed;
    std::vector<Done> running ABSL_GUARDED_BY(mutex);
    std::deque<Done> ended ABSL_GUARDED_BY(mutex);
  };
  const std::shared_ptr<Board> board_ = std::make_shared<Board>();
};

using ListCalls = Calls<wire::CompanionsRequest, wire::CompanionsReply>;
using PieceCalls = Calls<wire::CompanionPieceRequest, wire::CompanionPieceReply>;

struct Answers {
  std::vector<ListedBy> lists;
  std::vector<ServingNode> nodes;  // of each
  absl::Status none = absl::UnavailableError("no node that serves it can be reached");
};

void take_answer(const ServingNode& node, const ListCalls::Call& call, Answers& answers) {
  const std::string name = node_name(node);
  if (!call.status.ok()) {
    answers.none = net::to_absl(call.status, name);
    if (call.status.error_code() == grpc::UNIMPLEMENTED) {
      answers.none = absl::NotFoundError(fmt::format("{} is of an older version", name));
    }
    return;
  }
  auto list = proto::from_wire(call.reply);
  if (!list.ok()) {
    answers.none =
        absl::NotFoundError(fmt::format("{}: it {}", name, std::string(list.status().message())));
    return;
  }
  answers.lists.push_back({proto::short_name(node.peer), *std::move(list)});
  answers.nodes.push_back(node);
}

void ask_some(net::ChannelPool& channels, const proto::Digest& model,
              const std::vector<ServingNode>& nodes, const base::StopToken& stop,
              Answers& answers) {
  ListCalls calls;
  const auto begun = Clock::now();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (const std::string why = why_out_of_reach(nodes[i].addresses); !why.empty()) {
      answers.none =
          absl::UnavailableError(fmt::format("node {} {}", proto::short_name(nodes[i].peer), why));
      continue;
    }
    auto call = std::make_shared<ListCalls::Call>();
    call->id = i;
    call->stub = wire::SpanService::NewStub(channels.get(nodes[i].peer, nodes[i].addresses));
    *call->request.mutable_version() = proto::our_version();
    call->request.set_model_digest(model.to_bytes());
    calls.begin(std::move(call), kListTimeout, [](ListCalls::Call& one, auto then) {
      one.stub->async()->Companions(&one.context, &one.request, &one.reply, std::move(then));
    });
  }
  auto until = begun + kListTimeout;
  while (calls.running() > 0 && !stop.stopped() && Clock::now() < until) {
    const auto done = calls.next(std::min(until, Clock::now() + base::kStopPoll));
    if (done == nullptr) continue;
    take_answer(nodes[done->id], *done, answers);
    if (answers.lists.size() == 1) until = std::min(until, Clock::now() + kOthersGet);
  }
}

// Fetches the pieces of one set of files.
class Fetching {
 public:
  Fetching(net::ChannelPool& channels, const proto::Digest& model, const AgreedCompanions& agreed,
           const proto::CompanionList& files)
      : channels_(channels),
        model_(model),
        nodes_(agreed.nodes),
        files_(files),
        plan_(sizes_of(files), agreed.nodes.size()) {
    for (const proto::Companion& file : files) {
      bytes_.emplace_back(file.size, '\0');
      all_ += file.size;
    }
  }

  absl::StatusOr<std::vector<std::string>> run(
      const std::function<void(std::uint64_t, std::uint64_t)>& progress,
      const base::StopToken& stop) {
    const auto deadline = Clock::now() + std::chrono::milliseconds(proto::kManifestTimeoutMs);
    for (const proto::Companion& file : files_) {
      if (file.size == 0 && identity::sha256("") != file.sha256.bytes) {
        return absl::DataLossError(fmt::format("nodes list {} wrongly: it is empty", file.name));
      }
    }
    if (progress) progress(0, all_);
    while (!plan_.is_done()) {
      if (stop.stopped()) return stop.status();
      if (plan_.is_hopeless()) return why_;
      if (Clock::now() >= deadline) {
        return absl::DeadlineExceededError("fetching the model's files takes too long: try again");
      }
      while (const auto order = plan_.next(Clock::now())) ask(*order);
      if (const auto done = calls_.next(Clock::now() + base::kStopPoll)) {
        take(*done);
        if (progress) progress(plan_.done_bytes(), all_);
      }
    }
    return std::move(bytes_);
  }

 private:
  static std::vector<std::uint64_t> sizes_of(const proto::CompanionList& files) {
    std::vector<std::uint64_t> sizes;
    for (const proto::Companion& file : files) sizes.push_back(file.size);
    return sizes;
  }
  void ask(const PiecePlan::Order& order) {
    const ServingNode& node = nodes_[order.node];
    auto call = std::make_shared<PieceCalls::Call>();
    call->id = orders_.size();
    orders_.push_back(order);
    call->stub = wire::SpanService::NewStub(channels_.get(node.peer, node.addresses));
    *call->request.mutable_version() = proto::our_version();
    call->request.set_model_digest(model_.to_bytes());
    call->request.set_sha256(files_[order.file].sha256.to_bytes());
    call->request.set_offset(order.offset);
    calls_.begin(std::move(call), std::chrono::milliseconds(proto::kCompanionPieceTimeoutMs),
                 [](PieceCalls::Call& one, auto then) {
                   one.stub->async()->CompanionPiece(&one.context, &one.request, &one.reply,
                                                     std::move(then));
                 });
  }

  void take(const PieceCalls::Call& call) {
    const PiecePlan::Order order = orders_[call.id];
    const std::string name = node_name(nodes_[order.node]);
    if (call.status.error_code() == grpc::RESOURCE_EXHAUSTED)
      return plan_.busy(order, Clock::now());
    if (!call.status.ok()) {
      why_ = net::to_absl(call.status, name);
      return plan_.lost(order);
    }
    const std::string& chunk = call.reply.chunk();
    if (chunk.size() != order.bytes) {
      why_ = absl::DataLossError(fmt::format("{}: it sends {} bytes of {} where {} are asked for",
                                             name, chunk.size(), files_[order.file].name,
                                             order.bytes));
      return plan_.lost(order);
    }
    if (!plan_.came(order)) return;
    std::copy(chunk.begin(), chunk.end(),
              bytes_[order.file].begin() + static_cast<std::ptrdiff_t>(order.offset));
    if (!plan_.is_whole(order.file)) return;
    const proto::Companion& file = files_[order.file];
    if (identity::sha256(bytes_[order.file]) == file.sha256.bytes) return;
    const auto liar = plan_.wrong(order.file);
    why_ = absl::DataLossError(fmt::format(
        "{} sends another {} than it lists: do not trust it; give --model a folder or ORG/NAME",
        liar ? node_name(nodes_[*liar]) : "a node", file.name));
  }

  net::ChannelPool& channels_;
  const proto::Digest& model_;
  const std::vector<ServingNode>& nodes_;
  const proto::CompanionList& files_;
  PiecePlan plan_;
  std::vector<std::string> bytes_;
  std::uint64_t all_ = 0;
  std::vector<PiecePlan::Order> orders_;  // by the ids of their calls
  PieceCalls calls_;
  absl::Status why_ = absl::UnavailableError("no node gives the model's files");
};

}  // namespace

absl::StatusOr<AgreedCompanions> ask_companions(net::ChannelPool& channels,
                                                const proto::ServedModel& model,
                                                const base::StopToken& stop) {
  std::vector<ServingNode> nodes;
  for (const ServingNode& node : model.nodes) {
    if (!node.addresses.empty() && nodes.size() < kMostNodesAsked) nodes.push_back(node);
  }
  Answers answers;
  for (std::size_t at = 0; at < nodes.size() && answers.lists.empty(); at += kAsked) {
    const std::size_t end = std::min(at + kAsked, nodes.size());
    ask_some(channels, model.digest,
             {nodes.begin() + static_cast<std::ptrdiff_t>(at),
              nodes.begin() + static_cast<std::ptrdiff_t>(end)},
             stop, answers);
    if (stop.stopped()) return stop.status();
  }
  if (answers.lists.empty()) return answers.none;
  auto list = agreed_list(answers.lists);
  if (!list.ok()) return list.status();
  return AgreedCompanions{*std::move(list), std::move(answers.nodes)};
}

absl::StatusOr<std::vector<std::string>> fetch_companions(
    net::ChannelPool& channels, const proto::Digest& model, const AgreedCompanions& agreed,
    const proto::CompanionList& files,
    const std::function<void(std::uint64_t done, std::uint64_t all)>& progress,
    const base::StopToken& stop) {
  return Fetching(channels, model, agreed, files).run(progress, stop);
}

}  // namespace shoal::client
