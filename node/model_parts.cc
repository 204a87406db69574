// SPDX-License-Identifier: Apache-2.0
#include "node/model_parts.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <memory>
#include <string>

#include "cli/byte_progress.h"
#include "dht/served_models.h"
#include "model/manifest_file.h"
#include "net/manifest_call.h"

namespace shoal::node {
namespace {

model::FileWork told_as(const std::string& what, const base::StopToken& stop) {
  const auto line = std::make_shared<cli::ProgressLine>();
  model::FileWork work;
  work.progress = [line, progress = cli::byte_progress(*line, what, [](const std::string& text) {
                           spdlog::info("{}", text);
                         })](std::uint64_t done, std::uint64_t all) { progress(done, all); };
  work.stop = &stop;
  return work;
}

}  // namespace

model::FileWork told_to_people(const base::StopToken& stop) {
  return told_as(cli::kReadsFiles, stop);
}

model::FileWork told_to_people(const base::StopToken& stop, const std::string& what) {
  return told_as(what, stop);
}

model::PackOptions packing_told_to_people(model::BlockCache& cache, model::WeightChoice weights,
                                          const base::StopToken& stop) {
  model::PackOptions pack;
  pack.cache = &cache;
  pack.reading = told_as(fmt::format("reads the {} weights of the cache", name_of(weights)), stop);
  pack.packing = told_as(fmt::format("packs the weights as {}", name_of(weights)), stop);
  return pack;
}

absl::Status unnamed_parts(const LoadedModel& model) {
  return absl::FailedPreconditionError(
      fmt::format("{} holds parts of a model (not {}), and nothing says what the whole is: join a "
                  "swarm that serves it, or put the {} of the whole model beside them",
                  model.files.directory, model.files.missing(), model::kManifestName));
}

absl::Status find_manifest(LoadedModel& model, std::span<const dht::Record> served,
                           net::ChannelPool& channels, const base::StopToken& stop) {
  const model::FileWork work = told_to_people(stop);
  const std::size_t told_before = model.warnings.size();
  absl::Status found = net::find_manifest(
      channels, dht::served_models(served, static_cast<std::uint32_t>(model.config.block_count)),
      [&](const proto::Digest& digest, const std::string& bytes) {
        return model.adopt(digest, bytes, work);
      },
      stop);
  for (std::size_t i = told_before; i < model.warnings.size(); ++i) {
    spdlog::warn("{}", model.warnings[i]);
  }
  if (found.ok() || absl::IsCancelled(found)) return found;
  return absl::FailedPreconditionError(fmt::format(
      "{} holds parts of a model, and nothing says what the whole is: nobody in this swarm serves "
      "a model that they belong to ({}). Put the {} of the whole model beside them, or all files",
      model.files.directory, std::string(found.message().data(), found.message().size()),
      model::kManifestName));
}

}  // namespace shoal::node
