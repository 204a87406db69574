// SPDX-License-Identifier: Apache-2.0
// A mapped file that is truncated, or whose disk goes, cannot be read any more where it is gone:
// the system says so with SIGBUS to whoever touches it. Here that becomes an answer. Thread-safe;
// the table of mappings is the process's, because a signal handler has no other.
#pragma once

#include <atomic>
#include <cstddef>

namespace shoal::model {

enum class LostFile {
  kExit,  // one line on stderr that names the file, then exit status 1
  kGoOn,  // zeros are read from there on, and MappedFile::check() says so: ask before a result is
          // used
};
// From now on in this process; without it SIGBUS ends it. `program` begins the line.
void guard_mapped_files(const char* program, LostFile policy);

// An entry of the table; for MappedFile.
class GuardedMapping {
 public:
  // `path` must outlive it. More mappings than the table holds are not guarded.
  GuardedMapping(const std::byte* begin, std::size_t size, const char* path);
  ~GuardedMapping();
  GuardedMapping(const GuardedMapping&) = delete;
  GuardedMapping& operator=(const GuardedMapping&) = delete;

  bool is_lost() const;  // somebody touched what is gone

 private:
  int slot_ = -1;
};

}  // namespace shoal::model
