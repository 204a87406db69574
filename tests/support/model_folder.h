// SPDX-License-Identifier: Apache-2.0
// Copies of a model's folder, for tests that change something in them.
#pragma once

#include <string>

namespace shoal::tests {

// All files of the folder `from`, in the new folder `to`. Weights are linked, not copied: remove
// the link before you write another file in its place.
void copy_model(const std::string& from, const std::string& to);

}  // namespace shoal::tests
