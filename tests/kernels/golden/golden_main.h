// SPDX-License-Identifier: Apache-2.0
// shoal-golden: hashes of what the operators of a device give (golden.h).
//   shoal-golden [--device cpu|cuda] [--shapes real|small] [--only TEXT] [--each N]
//     prints them; --against FILE: what is not as the file says; --write FILE: makes it, on a CPU
//     --each N: of so many rows one is computed alone too (16 on a CPU, 1 on a GPU)
// Ends with 0 when all is right, 1 when not, 77 when there is no such device.
#pragma once

namespace shoal::kernels::golden {

int golden_main(int argc, char** argv);

}  // namespace shoal::kernels::golden
