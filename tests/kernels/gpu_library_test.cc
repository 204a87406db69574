// SPDX-License-Identifier: Apache-2.0
// Loading libshoal_cuda.so: each way in which it cannot be used has its sentence and does no harm;
// the real one is asked what it can do here, which on most machines is nothing.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/cuda/executor.h"
#include "kernels/cuda/gpu/reasons.h"
#include "kernels/cuda/library.h"

namespace shoal::kernels::cuda {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Folder {
 public:
  Folder() : path_(fs::path(::testing::TempDir()) / "shoal_gpu_library_XXXXXX") {
    std::string name = path_;
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path_); }
  fs::path path() const { return path_; }

 private:
  fs::path path_;
};

fs::path write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << content;
  return path;
}

// The library of this build, or the one that is named: a build with sanitizers has none.
std::string real_library() {
  const char* const named = std::getenv("SHOAL_CUDA_MODULE");
  return named != nullptr ? named : SHOAL_BINARY_DIR "/lib/libshoal_cuda.so";
}

bool is_loaded(const std::string& path) {
  void* const handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle != nullptr) ::dlclose(handle);
  return handle != nullptr;
}

TEST(GpuLibrary, AFileThatIsNotThere) {
  const Library library = load_library("/nowhere/libshoal_cuda.so");
  EXPECT_EQ(library.module, nullptr);
  EXPECT_THAT(library.why, AllOf(HasSubstr("cannot load"), HasSubstr("/nowhere/libshoal_cuda.so"),
                                 HasSubstr("No such file")));
  EXPECT_EQ(find_library("/usr/bin", "/nowhere/libshoal_cuda.so").why,
            "SHOAL_CUDA_MODULE names /nowhere/libshoal_cuda.so, which does not exist");
}

TEST(GpuLibrary, AFileThatIsNoLibrary) {
  const Folder folder;
  const fs::path file = write(folder.path() / "libshoal_cuda.so", std::string(4096, 'x'));
  for (const Library& library : {load_library(file), find_library("/usr/bin", file.c_str())}) {
    EXPECT_EQ(library.module, nullptr);
    EXPECT_THAT(library.why, AllOf(StartsWith("cannot load the kernels for GPUs: "),
                                   HasSubstr(file), HasSubstr("ELF")));
  }
}

TEST(GpuLibrary, AnotherLibrary) {
  const std::string file = "libm.so.6";
  void* const libm = ::dlopen(file.c_str(), RTLD_NOW);
  ASSERT_NE(libm, nullptr);
  Dl_info info{};
  ASSERT_NE(::dladdr(::dlsym(libm, "cos"), &info), 0);
  const Library library = load_library(info.dli_fname);
  EXPECT_EQ(library.module, nullptr);
  EXPECT_THAT(library.why, EndsWith("has no kernels for GPUs: it is another library"));
  ::dlclose(libm);
}

TEST(GpuLibrary, AnotherVersion) {
  const std::string file = SHOAL_OTHER_MODULE;
  const Library library = load_library(file);
  EXPECT_EQ(library.module, nullptr);
  EXPECT_EQ(library.why, file + " is of another version of Shoal (its table is number " +
                             std::to_string(kModuleAbi + 7) + ", this program's " +
                             std::to_string(kModuleAbi) + "): install both from one build");
  EXPECT_FALSE(is_loaded(file)) << "what is no use is let go";
}

TEST(GpuLibrary, IsSoughtBesideTheProgramAndInLib) {
  const Folder folder;
  const fs::path bin = folder.path() / "bin";
  EXPECT_THAT(find_library(bin, nullptr).why,
              StartsWith("this installation has no kernels for GPUs: no libshoal_cuda.so"));
  EXPECT_EQ(find_library(bin, "").why, find_library(bin, nullptr).why);

  const fs::path in_lib = write(folder.path() / "lib" / "libshoal_cuda.so", "in lib");
  EXPECT_THAT(find_library(bin, nullptr).why, HasSubstr(in_lib));
  const fs::path beside = write(bin / "libshoal_cuda.so", "beside");
  EXPECT_THAT(find_library(bin, nullptr).why, HasSubstr(beside)) << "it comes first";
  const fs::path asked = write(folder.path() / "asked", "asked");
  EXPECT_THAT(find_library(bin, asked.c_str()).why, HasSubstr(asked)) << "and that before all";
}

