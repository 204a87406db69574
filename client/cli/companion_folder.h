// SPDX-License-Identifier: Apache-2.0
// A model folder made of the small files that nodes gave: in the user's cache, where the next start
// finds them, else a private temporary one, which goes with the object. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/companion.h"
#include "proto/types.h"

namespace shoal::client {

class CompanionFolder {
 public:
  using Fetch =
      std::function<absl::StatusOr<std::vector<std::string>>(const proto::CompanionList&)>;
  using Check = std::function<absl::Status(const std::string& folder)>;

  // A folder with exactly these files, each as its hash says. What is kept of them is held against
  // the hashes again; else they are fetched, and only a folder that passes the check, which holds
  // them against the model's digest, is kept. A cache that cannot be written is no error.
  static absl::StatusOr<std::unique_ptr<CompanionFolder>> open(const proto::Digest& model,
                                                               const proto::CompanionList& files,
                                                               const Fetch& fetch,
                                                               const Check& check);
  ~CompanionFolder();  // removes a temporary folder
  CompanionFolder(const CompanionFolder&) = delete;
  CompanionFolder& operator=(const CompanionFolder&) = delete;

  const std::string& path() const { return path_; }
  bool is_temporary() const { return temporary_; }

 private:
  CompanionFolder(std::string path, bool temporary)
      : path_(std::move(path)), temporary_(temporary) {}

  const std::string path_;
  const bool temporary_;
};

}  // namespace shoal::client
