// SPDX-License-Identifier: Apache-2.0
#include "client/cli/model_name.h"

#include <fmt/format.h>

#include <string>

#include "cli/byte_progress.h"
#include "dht/served_models.h"
#include "model/manifest_file.h"
#include "net/channel_pool.h"
#include "net/manifest_call.h"

namespace shoal::client {

model::FileWork told_on(cli::ProgressLine& line, const base::StopToken& interrupt) {
  return told_on(line, interrupt, cli::kReadsFiles);
}

model::FileWork told_on(cli::ProgressLine& line, const base::StopToken& interrupt,
                        const std::string& what) {
  model::FileWork work;
  work.progress = cli::byte_progress(
      line, what, [&line](const std::string& text) { line.note("shoal: " + text); });
  work.stop = &interrupt;
  return work;
}

absl::Status find_manifest(NamedModel& model, SwarmConnection& swarm,
                           const base::StopToken& interrupt, cli::ProgressLine& line) {
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
