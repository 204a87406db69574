// SPDX-License-Identifier: Apache-2.0
// What a file or folder really is when it is not what a model folder should hold: a Git LFS
// pointer, a GGUF file, a pickle, a web page. For error messages only. Pure but for folder_hint,
// which lists a folder.
#pragma once

#include <string>
#include <string_view>

namespace shoal::model {

// A clause that goes on from "PATH is ", with the way out; empty when the bytes look like nothing
// that we know. `head`: at least the first 512 bytes of the file, or all of it.
std::string foreign_kind(std::string_view head);
// The same for a file that is read here; empty also when it cannot be read.
std::string foreign_file(const std::string& path);

// What a folder has in place of weights in safetensors: a clause that begins with "; ", or empty.
std::string folder_hint(const std::string& directory);

}  // namespace shoal::model
