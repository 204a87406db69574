// SPDX-License-Identifier: Apache-2.0
// --model of a node as a folder: one that is there, or, of a model that is named as on a Hugging
// Face hub, one that says what the whole is, and later one with the span that was chosen. The
// caller waits.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "proto/types.h"

namespace shoal::node {

// A folder that holds these blocks, and these tensors of the model's ends.
using FetchSpan =
    std::function<absl::StatusOr<std::string>(proto::Span, const std::vector<std::string>& ends)>;

struct NodeModel {
  std::string folder;
  std::string name;      // for people; empty: the folder's
  FetchSpan fetch_span;  // absent: all that there is lies in the folder
};

// Neither a folder nor a name: an error, without asking anybody.
absl::Status check_model_option(const std::string& model);

// For people: that the hub will be asked for it, since no such folder is there; empty: it will not.
std::string note_of_model_option(const std::string& model);

// `stop` must outlive it.
absl::StatusOr<NodeModel> find_node_model(const std::string& model, const base::StopToken& stop);

}  // namespace shoal::node
