// SPDX-License-Identifier: Apache-2.0
// The identity of this run: a file that no other running node may use at the same time. Owns the
// lock on it, and names the files beside it that are kept with it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "identity/identity.h"

namespace shoal::node {

// $XDG_STATE_HOME/shoal or ~/.local/state/shoal; empty: there is no home.
std::string state_folder();

class IdentityFile {
 public:
  // A named file: an error when it is in use.
  static absl::StatusOr<IdentityFile> open(const std::string& path);
  // NAME.key in the user's state folder ($XDG_STATE_HOME/shoal or ~/.local/state/shoal), or the
  // first of NAME-2.key, NAME-3.key, ... that is not in use here and is not `taken` by a node
  // elsewhere; a fresh identity for this run, with a warning in the log, when there is none.
  static IdentityFile open_default(const std::string& name,
                                   const std::vector<proto::PeerId>& taken = {});

  // A file that a running node on this machine uses, once that one has handed over: it is asked to
  // (SIGUSR1), and waited for. As open() when nobody uses it. CANCELLED when `stop` is stopped.
  static absl::StatusOr<IdentityFile> take_over(const std::string& path,
                                                const base::StopToken& stop);
  // The one that a running node here uses of those of open_default(); as open_default() when none
  // is used; FAILED_PRECONDITION when several are.
  static absl::StatusOr<IdentityFile> take_over_default(const std::string& name,
                                                        const base::StopToken& stop);

  IdentityFile(IdentityFile&& other) noexcept;
  IdentityFile& operator=(IdentityFile&&) noexcept;
  ~IdentityFile();

  const identity::Identity& identity() const { return identity_; }
  const std::string& path() const { return path_; }  // empty: for this run only
  // Where the contacts of this identity are kept: NAME.key has NAME.contacts beside it, and
  // NAME-1a2b3c4d.contacts, by a hash of the names, for the swarm that it joins by these: whoever
  // names others means another one. Empty when the identity is for this run only.
  std::string contacts_path(std::vector<std::string> join_names) const;
  // Where it is kept what this node did since its first day: NAME.account. Empty likewise.
  std::string account_path() const;
  // Another node may use it from now on.
  void release();

 private:
  std::string beside(const std::string& extension) const;
  IdentityFile(const identity::Identity& identity, std::string path, int lock)
      : identity_(identity), path_(std::move(path)), lock_(lock) {}

  identity::Identity identity_;
  std::string path_;
  int lock_;  // descriptor of the locked file, or -1
};

}  // namespace shoal::node
