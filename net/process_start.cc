// SPDX-License-Identifier: Apache-2.0
#include "net/process_start.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"

namespace shoal::net {
namespace {

// Enough for thousands of connections; some systems allow a billion, and then programs that we
// start would close a billion descriptors.
constexpr rlim_t kMostDescriptors = 65'536;
// Of one thread, where address space is short: ours need a tenth of it.
constexpr std::size_t kSmallStack = 1 << 20;

bool is_limited(int which) {
  rlimit limit{};
  return getrlimit(static_cast<__rlimit_resource_t>(which), &limit) == 0 &&
         limit.rlim_cur != RLIM_INFINITY;
}

bool memory_is_limited() { return is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA); }

// "ulimit -v is 500000, ulimit -u is 40": what may be the reason, for the message.
std::string limits_text() {
  std::string text;
  const auto add = [&](int which, const char* name, rlim_t unit) {
    rlimit limit{};
    if (getrlimit(static_cast<__rlimit_resource_t>(which), &limit) != 0 ||
        limit.rlim_cur == RLIM_INFINITY)
      return;
    absl::StrAppend(&text, text.empty() ? "" : ", ", name, " is ", limit.rlim_cur / unit);
  };
  add(RLIMIT_AS, "ulimit -v", 1024);
  add(RLIMIT_DATA, "ulimit -d", 1024);
  add(RLIMIT_NPROC, "ulimit -u", 1);
  add(RLIMIT_NOFILE, "ulimit -n", 1);
  return text.empty() ? "no ulimit is set; a container may have limits of its own" : text;
}

// Made in time: whoever needs them has no memory to make them.
char g_no_memory[512];
char g_no_threads[512];
char g_gave_up[512];
char g_unexpected[64];

void say(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody listens
}

[[noreturn]] void on_terminate() {
  const char* text = g_gave_up;
  try {
    if (const auto exception = std::current_exception()) std::rethrow_exception(exception);
  } catch (const std::bad_alloc&) {
    text = g_no_memory;
  } catch (const std::system_error& error) {
    text = error.code() == std::errc::resource_unavailable_try_again ? g_no_threads : nullptr;
    if (text == nullptr) {
      say(g_unexpected);
      say(error.what());
      text = "\n";
    }
  } catch (const std::exception& error) {
    say(g_unexpected);
    say(error.what());
    text = "\n";
  } catch (...) {
  }
  say(text);
  _exit(1);
}

// A library that was refused memory calls abort() without a word. Without limits an abort is a bug,
// and stays one.
void on_abort(int number) {
  if (memory_is_limited()) {
    say(g_gave_up);
    _exit(1);
  }
  signal(number, SIG_DFL);
  raise(number);
}

// Threads that all live at the same time, and then go.
class Trial {
 public:
  // 0, or why the thread that would have been one more could not be made.
  int start_one() {
    pthread_t thread{};
    const int error = pthread_create(
        &thread, nullptr,
        [](void* trial) -> void* {
          static_cast<Trial*>(trial)->wait();
          return nullptr;
        },
        this);
    if (error == 0) threads_.push_back(thread);
    return error;
  }
  std::size_t size() const { return threads_.size(); }
  ~Trial() {
    {
      const base::MutexLock lock(mutex_);
      over_ = true;
    }
    ended_.notify_all();
    for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
  }

 private:
  void wait() {
    const base::MutexLock lock(mutex_);
    while (!over_) ended_.wait(mutex_);
  }

  base::Mutex mutex_;
  base::CondVar ended_;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<pthread_t> threads_;
};

absl::Status check_descriptors(const ProcessNeeds& needs) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return absl::OkStatus();
  const rlim_t wanted = std::min(limit.rlim_max, kMostDescriptors);
  if (limit.rlim_cur < wanted) {
    rlimit raised = limit;
    raised.rlim_cur = wanted;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  if (limit.rlim_cur >= needs.descriptors) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("only ", limit.rlim_cur, " files may be open at a time, and ", needs.program,
                   " needs ", needs.descriptors, ": raise the limit (ulimit -n)"));
}

// What could be had of `bytes`, without taking it.
bool can_map(std::uint64_t bytes) {
  void* const trial = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (trial == MAP_FAILED) return false;
  munmap(trial, bytes);
  return true;
}

absl::Status check_threads_and_memory(const ProcessNeeds& needs) {
  const auto no_memory = [&] {
    return absl::ResourceExhaustedError(absl::StrCat(
        "there is not enough memory: ", needs.program, " needs about ",
        (needs.memory_bytes + static_cast<std::uint64_t>(needs.threads) * kSmallStack) >> 20,
        " MiB of address space beside what it has and the model's files (", limits_text(),
        "): raise the limit (ulimit -v)"));
  };
  Trial trial;
  for (int i = 0; i < needs.threads; ++i) {
    const int error = trial.start_one();
    if (error == 0) continue;
    // EAGAIN stands for both.
    if (!can_map(8 << 20)) return no_memory();
    return absl::ResourceExhaustedError(absl::StrCat(
        "only ", trial.size(), " threads can be started, and ", needs.program, " needs ",
        needs.threads, " (", std::strerror(error), "; ", limits_text(),
        "): raise the limit (ulimit -u, or TasksMax= and --pids-limit of a service or container)"));
  }
  if (needs.memory_bytes > 0 && !can_map(needs.memory_bytes)) return no_memory();
  return absl::OkStatus();
}

}  // namespace

void end_with_a_sentence(const char* program) {
  const std::string limits = limits_text();
  std::snprintf(g_no_memory, sizeof g_no_memory,
                "%s: out of memory (%s): raise the limit, or give it less to do\n", program,
                limits.c_str());
  std::snprintf(g_no_threads, sizeof g_no_threads,
                "%s: another thread could not be started (%s): raise the limit on threads "
                "(ulimit -u) or memory (ulimit -v)\n",
                program, limits.c_str());
  std::snprintf(g_gave_up, sizeof g_gave_up,
                "%s: a library could not go on, which it cannot when memory, threads or files run "
                "out (%s): raise the limit\n",
                program, limits.c_str());
  std::snprintf(g_unexpected, sizeof g_unexpected, "%s: ended by an error: ", program);
  std::set_terminate(on_terminate);
  signal(SIGABRT, on_abort);
}

absl::Status check_process_limits(const ProcessNeeds& needs) {
  if (memory_is_limited()) {
    // By default each of many threads reserves 64 MiB for its heap and 8 for its stack.
    mallopt(M_ARENA_MAX, 2);
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) == 0) {
      pthread_attr_setstacksize(&attributes, kSmallStack);
      pthread_setattr_default_np(&attributes);
      pthread_attr_destroy(&attributes);
    }
  }
  if (absl::Status status = check_descriptors(needs); !status.ok()) return status;
  return check_threads_and_memory(needs);
}

}  // namespace shoal::net
