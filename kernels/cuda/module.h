// SPDX-License-Identifier: Apache-2.0
// The border between Shoal and what computes on a GPU: a table of functions over plain structs, so
// that one program runs with or without a GPU. Two things offer it: libshoal_cuda.so, which is
// loaded when there is a driver, and the emulator, which runs the very same kernels on the host for
// tests. Nothing here throws. One caller at a time for each context.
//
// All work is queued in the order of the calls. What upload() was given may be changed at once;
// what download() was given is filled when synchronize() returns. Pointers in arguments are the
// device's. After a failure a context does nothing any more: failure() says why.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/arguments.h"

namespace shoal::kernels::cuda {

// Raised with every change of this header or of arguments.h.
inline constexpr std::uint32_t kModuleAbi = 4;

struct Context;  // a device that is open

// That a device keeps: kernels/executor.h.
inline constexpr std::size_t kMarks = 16;

struct DeviceFacts {
  char name[256];
  char id[40];       // of this very one, the same for every process
  int major, minor;  // compute capability
  int multiprocessors;
  std::uint64_t total_bytes, free_bytes;
  int driver, runtime;  // versions: 1000 major + 10 minor
};

// Where a sentence for the user goes; always ended by a zero.
struct Reason {
  char text[512];
};

// Of a step that is repeated: kernels/executor.h.
struct RecordKey {
  std::int64_t parts[8];
};
enum class Record : std::uint8_t { kKnown, kRecording, kNotNow };

struct Module {
  std::uint32_t abi;

  // How many devices there are; a reason with 0, and with -1: no driver, or one that is too old.
  int (*device_count)(Reason* reason);
  // Null and a reason: no driver, driver or card too old, no memory.
  Context* (*open)(int index, Reason* reason);
  void (*close)(Context* context);
  bool (*facts)(Context* context, DeviceFacts* facts);
  // Empty while all is well.
  const char* (*failure)(const Context* context);

  // Aligned to 256 bytes, zeros; null when there is not so much.
  void* (*allocate)(Context* context, std::size_t bytes);
  void (*release)(void* data, std::size_t bytes);
  void (*upload)(Context* context, void* device, const void* host, std::size_t bytes);
  void (*download)(Context* context, void* host, const void* device, std::size_t bytes);
  void (*copy)(Context* context, void* to, const void* from, std::size_t bytes);
  void (*synchronize)(Context* context);
  // kernels/executor.h.
  std::uint64_t (*mark)(Context* context);
  bool (*reached)(Context* context, std::uint64_t mark);
  void (*wait)(Context* context, std::uint64_t mark);

  // Between begin_record, where it says kRecording, and end_record, operators are kept under the
  // key instead of being run; repeat runs what is kept. end_record says whether it is: else the
  // step has to be run in the ordinary way, and kNotNow follows. The records used last are kept.
  Record (*begin_record)(Context* context, const RecordKey* key);
  bool (*end_record)(Context* context);
  void (*repeat)(Context* context, const RecordKey* key);

  // norm: null where there is none.
  void (*multiply)(Context* context, const Multiply* arguments, const InputNorm* norm);
  void (*gate_up)(Context* context, const GateUp* arguments, const InputNorm* norm);
  void (*pack_stored)(Context* context, const PackStored* arguments);
  void (*pack_portable)(Context* context, const PackPortable* arguments);
  void (*pack_mma)(Context* context, const PackMma* arguments);
  void (*rms_norm)(Context* context, const RmsNorm* arguments);
  void (*rotate_append)(Context* context, const RotateAppend* arguments);
  void (*attend)(Context* context, const Attend* arguments);
  void (*silu_mul)(Context* context, const SiluMul* arguments);
  void (*embed)(Context* context, const Embed* arguments);
  void (*finite_rows)(Context* context, const FiniteRows* arguments);
};

// What the library exports.
inline constexpr const char* kModuleSymbol = "shoal_cuda_module";
using ModuleEntry = const Module* (*)();

}  // namespace shoal::kernels::cuda
