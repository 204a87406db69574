// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/open_devices.h"

#include <cstdio>
#include <utility>

#include "kernels/cuda/executor.h"

namespace shoal::kernels::cuda {
namespace {

std::string described(int index, const DeviceFacts& facts) {
  char text[400];
  std::snprintf(text, sizeof(text), "GPU %d (%s, %.1f GiB, %.1f free)", index, facts.name,
                static_cast<double>(facts.total_bytes) / (1 << 30),
                static_cast<double>(facts.free_bytes) / (1 << 30));
  return text;
}

struct OpenedGpu {
  std::unique_ptr<CudaExecutor> executor;
  std::string line;  // what it is, or why not
};

OpenedGpu open_gpu(const Module& module, int index) {
  CudaExecutor::Opened opened = CudaExecutor::open(module, index);
  if (opened.executor == nullptr) return {nullptr, opened.why};
  std::string line = described(index, opened.executor->facts());
  return {std::move(opened.executor), std::move(line)};
}

// Where none works: why the first does not.
OpenedGpu open_first(const Library& library) {
  if (library.module == nullptr) return {nullptr, library.why};
  Reason reason{};
  const int count = library.module->device_count(&reason);
  std::string why = reason.text;
  for (int i = 0; i < count; ++i) {
    OpenedGpu opened = open_gpu(*library.module, i);
    if (opened.executor != nullptr) return opened;
    if (i == 0) why = opened.line;
  }
  return {nullptr, why};
}

OpenedDevices use_cpu(const std::string& because) { return {false, {}, "using the CPU" + because}; }

OpenedDevices use_gpu(OpenedGpu gpu) {
  OpenedDevices devices;
  devices.line = "using " + gpu.line;
  devices.gpus.push_back(std::move(gpu.executor));
  return devices;
}

OpenedDevices refuse(const DeviceChoice& choice, const std::string& why) {
  return {true, {}, "--device " + text_of(choice) + ": " + why};
}

OpenedDevices use_these(const DeviceChoice& choice, const Library& library) {
  if (library.module == nullptr) return refuse(choice, library.why);
  OpenedDevices devices;
  for (const int index : choice.gpus) {
    OpenedGpu opened = open_gpu(*library.module, index);
    if (opened.executor == nullptr) return refuse(choice, opened.line);
    devices.line += (devices.line.empty() ? "using " : ", and ") + opened.line;
    devices.gpus.push_back(std::move(opened.executor));
  }
  return devices;
}

}  // namespace

OpenedDevices open_devices(const DeviceChoice& choice, const Library& library) {
  if (choice.kind == DeviceChoice::Kind::kCpu) return use_cpu("");
  if (!choice.gpus.empty()) return use_these(choice, library);
  OpenedGpu first = open_first(library);
  if (first.executor != nullptr) return use_gpu(std::move(first));
  if (choice.kind == DeviceChoice::Kind::kGpu) return refuse(choice, first.line);
  return use_cpu(": " + first.line);
}

OpenedDevices open_devices(const DeviceChoice& choice) {
  if (choice.kind == DeviceChoice::Kind::kCpu) return use_cpu("");
  return open_devices(choice, own_library());
}

}  // namespace shoal::kernels::cuda
