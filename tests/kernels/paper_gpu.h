// SPDX-License-Identifier: Apache-2.0
// A CUDA runtime on paper, for what drives a GPU from the host (kernels/cuda/gpu): it gives the
// functions of cuda_runtime_api.h that are used there, over memory of the host. Work is done as
// late as a GPU may do it: when somebody asks for it again. Any call can be made to fail. What is
// left behind is counted.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <functional>
#include <string>

namespace shoal::kernels::cuda::paper {

struct Machine {
  int driver = CUDART_VERSION;
  int gpus = 2;
  int major = 8, minor = 6;
  std::size_t memory = std::size_t{1} << 30;  // of each GPU

  int fail_at = 0;  // the call of this number fails, counted from 1; 0: none
  cudaError_t error = cudaErrorIllegalAddress;
  bool sticky = true;  // all later calls fail likewise
  bool no_capture = false, no_graphs = false;
  bool hangs = false;  // what is queued is never done: who waits for it otherwise ends the program
};

// A new machine; none of the old one's may be in use.
void start(const Machine& machine);
void change(const Machine& machine);  // of the same machine, in use or not

int calls();             // that were made and may fail
std::string failed();    // the name of the call that failed
int waits();             // calls that wait
int left();              // allocations, streams, events and graphs that nobody gave back
int graphs();            // that exist
std::size_t launched();  // graphs

// A kernel: what it does, on this stream.
cudaError_t launch(cudaStream_t stream, std::function<void()> kernel);

}  // namespace shoal::kernels::cuda::paper
