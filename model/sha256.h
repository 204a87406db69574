// SPDX-License-Identifier: Apache-2.0
// SHA-256 of bytes and of files. Files are read to their end, by several threads when they are
// large; the caller waits and is asked whether it still wants to.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/file_work.h"
#include "model/mapped_file.h"

namespace shoal::model {

using Sha256Digest = std::array<std::uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void add(const void* data, std::size_t size);
  absl::StatusOr<Sha256Digest> finish();  // once

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

absl::StatusOr<Sha256Digest> sha256(std::string_view bytes);
std::string to_hex(const Sha256Digest& digest);
// Of 64 small hexadecimal digits, nothing else.
std::optional<Sha256Digest> sha256_from_hex(std::string_view text);

struct HashedFile {
  Sha256Digest sha256{};
  FileStamp stamp;  // of what was read
};
// In the order of the paths. FAILED_PRECONDITION names a file that changed meanwhile.
absl::StatusOr<std::vector<HashedFile>> hash_files(const std::vector<std::string>& paths,
                                                   const FileWork& work);

}  // namespace shoal::model
