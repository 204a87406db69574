// SPDX-License-Identifier: Apache-2.0
// The model folder as a node needs it: configuration, mapped weights, name and manifest. The folder
// may hold parts of the model. One thread until the device has it; immutable from then on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "kernels/kv_dtype.h"
#include "model/block_key.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/end_tensors.h"
#include "model/folder_manifest.h"
#include "model/memory_needs.h"
#include "model/weight_choice.h"
#include "proto/offer.h"

namespace shoal::node {

// In which formats a node keeps what it computes with.
struct KeptAs {
  kernels::KvDType kv = kernels::KvDType::kF32;
  model::WeightChoice weights = model::WeightChoice::kStored;
  kernels::MmaKind mma = kernels::MmaKind::kNone;  // of the device, for WeightChoice::kMma
};

struct LoadedModel {
  std::string name;
  model::ModelConfig config;
  model::WeightFiles files;
  model::Checkpoint checkpoint;   // of all files that are there; after keep(), of the span's
  std::vector<proto::Span> held;  // runs of blocks whose tensors are all there; at least one
  // Of the whole model. Null and without meaning where only parts are here and nothing says what
  // the whole is: see adopt().
  std::shared_ptr<const std::string> manifest;
  proto::Digest digest;
  KeptAs kept;
  model::MemoryNeeds needs;
  std::vector<std::string> warnings;  // one line each: where the folder's files disagree
  proto::Numerics numerics;
  model::FileHashes hashes;      // of the files, as far as adopt() has read them
  model::FileContents contents;  // of the files, where a manifest is known

  // All but the manifest: reads headers only. `name` as in open(). `to_come`: what is not here of
  // the model is fetched before it is used, so all of it is held; see take_folder().
  static absl::StatusOr<LoadedModel> read(const std::string& directory, std::string name,
                                          const KeptAs& kept, bool to_come = false);
  // `name` may be empty: then the folder's. Reads the files through once, if their hashes are not
  // known yet.
  static absl::StatusOr<LoadedModel> open(const std::string& directory, std::string name,
                                          const KeptAs& kept = {}, const model::FileWork& work = {},
                                          bool to_come = false);
  // Before keep(): what it needs, and what is said of it, when it is kept in these formats.
  void keep_as(const KeptAs& formats);
  model::MemoryNeeds needs_as(const KeptAs& formats) const;
  // What a stranger says that this model is; FAILED_PRECONDITION when the files say otherwise.
  absl::Status adopt(const proto::Digest& told, const std::string& bytes,
                     const model::FileWork& work);
  // Whether these blocks are here; says which file is missing.
  absl::Status check_held(proto::Span span) const;
  // Of these ends of the model the tensors that are not here.
  std::vector<std::string> missing_of(const model::EndParts& parts) const;
  // Lets go of the files that have nothing of the span, nor of these ends.
  absl::Status keep(proto::Span span, const model::EndParts& ends);
  // The same of what has come into another folder of the same model.
  absl::Status take_folder(const std::string& directory, proto::Span span,
                           const model::EndParts& ends, const model::FileWork& work);
};

}  // namespace shoal::node
