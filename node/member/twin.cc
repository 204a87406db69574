// SPDX-License-Identifier: Apache-2.0
#include "node/member/twin.h"

#include <fmt/format.h>

#include <chrono>

#include "proto/span_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::node {
namespace {

constexpr const char* kPayload = "shoal/twin";

}  // namespace

std::uint64_t run_of_now() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

std::optional<Twin> find_twin(net::ChannelPool& channels, const proto::PeerId& self,
                              const std::vector<proto::Address>& addresses, std::uint64_t our_run,
                              std::uint32_t timeout_ms) {
  if (addresses.empty()) return std::nullopt;
  const auto stub = wire::SpanService::NewStub(channels.get(self, addresses));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
  wire::DescribeRequest request;
  *request.mutable_version() = proto::our_version();
  request.set_run(our_run);
  wire::DescribeReply reply;
  const grpc::Status status = stub->Describe(&context, request, &reply);
  const auto where = channels.connected_address(self);
  channels.drop(self);
  if (!status.ok() || reply.run() == our_run) return std::nullopt;
  return Twin{reply.run(), where.value_or(addresses.front())};
}

OwnRecord look_at_own_record(const dht::Record* found, std::uint64_t announced_sequence) {
  if (found == nullptr) return OwnRecord::kMissing;
  return found->sequence > announced_sequence ? OwnRecord::kReplaced : OwnRecord::kOurs;
}

absl::Status twin_error(const proto::PeerId& self, const Twin& twin) {
  absl::Status status = absl::AlreadyExistsError(fmt::format(
      "another node with the identity {} runs at {}: each node needs an identity of its own. Name "
      "a new file with --identity (it is made when it is missing), or stop the other node first",
      to_string(self), proto::to_string(twin.address)));
  status.SetPayload(kPayload, absl::Cord("1"));
  return status;
}

bool is_twin_error(const absl::Status& status) { return status.GetPayload(kPayload).has_value(); }

}  // namespace shoal::node
