// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/context.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <mutex>
#include <utility>

#include "base/check.h"
#include "kernels/cuda/operators.h"

namespace shoal::kernels::cuda::emulator {
namespace {

constexpr std::size_t kAlignment = 256;

// Each allocation its own, so that the address sanitizer sees a step out of it.
void* allocate_zeros(std::size_t bytes) {
  void* data = nullptr;
  const std::size_t some = std::max<std::size_t>(bytes, 1);
  if (::posix_memalign(&data, kAlignment, some) != 0) return nullptr;
  std::memset(data, 0, some);
  return data;
}

std::mutex mutex;
DeviceOptions next_options;                 // guarded by it
std::map<void*, EmulatedContext*> holders;  // likewise: of memory that work may still want

Context* open(int index, Reason* reason) {
  if (index != 0) {
    std::snprintf(reason->text, sizeof(reason->text), "there is one emulated GPU, number 0");
    return nullptr;
  }
  const std::lock_guard lock(mutex);
  return new EmulatedContext(next_options);
}

bool facts(Context* context, DeviceFacts* facts) {
  *facts = {};
  std::snprintf(facts->name, sizeof(facts->name), "emulated GPU");
  facts->major = 8;
  facts->multiprocessors = context->multiprocessors;
  facts->total_bytes = facts->free_bytes = emulated(*context).options().memory_bytes;
  return true;
}

void upload(Context* context, void* device, const void* host, std::size_t bytes) {
  const auto* const from = static_cast<const char*>(host);
  emulated(*context).queue([device, content = std::vector<char>(from, from + bytes)] {
    std::copy(content.begin(), content.end(), static_cast<char*>(device));
  });
}

// Within the device, or from it.
void copy(Context* context, void* to, const void* from, std::size_t bytes) {
  emulated(*context).queue([to, from, bytes] {
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
}

void* allocate(Context* context, std::size_t bytes) {
  if (bytes > emulated(*context).options().memory_bytes) return nullptr;
  void* const data = allocate_zeros(bytes);
  const std::lock_guard lock(mutex);
  if (data != nullptr) holders[data] = &emulated(*context);
  return data;
}

// Waits for the device, as cudaFree does.
void release(void* data, std::size_t) {
  EmulatedContext* holder = nullptr;
  {
    const std::lock_guard lock(mutex);
    const auto found = holders.find(data);
    CHECK(found != holders.end()) << "memory that no emulated GPU gave";
    holder = std::exchange(found->second, nullptr);
    holders.erase(found);
  }
  if (holder != nullptr) holder->finish();
  std::free(data);
}

void close(Context* context) {
  {
    const std::lock_guard lock(mutex);
    for (auto& [data, holder] : holders) {
      if (holder == context) holder = nullptr;
    }
  }
  delete &emulated(*context);
}

Module make_module() {
  Module module{};
  module.abi = kModuleAbi;
  module.device_count = [](Reason*) { return 1; };
  module.open = &open;
  module.close = &close;
  module.facts = &facts;
  module.failure = [](const Context*) { return ""; };
  module.allocate = &allocate;
  module.release = &release;
  module.upload = &upload;
  module.download = &copy;
  module.copy = &copy;
  module.synchronize = [](Context* context) { emulated(*context).finish(); };
  module.begin_record = [](Context* context, const RecordKey* key) {
    return emulated(*context).begin_record(*key);
  };
  module.end_record = [](Context* context) {
    emulated(*context).end_record();
    return true;
  };
  module.repeat = [](Context* context, const RecordKey* key) { emulated(*context).repeat(*key); };
  fill_operators(module);
  return module;
}

}  // namespace

const Module& module(const DeviceOptions& options) {
  static const Module made = make_module();
  const std::lock_guard lock(mutex);
  next_options = options;
  return made;
}

EmulatedContext::EmulatedContext(const DeviceOptions& options)
    : options_(options), machine_(options.machine) {
  quantized = {allocate_zeros(kQuantizedScratch), kQuantizedScratch};
  partial = {allocate_zeros(kPartialScratch), kPartialScratch};
  CHECK(quantized.data != nullptr && partial.data != nullptr) << "no memory for scratch";
  multiprocessors = 4;
}

EmulatedContext::~EmulatedContext() {
  finish();
  std::free(quantized.data);
  std::free(partial.data);
}

void EmulatedContext::queue(Work work) {
  if (recording_ != nullptr) {
    recording_->push_back(std::move(work));
  } else if (options_.late_work) {
    queue_.push_back(std::move(work));
  } else {
    work();
  }
}

void EmulatedContext::finish() {
  CHECK(recording_ == nullptr) << "nobody may wait while a step is recorded";
  for (const Work& work : queue_) work();
  queue_.clear();
}

EmulatedContext::Key EmulatedContext::key_of(const RecordKey& key) {
  return {std::begin(key.parts), std::end(key.parts)};
}

Record EmulatedContext::begin_record(const RecordKey& key) {
  const auto [record, is_new] = records_.try_emplace(key_of(key));
  if (!is_new) return Record::kKnown;
  recording_ = &record->second;
  return Record::kRecording;
}
void EmulatedContext::end_record() { recording_ = nullptr; }
void EmulatedContext::repeat(const RecordKey& key) {
  for (const Work& work : records_.at(key_of(key))) queue(work);
}

}  // namespace shoal::kernels::cuda::emulator
