// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace shoal::kernels::cuda {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFileName = "libshoal_cuda.so";
constexpr const char* kVariable = "SHOAL_CUDA_MODULE";

Library none(const std::string& why) { return {nullptr, why, nullptr}; }

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Library useful(Library library) {
  if (library.module == nullptr) return library;
  Reason reason{};
  if (library.module->device_count(&reason) > 0) return library;
  return none(reason.text);
}

}  // namespace

Library load_library(const std::string& path) {
  std::error_code ignored;
  const std::string file = fs::absolute(path, ignored);  // a bare name would be sought elsewhere
  void* const handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const error = ::dlerror();  // it names the file
    return none(std::string("cannot load the kernels for GPUs: ") +
                (error == nullptr ? file.c_str() : error));
  }
  Library library{nullptr, {}, {handle, [](void* loaded) { ::dlclose(loaded); }}};
  const auto entry = reinterpret_cast<ModuleEntry>(::dlsym(handle, kModuleSymbol));
  if (entry == nullptr) return none(file + " has no kernels for GPUs: it is another library");
  const Module* const module = entry();
  if (module->abi != kModuleAbi) {
    return none(file + " is of another version of Shoal (its table is number " +
                std::to_string(module->abi) + ", this program's " + std::to_string(kModuleAbi) +
                "): install both from one build");
  }
  library.module = module;
  return library;
}

Library find_library(const std::string& program_folder, const char* asked) {
  if (asked != nullptr && *asked != '\0') {
    if (!is_there(asked)) {
      return none(std::string(kVariable) + " names " + asked + ", which does not exist");
    }
    return useful(load_library(asked));
  }
  const fs::path folder(program_folder);
  for (const fs::path& place : {folder / kFileName, folder.parent_path() / "lib" / kFileName}) {
    if (is_there(place)) return useful(load_library(place));
  }
  return none(std::string("this installation has no kernels for GPUs: no ") + kFileName +
              " beside the program or in ../lib");
}

const Library& own_library() {
  static const Library& library = *new Library([] {
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    return find_library(program.parent_path(), std::getenv(kVariable));
  }());
  return library;
}

}  // namespace shoal::kernels::cuda
