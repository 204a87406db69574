// SPDX-License-Identifier: Apache-2.0
// A library with the few calls of NVML that the energy meter makes: two GPUs, the first with a
// counter that grows by a joule a question, the second with nothing but its power, 50 W.
#include <cstdint>

extern "C" {

int nvmlInit_v2() { return 0; }
int nvmlShutdown() { return 0; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  static char gpus[2];
  *device = &gpus[index];
  return 0;
}
int nvmlDeviceGetPowerUsage(void* /*device*/, unsigned* milliwatts) {
  *milliwatts = 50'000;
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void* device, unsigned long long* millijoules) {
  void* first = nullptr;
  nvmlDeviceGetHandleByIndex_v2(0, &first);
  static unsigned long long energy = 5'000;
  if (device != first) return 3;  // NVML_ERROR_NOT_SUPPORTED
  *millijoules = energy += 1'000;
  return 0;
}
}
