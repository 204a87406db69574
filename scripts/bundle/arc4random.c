// SPDX-License-Identifier: Apache-2.0
// The one function that libstdc++ wants of glibc 2.36 (for std::random_device), so that 2.35 is enough. scripts/package
// links it, hidden, into the libstdc++ that it bundles.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

__attribute__((visibility("hidden"))) uint32_t arc4random(void) {
  uint32_t value;
  while (getrandom(&value, sizeof value, 0) != sizeof value) {
    if (errno != EINTR) abort();
  }
  return value;
}
