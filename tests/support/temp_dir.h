// SPDX-License-Identifier: Apache-2.0
// A fresh folder that is removed with everything in it on destruction.
#pragma once

#include <string>

namespace shoal::tests {

class TempDir {
 public:
  TempDir();  // where the system keeps temporary files
  explicit TempDir(const std::string& parent);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void write_file(const std::string& path, const std::string& content);
std::string read_file(const std::string& path);  // empty when missing

}  // namespace shoal::tests
