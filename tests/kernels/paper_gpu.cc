// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/paper_gpu.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"

using Work = std::function<void()>;

// The types that the header leaves open.
struct CUstream_st {
  std::deque<Work> queue;
  std::size_t queued = 0, done = 0;
  CUgraph_st* capturing = nullptr;
};
struct CUevent_st {
  cudaStream_t stream = nullptr;
  std::size_t after = 0;  // of the stream's work
  bool asked = false;     // since it was recorded
};
struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace shoal::kernels::cuda::paper {
namespace {

// What is larger is zeros already, and not touched before it is used: tests open many GPUs.
constexpr std::size_t kPoisoned = 1 << 20;

struct State {
  Machine machine;
  int calls = 0, waits = 0, objects = 0, graphs = 0;
  std::size_t launched = 0, taken = 0;
  bool broken = false;
  std::string failed;
  std::map<void*, std::size_t> memory;  // of the device
};
State state;

cudaError_t call(const char* name) {
  ++state.calls;
  if (state.broken) return state.machine.error;
  if (state.calls != state.machine.fail_at) return cudaSuccess;
  state.failed = name;
  state.broken = state.machine.sticky;
  return state.machine.error;
}

void run_until(cudaStream_t stream, std::size_t count) {
  CHECK(!state.machine.hangs) << "somebody waits for a GPU that hangs";
  while (stream->done < count) {
    const Work work = std::move(stream->queue.front());
    stream->queue.pop_front();
    ++stream->done;
    if (!state.broken) work();
  }
}

void queue(cudaStream_t stream, Work work) {
  if (stream->capturing != nullptr) {
    stream->capturing->work.push_back(std::move(work));
    return;
  }
  stream->queue.push_back(std::move(work));
  ++stream->queued;
}

std::vector<cudaStream_t> streams;

}  // namespace

void start(const Machine& machine) {
  CHECK(left() == 0);
  state = {};
  state.machine = machine;
}
void change(const Machine& machine) { state.machine = machine; }
int calls() { return state.calls; }
std::string failed() { return state.failed; }
int waits() { return state.waits; }
int left() { return state.objects + static_cast<int>(state.memory.size()); }
int graphs() { return state.graphs; }
std::size_t launched() { return state.launched; }

cudaError_t launch(cudaStream_t stream, std::function<void()> kernel) {
  const cudaError_t error = call("a kernel");
  if (error == cudaSuccess) queue(stream, std::move(kernel));
  return error;
}

}  // namespace shoal::kernels::cuda::paper

using namespace shoal::kernels::cuda::paper;  // NOLINT: the functions below are of no namespace

#define SHOAL_CALL(name)                                \
  {                                                     \
    const cudaError_t failed_call = call(name);         \
    if (failed_call != cudaSuccess) return failed_call; \
  }

extern "C" {

cudaError_t cudaGetLastError() { return cudaSuccess; }
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorIllegalAddress ? "an illegal memory access was encountered"
                                          : "another error";
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = state.machine.driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  SHOAL_CALL("cudaGetDeviceCount");
  *count = state.machine.gpus;
  return state.machine.gpus == 0 ? cudaErrorNoDevice : cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  SHOAL_CALL("cudaGetDeviceProperties");
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "paper GPU");
  properties->major = state.machine.major;
  properties->minor = state.machine.minor;
  properties->multiProcessorCount = 4;
  properties->sharedMemPerBlockOptin = 99 << 10;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) {
  SHOAL_CALL("cudaSetDevice");
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  SHOAL_CALL("cudaMemGetInfo");
  *total = state.machine.memory;
  *free = state.machine.memory - state.taken;
  return cudaSuccess;
}
cudaError_t cudaMalloc(void** data, std::size_t bytes) {
  SHOAL_CALL("cudaMalloc");
  if (bytes > state.machine.memory - state.taken) return cudaErrorMemoryAllocation;
  *data = std::calloc(bytes, 1);
  std::memset(*data, 0xa5, std::min(bytes, kPoisoned));
  state.memory[*data] = bytes;
  state.taken += bytes;
  return cudaSuccess;
}
// What is given back is given back, whatever the call says.
cudaError_t cudaFree(void* data) {
  for (cudaStream_t stream : streams) run_until(stream, stream->queued);
  state.taken -= state.memory.at(data);
  state.memory.erase(data);
  std::free(data);
  return call("cudaFree");
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void*) {
  SHOAL_CALL("cudaPointerGetAttributes");
  *attributes = {};
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** data, std::size_t bytes, unsigned) {
  SHOAL_CALL("cudaHostAlloc");
  *data = std::malloc(bytes);
  ++state.objects;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* data) {
  std::free(data);
  --state.objects;
  return call("cudaFreeHost");
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  SHOAL_CALL("cudaStreamCreateWithFlags");
  *stream = new CUstream_st;
  streams.push_back(*stream);
  ++state.objects;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  SHOAL_CALL("cudaStreamSynchronize");
  ++state.waits;
  run_until(stream, stream->queued);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  run_until(stream, stream->queued);
  delete stream->capturing;
  std::erase(streams, stream);
  delete stream;
  --state.objects;
  return call("cudaStreamDestroy");
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  SHOAL_CALL("cudaEventCreateWithFlags");
  *event = new CUevent_st;
  ++state.objects;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  SHOAL_CALL("cudaEventRecord");
  *event = {stream, stream->queued, false};
  return cudaSuccess;
}
// Whoever asks again and again asks once: how often depends on the host's speed.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (!event->asked || state.broken) SHOAL_CALL("cudaEventQuery");
  ++state.waits;
  const bool again = std::exchange(event->asked, true);
  if (again && !state.machine.hangs) run_until(event->stream, event->after);
  return event->stream->done < event->after ? cudaErrorNotReady : cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  --state.objects;
  return call("cudaEventDestroy");
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  SHOAL_CALL("cudaMemcpyAsync");
  queue(stream, [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* data, int value, std::size_t bytes, cudaStream_t stream) {
  SHOAL_CALL("cudaMemsetAsync");
  queue(stream, [=] { std::memset(data, value, std::min(bytes, kPoisoned)); });
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  SHOAL_CALL("cudaStreamBeginCapture");
  if (state.machine.no_capture) return cudaErrorStreamCaptureUnsupported;
  stream->capturing = new CUgraph_st;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = std::exchange(stream->capturing, nullptr);
  ++state.objects;
  const cudaError_t error = call("cudaStreamEndCapture");
  if (error == cudaSuccess) return error;
  cudaGraphDestroy(*graph);
  *graph = nullptr;
  return error;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  SHOAL_CALL("cudaGraphInstantiate");
  if (state.machine.no_graphs) return cudaErrorMemoryAllocation;
  *made = new CUgraphExec_st{graph->work};
  ++state.objects;
  ++state.graphs;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  SHOAL_CALL("cudaGraphLaunch");
  ++state.launched;
  for (const Work& work : graph->work) queue(stream, work);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  --state.objects;
  return call("cudaGraphDestroy");
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  --state.objects;
  --state.graphs;
  return call("cudaGraphExecDestroy");
}

cudaError_t cudaFuncSetAttribute(const void*, cudaFuncAttribute, int) {
  SHOAL_CALL("cudaFuncSetAttribute");
  return cudaSuccess;
}
cudaError_t cudaFuncGetName(const char** name, const void*) {
  SHOAL_CALL("cudaFuncGetName");
  *name = "a_kernel";
  return cudaSuccess;
}

}  // extern "C"
