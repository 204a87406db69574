// SPDX-License-Identifier: Apache-2.0
#include "model/span_layers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "model/block_cache.h"
#include "model/block_key.h"
#include "model/block_weights.h"

namespace shoal::model {
namespace {

struct ToLoad {
  BlockWeights weights;
  std::optional<CachedBlock> cached;
};

// Said between the matrices; the rest of the time the executor works.
class PackProgress {
 public:
  PackProgress(const FileWork& work, std::uint64_t all) : work_(work), all_(all) { tell(0); }

  bool add(std::uint64_t bytes) {
    tell(bytes);
    return work_.stop == nullptr || !work_.stop->stopped();
  }

 private:
  void tell(std::uint64_t bytes) {
    done_ += bytes;
    if (all_ > 0 && work_.progress) work_.progress(std::min(done_, all_), all_);
  }

  const FileWork& work_;
  const std::uint64_t all_;
  std::uint64_t done_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<BlockLayers>> load_span_layers(
    const ModelConfig& config, const Checkpoint& checkpoint, std::int64_t begin, std::int64_t end,
    kernels::Executor& executor, WeightChoice choice, const PackOptions& options) {
  const bool packs = is_portable(choice);
  BlockCache* const cache = packs ? options.cache : nullptr;
  std::vector<ToLoad> blocks;
  for (std::int64_t block = begin; block < end; ++block) {
    absl::StatusOr<BlockWeights> weights = BlockWeights::load(config, checkpoint, block);
    if (!weights.ok()) return weights.status();
    ToLoad& made = blocks.emplace_back(ToLoad{*std::move(weights), std::nullopt});
    if (cache == nullptr) continue;
    const auto key = block_key(config, checkpoint, cache->contents(), block, choice);
    if (key) made.cached = CachedBlock{*key, packed_file_bytes(made.weights, choice)};
  }
  std::vector<std::optional<PackedFile>> found(blocks.size());
  if (cache != nullptr) {
    std::vector<std::optional<CachedBlock>> wanted;
    wanted.reserve(blocks.size());
    for (const ToLoad& block : blocks) wanted.push_back(block.cached);
    auto files = cache->find(wanted, choice, options.reading);
    if (!files.ok()) return files.status();
    found = *std::move(files);
  }
  std::uint64_t to_pack = 0;
  for (std::size_t i = 0; packs && i < blocks.size(); ++i) {
    if (!found[i]) to_pack += stored_matrix_bytes(blocks[i].weights);
  }
  PackProgress progress(options.packing, to_pack);
  std::vector<BlockLayers> layers;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    ToLoad& block = blocks[i];
    if (found[i]) {
      auto placed = BlockLayers::place(executor, block.weights, choice, *std::move(found[i]));
      if (!placed.ok()) return placed.status();
      layers.push_back(*std::move(placed));
      continue;
    }
    auto packed = BlockLayers::pack(executor, block.weights, choice,
                                    [&](std::uint64_t bytes) { return progress.add(bytes); });
    if (!packed.ok()) return packed.status();
    if (packs) {
      // What is kept must be of the bytes that its key says.
      if (absl::Status intact = checkpoint.check(); !intact.ok()) return intact;
      checkpoint.release();  // packed by now
    }
    std::optional<PackedFile> kept;
    if (block.cached) {
      kept = cache->keep(*block.cached, choice, packed->packed(executor).matrices);
    }
    // On the CPU views of the file, which others may share, take the place of what was packed.
    if (kept && executor.device() == kernels::Device::kCpu) {
      packed = BlockLayers::place(executor, block.weights, choice, *std::move(kept));
      if (!packed.ok()) return packed.status();
    }
    layers.push_back(*std::move(packed));
  }
  return layers;
}

}  // namespace shoal::model
