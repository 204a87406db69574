// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/executor.h"

#include <bit>
#include <utility>

#include "base/check.h"
#include "kernels/cuda/host_operators.h"

namespace shoal::kernels::cuda {
namespace {

// Steps of at most so many rows are recorded, in a record for each power of two: more rows compute
// for longer than their launches take.
constexpr std::int64_t kMostRecordedRows = 32;

RecordKey record_key(const StepKey& key) {
  return {{key.owner, key.rows, key.positions, key.first_block, key.last_block,
           key.first_leased_block,
           static_cast<std::int64_t>(std::bit_cast<std::intptr_t>(key.pages)), key.kv_dtype}};
}

}  // namespace

CudaExecutor::Opened CudaExecutor::open(const Module& module, int index) {
  Reason reason{};
  Context* const context = module.open(index, &reason);
  if (context == nullptr) return {nullptr, reason.text};
  return {std::unique_ptr<CudaExecutor>(new CudaExecutor(module, context)), {}};
}

CudaExecutor::~CudaExecutor() { module_.close(context_); }

const Operators& CudaExecutor::operators() const {
  static constexpr Operators kTable = {.linear = &host::linear,
                                       .project = &host::project,
                                       .gate_up = &host::gate_up,
                                       .pack_linear = &host::pack_linear,
                                       .pack_quantized = &host::pack_quantized,
                                       .rms_norm = &host::rms_norm,
                                       .rotate_append = &host::rotate_append,
                                       .attention = &host::attention,
                                       .silu_mul = &host::silu_mul,
                                       .embedding = &host::embedding,
                                       .finite_rows = &host::finite_rows};
  return kTable;
}

std::optional<Buffer> CudaExecutor::allocate(std::size_t bytes) {
  void* const data = module_.allocate(context_, bytes);
  if (data == nullptr) return std::nullopt;
  return Buffer(data, bytes, Device::kCuda, module_.release);
}

void CudaExecutor::discard(void*, void*) {}

void CudaExecutor::upload(void* device, const void* host, std::size_t bytes) {
  if (bytes > 0) module_.upload(context_, device, host, bytes);
}
void CudaExecutor::download(void* host, const void* device, std::size_t bytes) {
  if (bytes > 0) module_.download(context_, host, device, bytes);
}
void CudaExecutor::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) module_.copy(context_, to, from, bytes);
}
void CudaExecutor::synchronize() { module_.synchronize(context_); }
static_assert(kMarks == Executor::kMostMarks);
Executor::Mark CudaExecutor::mark() { return module_.mark(context_); }
bool CudaExecutor::reached(Mark mark) { return module_.reached(context_, mark); }
void CudaExecutor::wait(Mark mark) { module_.wait(context_, mark); }

MmaKind CudaExecutor::mma() const {
  constexpr int kHopper = 9;  // compute capability
  return facts().major >= kHopper ? MmaKind::kMma9 : MmaKind::kMma8;
}

std::int64_t CudaExecutor::padded_rows(std::int64_t rows) const {
  if (rows > kMostRecordedRows) return rows;
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(rows)));
}

void CudaExecutor::run_step(const StepKey& key, base::FunctionRef<void()> body) {
  if (key.rows > kMostRecordedRows) return body();
  const RecordKey record = record_key(key);
  switch (module_.begin_record(context_, &record)) {
    case Record::kNotNow:
      return body();
    case Record::kRecording:
      body();
      if (!module_.end_record(context_)) return body();
      break;
    case Record::kKnown:
      break;
  }
  module_.repeat(context_, &record);
}

std::optional<DeviceMemory> CudaExecutor::memory() const {
  const DeviceFacts found = facts();
  return DeviceMemory{found.name, found.total_bytes, found.free_bytes, found.id};
}

std::string CudaExecutor::failure() const { return module_.failure(context_); }

DeviceFacts CudaExecutor::facts() const {
  DeviceFacts facts{};
  CHECK(module_.facts(context_, &facts)) << "a device that is open";
  return facts;
}

}  // namespace shoal::kernels::cuda
