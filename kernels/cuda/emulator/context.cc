// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/context.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>

#include "base/check.h"
#include "kernels/cuda/operators.h"

namespace shoal::kernels::cuda::emulator {
namespace {

constexpr std::size_t kAlignment = 256;

// Each allocation its own, so that the address sanitizer sees a step out of it.
void* allocate_aligned(std::size_t bytes) {
  void* data = nullptr;
  if (::posix_memalign(&data, kAlignment, std::max<std::size_t>(bytes, 1)) != 0) return nullptr;
  return data;
}

struct Held {
  EmulatedContext* context;  // null: it is closed
  std::size_t bytes;
};

std::mutex mutex;
DeviceOptions next_options;  // guarded by it
std::map<void*, Held> held;  // likewise: what was allocated and not yet released

std::uint64_t free_bytes(EmulatedContext& context) {
  const std::lock_guard lock(mutex);
  std::uint64_t used = 0;
  for (const auto& [data, memory] : held) used += memory.context == &context ? memory.bytes : 0;
  return context.options().memory_bytes - used;
}

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
  std::snprintf(facts->id, sizeof(facts->id), "%p", static_cast<void*>(context));
  facts->major = emulated(*context).options().machine.mma_rule == MmaRule::kHopper ? 9 : 8;
  facts->multiprocessors = context->multiprocessors;
  facts->total_bytes = emulated(*context).options().memory_bytes;
  facts->free_bytes = free_bytes(emulated(*context));
  return true;
}

void upload(Context* context, void* device, const void* host, std::size_t bytes) {
  const auto* const from = static_cast<const char*>(host);
  CHECK(!emulated(*context).records()) << "a step that is recorded uploads nothing";
  emulated(*context).queue([device, content = std::vector<char>(from, from + bytes)] {
    std::copy(content.begin(), content.end(), static_cast<char*>(device));
  });
}

// Within the device.
void copy(Context* context, void* to, const void* from, std::size_t bytes) {
  emulated(*context).queue([to, from, bytes] {
    if (bytes > 0) std::memcpy(to, from, bytes);
  });
}

void download(Context* context, void* host, const void* device, std::size_t bytes) {
  CHECK(!emulated(*context).records()) << "a step that is recorded downloads nothing";
  copy(context, host, device, bytes);
}

void* allocate(Context* context, std::size_t bytes) {
  if (bytes > free_bytes(emulated(*context))) return nullptr;
  void* const data = allocate_aligned(bytes);
  if (data == nullptr) return nullptr;
  std::memset(data, 0, bytes);
  const std::lock_guard lock(mutex);
  held[data] = {&emulated(*context), bytes};
  return data;
}

// Waits for the device, as cudaFree does: work that is queued may want it.
void release(void* data, std::size_t bytes) {
  Held memory{};
  {
    const std::lock_guard lock(mutex);
    const auto found = held.find(data);
    CHECK(found != held.end() && found->second.bytes == bytes)
        << "memory that no emulated GPU gave";
    memory = found->second;
    held.erase(found);
  }
  if (memory.context != nullptr) memory.context->finish();
  std::free(data);
}

void close(Context* context) {
  emulated(*context).finish();
  {
    const std::lock_guard lock(mutex);
    for (auto& [data, memory] : held) {
      if (memory.context == context) memory.context = nullptr;
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
  module.download = &download;
  module.copy = &copy;
  module.synchronize = [](Context* context) { emulated(*context).finish(); };
  module.mark = [](Context* context) { return emulated(*context).mark(); };
  module.reached = [](Context* context, std::uint64_t mark) {
    return emulated(*context).reached(mark);
  };
  module.wait = [](Context* context, std::uint64_t mark) { emulated(*context).wait(mark); };
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
  most_shared = kMostShared;
  quantized = {allocate_aligned(options.quantized_bytes), options.quantized_bytes};
  partial = {allocate_aligned(kPartialScratch), kPartialScratch};
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
    ++queued_;
  } else {
    work();
  }
}

void EmulatedContext::do_one() {
  queue_.front()();
  queue_.pop_front();
  ++done_;
}

bool EmulatedContext::reached(std::uint64_t mark) {
  if (done_ < mark) do_one();
  return done_ >= mark;
}

void EmulatedContext::wait(std::uint64_t mark) {
  CHECK(recording_ == nullptr) << "nobody may wait while a step is recorded";
  while (done_ < mark) do_one();
}

void EmulatedContext::finish() { wait(queued_); }

EmulatedContext::Recording* EmulatedContext::find(const RecordKey& key) {
  const auto found = std::find_if(recordings_.begin(), recordings_.end(), [&](const Recording& r) {
    return std::equal(std::begin(r.key.parts), std::end(r.key.parts), std::begin(key.parts));
  });
  return found == recordings_.end() ? nullptr : &*found;
}

Record EmulatedContext::begin_record(const RecordKey& key) {
  CHECK(recording_ == nullptr) << "a record within a record";
  if (find(key) != nullptr) return Record::kKnown;
  if (recordings_.size() == kMostRecordings) recordings_.pop_front();
  recordings_.push_back({key, {}});
  recording_ = &recordings_.back().work;
  return Record::kRecording;
}

void EmulatedContext::end_record() { recording_ = nullptr; }

void EmulatedContext::repeat(const RecordKey& key) {
  const Recording* const recording = find(key);
  CHECK(recording != nullptr) << "a step that nobody recorded, or that is forgotten";
  for (const Work& work : recording->work) queue(work);
}

}  // namespace shoal::kernels::cuda::emulator
