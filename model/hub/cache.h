// SPDX-License-Identifier: Apache-2.0
// The cache folder of the hub's own tools: models--ORG--NAME/{refs/BRANCH, blobs/ETAG,
// snapshots/COMMIT/FILE -> ../../blobs/ETAG}. What they fetched is used, and they use what is put
// here. Beside those, in models--ORG--NAME/shoal/COMMIT, is what only we read: docs/
// model-folders.md, "Models by name". Reads and writes files; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "model/hub/listing.h"
#include "model/hub/name.h"

namespace shoal::model::hub {

class Cache {
 public:
  explicit Cache(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string folder(const std::string& repo) const;
  std::string snapshot(const std::string& repo, const std::string& commit) const;
  std::string blob(const std::string& repo, const std::string& etag) const;
  std::string lock_file(const std::string& repo, const std::string& etag) const;
  std::string own_folder(const std::string& repo, const std::string& commit) const;

  // The commit that a revision was when somebody looked last; nullopt: nobody has.
  std::optional<std::string> commit_of(const HubName& name) const;
  absl::Status keep_commit(const HubName& name, const std::string& commit) const;

  // Whether all of it is here, by its size. A blob has its name once it was held against it.
  bool has_blob(const std::string& repo, const RemoteFile& file) const;
  // Makes snapshots/COMMIT/PATH lead to its blob.
  absl::Status link(const std::string& repo, const std::string& commit,
                    const RemoteFile& file) const;
  // What a snapshot has, by its links: names, sizes and etags.
  Listing listing_of_snapshot(const std::string& repo, const std::string& commit) const;

 private:
  const std::string root_;
};

// Makes `path` a symbolic link to `target`, in place of another link or file.
absl::Status replace_link(const std::string& target, const std::string& path);
absl::Status make_folders(const std::string& path);

}  // namespace shoal::model::hub
