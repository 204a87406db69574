// SPDX-License-Identifier: Apache-2.0
// A hash of what each operator makes of seeded inputs, in the shapes of a model. The bits of the
// CPU are the law (docs/design.md, section 5), so what a CPU wrote into the file of hashes
// (tests/fixtures/operator_hashes.txt) holds for every device, at sizes of which none has to
// compute the CPU's side again. Also: rows alone beside the same rows among many.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/executor.h"

namespace shoal::kernels::golden {

struct Heads {
  std::int64_t heads, kv_heads, head_dim;
};

struct Shapes {
  const char* name;
  std::int64_t hidden, mlp, kv;  // widths; kv: of keys, and of values
  std::vector<std::int64_t> rows;
  std::vector<Heads> heads;
  std::vector<std::int64_t> contexts;  // positions that attention sees
  std::int64_t prefill;                // rows of it, of the shortest context
  std::int64_t many;                   // rows beside which a row alone is held
};
const Shapes& small_shapes();  // for a test
const Shapes& real_shapes();   // Llama 3.1 8B's, and heads of others

struct Found {
  std::string name;
  std::uint64_t hash = 0;
  std::int64_t alone = 0, differ = 0;  // rows that were also computed alone; other bits then
};

struct Choice {
  std::string only;       // in the name of what is computed; empty: all
  std::int64_t each = 1;  // of so many rows one is computed alone
};
// Tells each hash as it comes.
void run(Executor& executor, const Shapes& shapes, const Choice& choice,
         const std::function<void(const Found&)>& tell);

using Hashes = std::map<std::string, std::uint64_t>;
// Lines "name hash"; those that begin with # are comments. Empty hashes and `wrong`: what is wrong.
struct Read {
  Hashes hashes;
  std::string wrong;
};
Read read_hashes(const std::string& text);
std::string line_of(const Found& found);
// What is wrong with what was found, beside what was written; empty: nothing.
std::string fault_of(const Hashes& written, const Found& found);

}  // namespace shoal::kernels::golden
