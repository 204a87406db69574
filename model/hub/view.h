// SPDX-License-Identifier: Apache-2.0
// A model folder made of what the cache has, for one purpose: links to whole files and, under names
// of our own, files in parts. In models--ORG--NAME/shoal/COMMIT/PURPOSE. Which files and tensors a
// purpose needs is pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/byte_ranges.h"
#include "model/hub/cache.h"
#include "model/hub/listing.h"
#include "model/wanted.h"
#include "model/weight_files.h"

namespace shoal::model::hub {

// What somebody is going to do with a model.
struct Purpose {
  std::string label;   // the folder's name: "ends", "blocks-2-4", "whole", "headers"
  bool whole = false;  // all weights
  Wanted wanted = {};  // else these tensors; none at all: only what is said of them
};
Purpose whole_model();
Purpose model_ends();                                        // a client's
Purpose model_blocks(std::int64_t begin, std::int64_t end);  // a node's
Purpose model_headers();                                     // to plan with

// What a folder of a model may hold beside its weights, as far as anybody here reads it; of those
// that may have any name, the ones of the listing.
std::vector<std::string> text_files(const Listing& listing);

// The bytes of these tensors, and the header before them.
ByteRanges ranges_of(const WeightFile& file, const Wanted& wanted);
// A file of which so much is wanted is fetched as a whole, and can be held against its hash.
bool is_worth_all(const ByteRanges& wanted, std::uint64_t size);

class View {
 public:
  View(const Cache& cache, const std::string& repo, const std::string& commit,
       const std::string& label);

  const std::string& folder() const { return folder_; }
  std::string part_path(const std::string& file) const;
  // Made once, and nothing of it has gone since.
  bool is_complete() const;
  absl::Status begin() const;                       // makes the folder
  absl::Status link(const RemoteFile& file) const;  // to its blob; parts of it go
  // Of another view of the same commit.
  absl::Status link_manifest(const std::string& label) const;
  absl::Status complete() const;

 private:
  const std::string folder_;
};

}  // namespace shoal::model::hub
