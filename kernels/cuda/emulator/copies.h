// SPDX-License-Identifier: Apache-2.0
// A thread's asynchronous copies that are under way, in groups. One fiber's.
#pragma once

#include <cstddef>
#include <vector>

namespace shoal::kernels::cuda::emulator {

inline constexpr std::size_t kCopyBytes = 16;

class Copies {
 public:
  void add(void* to, const void* from, bool valid);
  void commit();
  // Does those of all groups but the last `under_way` that were committed.
  void wait(int under_way);
  void finish_all();

 private:
  struct Copy {
    void* to;
    const void* from;
    bool valid;
    int group;
  };
  void finish(int last_group);

  std::vector<Copy> waiting_;  // in the order of their groups
  int open_group_ = 0;
};

}  // namespace shoal::kernels::cuda::emulator