// The library itself, without a driver: it loads, says so, opens nothing, and goes without a trace.
// Again and again, since a node may ask at every start.
TEST(GpuLibrary, TheRealOneSaysWhyThereIsNoGpu) {
  const std::string file = real_library();
  if (!fs::exists(file)) GTEST_SKIP() << file << " was not built: no nvcc, or SHOAL_CUDA=OFF";
  for (int i = 0; i < 3; ++i) {
    Library library = load_library(file);
    ASSERT_NE(library.module, nullptr) << library.why;
    EXPECT_EQ(library.module->abi, kModuleAbi);
    Reason reason{};
    const int count = library.module->device_count(&reason);
    if (count > 0) GTEST_SKIP() << "this machine has a GPU";
    EXPECT_STRNE(reason.text, "");
    for (const int index : {0, 1, -1}) {
      const CudaExecutor::Opened opened = CudaExecutor::open(*library.module, index);
      EXPECT_EQ(opened.executor, nullptr);
      EXPECT_EQ(opened.why, reason.text);
    }
    EXPECT_EQ(find_library("/usr/bin", file.c_str()).why, reason.text);
    if (count < 0 && !fs::exists("/proc/driver/nvidia/version")) {
      EXPECT_STREQ(reason.text, "no NVIDIA driver on this machine");
    }
    library = {};
    EXPECT_FALSE(is_loaded(file));
  }
}

TEST(GpuReasons, TheNumberOfADriver) {
  EXPECT_EQ(driver_number("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 "
                          "01:44:30 UTC 2024\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)"),
            "550.54.14");
  EXPECT_EQ(driver_number("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  "
                          "Release Build  (dvs-builder@U22)"),
            "580.65.06");
  EXPECT_EQ(driver_number(""), "");
  EXPECT_EQ(driver_number("gcc 12.2.0"), "");
}

TEST(GpuReasons, EachHasItsSentence) {
  EXPECT_EQ(why_no_driver({0, 13000, ""}), "no NVIDIA driver on this machine");
  EXPECT_THAT(why_no_driver({0, 13000, "580.65.06"}),
              AllOf(HasSubstr("580.65.06"), HasSubstr("libcuda.so.1"), HasSubstr("--gpus all")));
  EXPECT_EQ(
      why_no_driver({12040, 13000, "550.54.14"}),
      "the NVIDIA driver 550.54.14 is too old: it knows CUDA 12.4, and CUDA 13.0 needs driver "
      "580 or newer");
  EXPECT_EQ(why_no_driver({12090, 13010, ""}),
            "the NVIDIA driver is too old: it knows CUDA 12.9, and CUDA 13.1 needs driver 580 or "
            "newer");
  for (const int driver : {13000, 13020, 14000}) {
    EXPECT_EQ(why_no_driver({driver, 13010, "590.1"}), "") << driver;
  }
  EXPECT_EQ(why_not_that_gpu(3, 1), "there is no GPU 3: this machine has one, number 0");
  EXPECT_EQ(why_not_that_gpu(4, 4), "there is no GPU 4: this machine has 4, numbers 0 to 3");
  EXPECT_EQ(
      why_not_this_card("GPU 0 (Tesla T4)", 7, 5),
      "GPU 0 (Tesla T4) is too old: it has compute capability 7.5, and 8.0 is needed (Ampere, "
      "RTX 30, or newer)");
  EXPECT_EQ(why_not_this_card("GPU 0 (NVIDIA L4)", 8, 9), "");
  EXPECT_EQ(why_no_memory("GPU 1 (A)", std::uint64_t{50} << 20, std::uint64_t{96} << 20),
            "GPU 1 (A) has too little free memory: 50 MiB, and 96 MiB are needed before any block "
            "is loaded");
  EXPECT_THAT(why_no_gpus(), HasSubstr("CUDA_VISIBLE_DEVICES"));
}

}  // namespace
}  // namespace shoal::kernels::cuda
