// SPDX-License-Identifier: Apache-2.0
// libshoal_cuda.so, found and loaded while the program runs, so that one program works with and
// without a GPU: nothing of CUDA is linked. Loading it needs no driver. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/module.h"

namespace shoal::kernels::cuda {

struct Library {
  const Module* module = nullptr;
  std::string why;             // where there is no module: a sentence without a full stop
  std::shared_ptr<void> held;  // keeps the module in memory, with all that came from it
};

// The library in this file, if it is one, and of this version.
Library load_library(const std::string& path);

// `asked`, what SHOAL_CUDA_MODULE says, and nothing else; null or empty: the library in the folder
// of the program, or in the folder lib beside that. Without a GPU that the driver knows it is no
// use, and is let go again.
Library find_library(const std::string& program_folder, const char* asked);

// This program's, sought once. Where there is one it stays: memory of a GPU may be given back late.
const Library& own_library();

}  // namespace shoal::kernels::cuda
