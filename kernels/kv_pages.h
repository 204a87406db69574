// SPDX-License-Identifier: Apache-2.0
// Where keys and values lie: views of a pool's pages, as operators take them. Plain values.
#pragma once

#include <cstdint>

#include "kernels/kv_dtype.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// The pages of a pool: page `id` begins id * stride_bytes after `data`. Negative ids are pages that
// nobody may look into any more.
struct KvPages {
  void* data = nullptr;
  KvDType dtype = KvDType::kF32;
  Device device = Device::kCpu;
  std::int64_t stride_bytes = 0;
};

// Where one block's keys and values lie inside every page, from the page's start: the tiles
// (kv_dtype.h) of the keys of each kv head in turn, and those of the values likewise.
struct KvLayout {
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t key_offset_bytes = 0;
  std::int64_t value_offset_bytes = 0;
};

}  // namespace shoal::kernels
