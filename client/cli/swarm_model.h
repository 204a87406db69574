// SPDX-License-Identifier: Apache-2.0
// A client without a model: which of a swarm's models it is to be, and what nodes give of it. One
// thread; the caller waits.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "cli/progress_line.h"
#include "client/cli/companion_folder.h"
#include "client/swarm/swarm_connection.h"
#include "client/swarm/swarm_view.h"
#include "client/text/user_model.h"
#include "model/manifest.h"

namespace shoal::net {
class ChannelPool;
}

namespace shoal::client {

// Whether --model can only be the name of a model of the swarm: no folder, and not ORG/NAME.
bool is_swarm_name(const std::string& model);
// Which of these an empty name means: the only one, or the only one of which every block is served.
// Another name is one that nodes announce, the part of it behind the "/", or the beginning of a
// digest. Pure. UNAVAILABLE: there is none at all; FAILED_PRECONDITION: several, which it lists;
// NOT_FOUND: none of that name.
absl::StatusOr<const SwarmView*> choose_swarm_model(const std::vector<SwarmView>& views,
                                                    const std::string& name);
// "demo" (8 of 8 blocks, 3 nodes, digest 1a2b3c4d)
std::string described(const SwarmView& view);

// What the model is, from nodes of the view that answer; it proves itself by the digest.
absl::StatusOr<model::Manifest> manifest_of(const SwarmView& view, net::ChannelPool& channels,
                                            const base::StopToken& interrupt);

struct SwarmModel {
  std::string name;                        // as nodes announce it
  std::unique_ptr<CompanionFolder> files;  // outlives the model
  std::unique_ptr<UserModel> user_model;   // without ends
};
// The files come from nodes that agree on them, and the configuration is held against the model's
// digest.
absl::StatusOr<SwarmModel> model_of_swarm(const std::string& name, SwarmConnection& swarm,
                                          const base::StopToken& interrupt,
                                          cli::ProgressLine& line);

// For a folder of small files alone, which has no name: the one model of the swarm with this
// configuration.
absl::Status name_by_configuration(UserModel& model, SwarmConnection& swarm,
                                   const base::StopToken& interrupt);

}  // namespace shoal::client
