// SPDX-License-Identifier: Apache-2.0
// Joins the swarm by addresses whose hosts, names or networks may not be there yet, as when a whole
// house is switched on at once. Thread rule: main only; it waits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/stop_token.h"
#include "net/directory.h"
#include "proto/endpoint.h"

namespace shoal::node {

class Joiner {
 public:
  // "HOST:PORT" each; `stop` must outlive this.
  Joiner(std::vector<std::string> addresses, const base::StopToken& stop);
  ~Joiner();

  // Until somebody answers, there or among the contacts of the last run, which are asked when
  // nobody did there; or the limit is over: then the last error, one sentence. Names are looked up
  // again for every try, all at once; one that cannot be found holds nobody up. Says in the log
  // what it waits for. `after_failure` is told whom nobody answered at; what it finds wrong ends
  // the joining.
  using AfterFailure = std::function<absl::Status(const std::vector<proto::Endpoint>&)>;
  absl::Status join(net::Directory& swarm, std::optional<std::uint32_t> limit_ms,
                    const AfterFailure& after_failure);
  // One try of names and addresses, without waiting for its end: for a node that has lost everybody
  // since it joined.
  void rejoin(net::Directory& swarm);

  // Nobody answered at these addresses: it was joined by contacts of the last run.
  bool found_former() const { return found_former_; }
  const std::vector<std::string>& addresses() const { return addresses_; }

  // What the names led to so far.
  std::vector<proto::Endpoint> endpoints() const;

 private:
  struct Names;
  // Looks all names up that are not being looked up already.
  void look_up();
  absl::Status wait_for_names(std::uint32_t timeout_ms) const;
  absl::Status not_found() const;

  const std::vector<std::string> addresses_;
  const base::StopToken& stop_;
  bool found_former_ = false;
  const std::shared_ptr<Names> names_;  // shared with look-ups that outlive us
};

}  // namespace shoal::node
