// SPDX-License-Identifier: Apache-2.0
#include "net/caller.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "base/mutex.h"

namespace shoal::net {
namespace {

// As many entries as the process ever had descriptors at once.
struct Callers {
  base::Mutex mutex;
  absl::flat_hash_map<int, Caller> by_descriptor ABSL_GUARDED_BY(mutex);
};

Callers& callers() {
  static auto* const callers = new Callers;  // gRPC's threads may ask while the process ends
  return *callers;
}

// "fd:12", as gRPC calls a connection that was handed to it.
std::optional<int> descriptor_of(std::string_view peer) {
  if (!peer.starts_with("fd:")) return std::nullopt;
  peer.remove_prefix(3);
  int descriptor = -1;
  const auto parsed = std::from_chars(peer.data(), peer.data() + peer.size(), descriptor);
  if (parsed.ec != std::errc() || parsed.ptr != peer.data() + peer.size()) return std::nullopt;
  return descriptor;
}

}  // namespace

proto::Endpoint counted_address(const Caller& caller) {
  if (!caller.relay) return caller.address;
  proto::Endpoint result;
  result.address[0] = 0xff;  // multicast: nobody's, and no private network's
  std::copy_n(caller.relay->bytes.begin(), result.address.size() - 1, result.address.begin() + 1);
  result.port = 1;
  return result;
}

absl::StatusOr<Caller> caller_of(const grpc::ServerContextBase& context) {
  if (const std::optional<int> descriptor = descriptor_of(context.peer())) {
    const base::MutexLock lock(callers().mutex);
    const auto found = callers().by_descriptor.find(*descriptor);
    if (found != callers().by_descriptor.end()) return found->second;
  }
  return absl::UnauthenticatedError("the caller has no verified certificate");
}

void set_caller(int descriptor, const Caller& caller) {
  const base::MutexLock lock(callers().mutex);
  callers().by_descriptor.insert_or_assign(descriptor, caller);
}

}  // namespace shoal::net
