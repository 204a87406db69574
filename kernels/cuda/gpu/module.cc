// SPDX-License-Identifier: Apache-2.0
// What libshoal_cuda.so exports: the table of module.h over GpuContext.
#include "kernels/cuda/module.h"

#include "kernels/cuda/gpu/context.h"
#include "kernels/cuda/operators.h"

namespace shoal::kernels::cuda {
namespace {

// For what a step must not do while it is recorded: it would be done once, or never.
bool may(GpuContext& context, const char* what) {
  if (!context.use()) return false;
  if (!context.records.recording()) return true;
  context.failure.note(what, "a step is being recorded");
  return false;
}

void upload(Context* context, void* device, const void* host, std::size_t bytes) {
  if (may(gpu(*context), "an upload")) gpu(*context).ring.upload(device, host, bytes);
}

void download(Context* context, void* host, const void* device, std::size_t bytes) {
  if (may(gpu(*context), "a download")) gpu(*context).ring.download(host, device, bytes);
}

void copy(Context* context, void* to, const void* from, std::size_t bytes) {
  GpuContext& device = gpu(*context);
  if (!device.use()) return;
  device.failure.check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, device.stream),
                       "cudaMemcpyAsync within the device");
}

void synchronize(Context* context) {
  if (may(gpu(*context), "waiting")) gpu(*context).ring.synchronize();
}

std::uint64_t mark(Context* context) {
  return may(gpu(*context), "a mark") ? gpu(*context).ring.mark() : 0;
}

// After a failure nothing is left to wait for.
bool reached(Context* context, std::uint64_t mark) {
  return !may(gpu(*context), "waiting") || gpu(*context).ring.reached(mark);
}

void wait(Context* context, std::uint64_t mark) {
  if (may(gpu(*context), "waiting")) gpu(*context).ring.wait(mark);
}

Record begin_record(Context* context, const RecordKey* key) {
  return gpu(*context).use() ? gpu(*context).records.begin(*key) : Record::kNotNow;
}

void repeat(Context* context, const RecordKey* key) {
  if (gpu(*context).use()) gpu(*context).records.repeat(*key);
}

Module make_module() {
  Module module{};
  module.abi = kModuleAbi;
  module.device_count = &count_gpus;
  module.open = [](int index, Reason* reason) -> Context* {
    return GpuContext::open(index, reason).release();
  };
  module.close = [](Context* context) { delete &gpu(*context); };
  module.facts = [](Context* context, DeviceFacts* facts) { return gpu(*context).facts(facts); };
  module.failure = [](const Context* context) { return gpu(*context).failure.text(); };
  module.allocate = [](Context* context, std::size_t bytes) {
    return gpu(*context).allocate(bytes);
  };
  module.release = [](void* data, std::size_t) { GpuContext::release(data); };
  module.upload = &upload;
  module.download = &download;
  module.copy = &copy;
  module.synchronize = &synchronize;
  module.mark = &mark;
  module.reached = &reached;
  module.wait = &wait;
  module.begin_record = &begin_record;
  module.end_record = [](Context* context) { return gpu(*context).records.end(); };
  module.repeat = &repeat;
  fill_operators(module);
  return module;
}

}  // namespace
}  // namespace shoal::kernels::cuda

extern "C" __attribute__((visibility("default"))) const shoal::kernels::cuda::Module*
shoal_cuda_module() {
  static const shoal::kernels::cuda::Module module = shoal::kernels::cuda::make_module();
  return &module;
}
