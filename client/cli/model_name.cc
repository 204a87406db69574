// SPDX-License-Identifier: Apache-2.0
#include "client/cli/model_name.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "dht/served_models.h"
#include "model/manifest_file.h"
#include "net/channel_pool.h"
#include "net/manifest_call.h"

namespace shoal::client {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kWorthLines{2};  // not worth a line that stays
constexpr int kPercentApart = 10;
constexpr const char* kReads = "reads the model's files through, once";

}  // namespace

model::FileWork told_on(ProgressLine& line, const base::StopToken& interrupt) {
  struct Told {
    Clock::time_point begun = Clock::now();
    int percent = 0;
  };
  model::FileWork work;
  work.progress = [&line, told = std::make_shared<Told>()](std::uint64_t done, std::uint64_t all) {
    const auto now = Clock::now();
    if (done == 0) *told = {now, 0};
    if (line.on_terminal()) {
      if (done == all) return line.clear();
      return line.show(kReads, done >> 20, all >> 20, "MiB");
    }
    if (all == 0 || now - told->begun < kWorthLines) return;
    const int percent =
        static_cast<int>(100.0 * static_cast<double>(done) / static_cast<double>(all));
    if (percent < told->percent + kPercentApart && done < all) return;
    told->percent = percent / kPercentApart * kPercentApart;
    line.note(fmt::format("shoal: {}: {} % of {} MiB", kReads, percent, all >> 20));
  };
  work.stop = &interrupt;
  return work;
}

absl::Status find_manifest(NamedModel& model, SwarmConnection& swarm,
                           const base::StopToken& interrupt, ProgressLine& line) {
  const auto records = swarm.find(dht::models_key(swarm.swarm_id()), interrupt);
  if (!records.ok()) return records.status();
  const model::FileWork work = told_on(line, interrupt);
  absl::Status found = net::find_manifest(
      swarm.channels(), dht::served_models(*records, model.block_count()),
      [&](const proto::Digest& digest, const std::string& bytes) {
        return model.adopt(digest, bytes, work);
      },
      interrupt);
  if (interrupt.stopped()) return interrupt.status();
  if (found.ok()) return found;
  return absl::FailedPreconditionError(fmt::format(
      "{} holds parts of a model, and nothing says what the whole is: nobody in this swarm serves "
      "a model that they belong to ({}). Put the {} of the whole model beside them, or all files",
      model.directory, std::string(found.message()), model::kManifestName));
}

}  // namespace shoal::client
