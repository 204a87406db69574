// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/golden/golden_main.h"

int main(int argc, char** argv) { return shoal::kernels::golden::golden_main(argc, argv); }
