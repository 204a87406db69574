// SPDX-License-Identifier: Apache-2.0
#include "node/device/file_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <string>
#include <utility>
#include <vector>

#include "node/device/device_thread.h"
#include "node/device/loaded_model.h"

namespace shoal::node {
namespace {

constexpr auto kLookForFiles = std::chrono::milliseconds(2'000);

}  // namespace

absl::Status FileWatch::look(DeviceThread& device, const LoadedModel& model,
                             std::chrono::steady_clock::time_point now) {
  if (absl::Status intact = device.check_files(); !intact.ok()) {
    const char* const way_out =
        absl::IsDataLoss(intact) ? "start it again, which makes the file anew"  // of the cache
        : absl::IsUnavailable(intact)
            ? "start it again; if that does not help, look what the system's log says of the GPU"
            : "start it again when the file is whole";
    return absl::FailedPreconditionError(
        fmt::format("{}; this node leaves the swarm: {}",
                    std::string(intact.message().data(), intact.message().size()), way_out));
  }
  if (now < look_at_) return absl::OkStatus();
  look_at_ = now + kLookForFiles;
  const std::vector<std::string> replaced = model.checkpoint.replaced();
  if (!replaced.empty() && !std::exchange(told_, true)) {
    spdlog::warn(
        "{} was replaced or removed: this node goes on with the model that it has loaded; start "
        "it again to serve the new one",
        replaced.front());
  }
  return absl::OkStatus();
}

}  // namespace shoal::node
