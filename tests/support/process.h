// SPDX-License-Identifier: Apache-2.0
// Child processes for end-to-end tests: started with arguments, read with deadlines, never left
// behind.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace shoal::tests {

// A program in the background; its outputs go to files of a folder that lives as long as the
// object.
class Process {
 public:
  explicit Process(std::vector<std::string> command);
  ~Process();  // SIGKILL and reap when still running
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;

  pid_t pid() const { return pid_; }
  bool running();
  void signal(int number);
  // Exit status, 128 + signal when it was killed, or -1 when it still runs after timeout_ms.
  int wait(int timeout_ms);
  std::string out() const;
  std::string err() const;

 private:
  void reap(int flags);

  pid_t pid_ = -1;
  bool reaped_ = false;
  int status_ = 0;
  std::string folder_;
};

// A program run to its end; killed after timeout_ms (status -1).
struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
  double seconds = 0;
};
Outcome run(std::vector<std::string> command, int timeout_ms, const std::string& input = "");

// All at once, each as run() does it: for programs that mostly wait.
std::vector<Outcome> run_together(const std::vector<std::vector<std::string>>& commands,
                                  int timeout_ms);

// Polls until `path` has content; false after timeout_ms, or when `process` ends first.
bool wait_for_file(const std::string& path, Process& process, int timeout_ms);

// A program of ours in this build.
std::string program(const std::string& name);

}  // namespace shoal::tests
