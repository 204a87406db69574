// SPDX-License-Identifier: Apache-2.0
#include "net/manifest_call.h"

#include <fmt/format.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "base/mutex.h"
#include "net/status.h"
#include "proto/limits.h"
#include "proto/span_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;

// A cancelled call ends at once; the bound is for a transport that does not keep its word.
constexpr std::chrono::seconds kCallEnd{2};
constexpr std::size_t kMostNodes = 3;    // of one model
constexpr std::size_t kMostModels = 16;  // anybody may say that he serves any number of models

struct Call {
  grpc::ClientContext context;
  wire::ManifestRequest request;
  wire::ManifestReply reply;
  base::Mutex mutex;
  base::CondVar changed;
  std::optional<grpc::Status> status ABSL_GUARDED_BY(mutex);
};

absl::StatusOr<wire::ManifestReply> ask(wire::SpanService::Stub& stub, const proto::Digest& digest,
                                        std::size_t offset, const std::string& name,
                                        const base::StopToken& stop) {
  const auto call = std::make_shared<Call>();
  *call->request.mutable_version() = proto::our_version();
  call->request.set_model_digest(digest.to_bytes());
  call->request.set_offset(offset);
  call->context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::milliseconds(proto::kManifestChunkTimeoutMs));
  stub.async()->Manifest(&call->context, &call->request, &call->reply,
                         [call](const grpc::Status& status) {
                           const base::MutexLock lock(call->mutex);
                           call->status = status;
                           call->changed.notify_all();
                         });
  {
    const base::MutexLock lock(call->mutex);
    while (!call->status && !stop.stopped()) {
      call->changed.wait_until(call->mutex, Clock::now() + base::kStopPoll);
    }
    if (call->status) {
      if (!call->status->ok()) return to_absl(*call->status, name);
      return std::move(call->reply);
    }
  }
  call->context.TryCancel();
  const base::MutexLock lock(call->mutex);
  const auto end = Clock::now() + kCallEnd;
  while (!call->status && call->changed.wait_until(call->mutex, end)) continue;
  return stop.status();
}

absl::StatusOr<std::string> fetch_from(ChannelPool& channels, const proto::Digest& digest,
                                       const proto::ServedModel::Node& node,
                                       const base::StopToken& stop) {
  const std::string name = fmt::format("node {} at {}", proto::short_name(node.peer),
                                       proto::to_string(node.addresses.front()));
  const auto deadline = Clock::now() + std::chrono::milliseconds(proto::kManifestTimeoutMs);
  const auto wrong = [&](const char* what) {
    return absl::FailedPreconditionError(fmt::format("{}: {}", name, what));
  };
  const auto stub = wire::SpanService::NewStub(channels.get(node.peer, node.addresses));
  std::string bytes;
  while (true) {
    auto reply = ask(*stub, digest, bytes.size(), name, stop);
    if (!reply.ok()) return reply.status();
    const std::uint64_t total = reply->total_bytes();
    if (total == 0 || total > proto::kMaxManifestBytes) return wrong("its manifest is too large");
    const std::string& chunk = reply->chunk();
    if (chunk.empty() || chunk.size() > proto::kManifestChunkBytes ||
        chunk.size() > total - bytes.size()) {
      return wrong("it sends another part of the manifest than it was asked for");
    }
    bytes += chunk;
    if (bytes.size() == total) return bytes;
    if (Clock::now() >= deadline) return wrong("sending its manifest takes too long");
  }
}

}  // namespace

absl::StatusOr<std::string> fetch_manifest(ChannelPool& channels, const proto::ServedModel& model,
                                           const base::StopToken& stop) {
  absl::Status last = absl::UnavailableError("no node that serves it can be reached");
  for (std::size_t i = 0; i < std::min(model.nodes.size(), kMostNodes); ++i) {
    if (model.nodes[i].addresses.empty()) continue;
    auto bytes = fetch_from(channels, model.digest, model.nodes[i], stop);
    if (bytes.ok() || absl::IsCancelled(bytes.status())) return bytes;
    last = bytes.status();
  }
  return last;
}

absl::Status find_manifest(
    ChannelPool& channels, const std::vector<proto::ServedModel>& models,
    const std::function<absl::Status(const proto::Digest&, const std::string&)>& takes,
    const base::StopToken& stop) {
  std::string last = "it serves no model of so many blocks";
  for (std::size_t i = 0; i < std::min(models.size(), kMostModels); ++i) {
    const auto bytes = fetch_manifest(channels, models[i], stop);
    absl::Status taken = bytes.ok() ? takes(models[i].digest, *bytes) : bytes.status();
    if (taken.ok() || absl::IsCancelled(taken)) return taken;
    last = fmt::format("model {}: {}", proto::short_name(models[i].digest),
                       std::string(taken.message().data(), taken.message().size()));
  }
  return absl::NotFoundError(last);
}

}  // namespace shoal::net
