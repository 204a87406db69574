// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/context.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "kernels/cuda/gpu/reasons.h"

namespace shoal::kernels::cuda {
namespace {

thread_local int current_gpu = -1;

cudaError_t use_gpu(int index) {
  if (current_gpu == index) return cudaSuccess;
  const cudaError_t error = cudaSetDevice(index);
  if (error == cudaSuccess) current_gpu = index;
  return error;
}

void say(Reason* reason, const std::string& sentence) {
  std::snprintf(reason->text, sizeof(reason->text), "%s", sentence.c_str());
}

std::string failed(const char* call, cudaError_t error) {
  cudaGetLastError();
  return std::string(call) + ": " + cudaGetErrorString(error);
}

std::string installed_driver() {
  std::ifstream file("/proc/driver/nvidia/version");
  return driver_number({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
}

}  // namespace

int count_gpus(Reason* reason) {
  *reason = {};
  int driver = 0;
  cudaDriverGetVersion(&driver);
  const std::string why = why_no_driver({driver, CUDART_VERSION, installed_driver()});
  if (!why.empty()) {
    say(reason, why);
    return -1;
  }
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess && error != cudaErrorNoDevice) {
    say(reason, "the NVIDIA driver does not work: " + failed("cudaGetDeviceCount", error));
    return -1;
  }
  if (error == cudaErrorNoDevice) cudaGetLastError();
  if (error == cudaErrorNoDevice || count == 0) {
    say(reason, why_no_gpus());
    return 0;
  }
  return count;
}

std::unique_ptr<GpuContext> GpuContext::open(int index, Reason* reason) {
  const int count = count_gpus(reason);
  if (count <= 0) return nullptr;
  if (index < 0 || index >= count) {
    say(reason, why_not_that_gpu(index, count));
    return nullptr;
  }
  cudaDeviceProp properties{};
  const cudaError_t error = cudaGetDeviceProperties(&properties, index);
  if (error != cudaSuccess) {
    say(reason, "GPU " + std::to_string(index) +
                    " cannot be used: " + failed("cudaGetDeviceProperties", error));
    return nullptr;
  }
  const std::string name = "GPU " + std::to_string(index) + " (" + properties.name + ")";
  const std::string why = why_not_this_card(name, properties.major, properties.minor);
  if (!why.empty()) {
    say(reason, why);
    return nullptr;
  }
  std::unique_ptr<GpuContext> context(new GpuContext(index));
  context->failure.of(index, properties.name);
  context->multiprocessors = properties.multiProcessorCount;
  context->most_shared = properties.sharedMemPerBlockOptin;
  if (!context->open(reason, name.c_str())) return nullptr;
  return context;
}

bool GpuContext::open(Reason* reason, const char* name) {
  const auto works = [&](const char* call, cudaError_t error) {
    if (error != cudaSuccess) {
      say(reason, std::string(name) + " cannot be used: " + failed(call, error));
    }
    return error == cudaSuccess;
  };
  if (!works("cudaSetDevice", use_gpu(index)) ||
      !works("cudaStreamCreateWithFlags",
             cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)) ||
      !works("its pinned memory", ring.open(stream))) {
    return false;
  }
  records.open(stream);
  for (Scratch* const scratch : {&quantized, &partial}) {
    const std::size_t bytes = scratch == &quantized ? kQuantizedScratch : kPartialScratch;
    scratch->data = allocate(bytes);
    scratch->bytes = bytes;
    if (scratch->data == nullptr && failure.none()) {
      DeviceFacts now{};
      facts(&now);
      say(reason, why_no_memory(name, now.free_bytes, kQuantizedScratch + kPartialScratch));
      return false;
    }
  }
  ring.synchronize();
  if (!failure.none()) say(reason, failure.text());
  return failure.none();
}

// After a failure each of these says so; there is nobody to tell. What a GPU that hangs holds is
// left to the end of the process: giving it back would wait.
GpuContext::~GpuContext() {
  if (failure.hangs()) return;
  if (use_gpu(index) != cudaSuccess) return;
  if (stream != nullptr) cudaStreamSynchronize(stream);
  for (const Scratch& scratch : {quantized, partial}) {
    if (scratch.data != nullptr) cudaFree(scratch.data);
  }
  if (stream != nullptr) cudaStreamDestroy(stream);
  cudaGetLastError();
}

bool GpuContext::use() { return failure.none() && failure.check(use_gpu(index), "cudaSetDevice"); }

bool GpuContext::facts(DeviceFacts* facts) {
  *facts = {};
  if (!use()) return false;
  cudaDeviceProp properties{};
  std::size_t free = 0, total = 0;
  if (!failure.check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties") ||
      !failure.check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo")) {
    return false;
  }
  std::snprintf(facts->name, sizeof(facts->name), "%s", properties.name);
  for (std::size_t i = 0; i < sizeof(properties.uuid.bytes); ++i) {
    std::snprintf(facts->id + 2 * i, 3, "%02x",
                  static_cast<unsigned>(static_cast<unsigned char>(properties.uuid.bytes[i])));
  }
  facts->major = properties.major;
  facts->minor = properties.minor;
  facts->multiprocessors = properties.multiProcessorCount;
  facts->total_bytes = total;
  facts->free_bytes = free;
  return failure.check(cudaDriverGetVersion(&facts->driver), "cudaDriverGetVersion") &&
         failure.check(cudaRuntimeGetVersion(&facts->runtime), "cudaRuntimeGetVersion");
}

void* GpuContext::allocate(std::size_t bytes) {
  if (!use()) return nullptr;
  const std::size_t some = std::max<std::size_t>(bytes, 1);
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, some);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  if (!failure.check(error, "cudaMalloc")) return nullptr;
  if (failure.check(cudaMemsetAsync(data, 0, some, stream), "cudaMemsetAsync")) return data;
  release(data);
  return nullptr;
}

void GpuContext::release(void* data) {
  if (Failure::any_hangs()) return;  // cudaFree waits for all that a GPU has to do
  cudaPointerAttributes attributes{};
  if (cudaPointerGetAttributes(&attributes, data) == cudaSuccess) use_gpu(attributes.device);
  cudaFree(data);  // waits for the GPU
  cudaGetLastError();
}

bool GpuContext::allow_shared(const void* kernel) {
  if (std::find(with_shared_.begin(), with_shared_.end(), kernel) != with_shared_.end()) {
    return true;
  }
  if (!failure.check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                          static_cast<int>(most_shared)),
                     "cudaFuncSetAttribute")) {
    return false;
  }
  with_shared_.push_back(kernel);
  return true;
}

void GpuContext::launched(cudaError_t error, const void* kernel) {
  if (error == cudaSuccess) return;
  const char* name = nullptr;
  if (cudaFuncGetName(&name, kernel) != cudaSuccess) name = nullptr;
  const std::string call = std::string("the launch of ") + (name == nullptr ? "a kernel" : name);
  failure.check(error, call.c_str());
}

}  // namespace shoal::kernels::cuda
