// SPDX-License-Identifier: Apache-2.0
#include "client/cli/line_reader.h"

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/stop_token.h"

namespace shoal::client {
namespace {

constexpr int kRemembered = 1000;
constexpr std::size_t kMostBytes = 4u << 20;

// A byte of standard input: 1, 0 at its end, -1 when it cannot be read or when somebody interrupts
// (EINTR). A signal may come between looking and reading, so nobody waits without end.
int read_byte(const std::function<bool()>& interrupted, char& byte) {
  for (;;) {
    if (interrupted()) {
      errno = EINTR;
      return -1;
    }
    pollfd wanted{STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&wanted, 1, static_cast<int>(base::kStopPoll.count()));
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    return static_cast<int>(read(STDIN_FILENO, &byte, 1));
  }
}

}  // namespace

struct LineReader::Editor {
  Editor(std::string file, const std::function<bool()>& asked)
      : history_file(std::move(file)), interrupted(asked) {
    std::setlocale(LC_CTYPE, "C.UTF-8");  // what the library takes letters for
    edit = el_init("shoal", stdin, stdout, stderr);
    past = history_init();
    HistEvent event;
    history(past, &event, H_SETSIZE, kRemembered);
    history(past, &event, H_SETUNIQUE, 1);
    if (!history_file.empty()) history(past, &event, H_LOAD, history_file.c_str());
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_HIST, ::history, past);
    el_set(edit, EL_CLIENTDATA, this);
    el_set(edit, EL_PROMPT, &Editor::say_prompt);
    el_set(edit, EL_GETCFN, &Editor::read_character);
    el_source(edit, nullptr);  // the user's ~/.editrc
  }
  ~Editor() {
    HistEvent event;
    if (!history_file.empty()) history(past, &event, H_SAVE, history_file.c_str());
    history_end(past);
    el_end(edit);
  }
  Editor(const Editor&) = delete;
  Editor& operator=(const Editor&) = delete;

  static char* say_prompt(EditLine* edit) {
    Editor* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    return self->prompt.data();
  }

  // The library's own waits on after a signal.
  static int read_character(EditLine* edit, wchar_t* character) {
    Editor* self = nullptr;
    el_get(edit, EL_CLIENTDATA, &self);
    std::mbstate_t state{};
    for (;;) {
      char byte = 0;
      const int got = read_byte(self->interrupted, byte);
      if (got <= 0) return got;
      const std::size_t used = std::mbrtowc(character, &byte, 1, &state);
      if (used == static_cast<std::size_t>(-2)) continue;  // of several bytes
      if (used == static_cast<std::size_t>(-1)) *character = L'\xfffd';
      return 1;
    }
  }

  EditLine* edit = nullptr;
  History* past = nullptr;
  const std::string history_file;
  const std::function<bool()>& interrupted;
  std::string prompt;
};

LineReader::LineReader(const std::string& history_file, std::function<bool()> interrupted)
    : interrupted_(std::move(interrupted)) {
  if (isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1) {
    editor_ = std::make_unique<Editor>(history_file, interrupted_);
  }
}
LineReader::~LineReader() = default;

LineReader::Read LineReader::next(const char* prompt, std::string& line) {
  line.clear();
  errno = 0;
  if (editor_ != nullptr) {
    editor_->prompt = prompt;
    int count = 0;
    const char* const typed = el_gets(editor_->edit, &count);
    if (typed == nullptr || count <= 0) {
      if (errno != EINTR) return Read::kEnd;
      el_reset(editor_->edit);  // what was typed so far is taken back
      return Read::kInterrupted;
    }
    line.assign(typed, static_cast<std::size_t>(count));
    if (line.ends_with('\n')) line.pop_back();
    return Read::kLine;
  }
  for (;;) {
    char byte = 0;
    const int got = read_byte(interrupted_, byte);
    if (got < 0 && errno == EINTR) return Read::kInterrupted;
    if (got <= 0) return line.empty() ? Read::kEnd : Read::kLine;
    if (byte == '\n') return Read::kLine;
    if (line.size() == kMostBytes) return Read::kTooLong;
    line += byte;
  }
}

void LineReader::remember(const std::string& line) {
  if (editor_ == nullptr) return;
  HistEvent event;
  history(editor_->past, &event, H_ENTER, line.c_str());
}

std::string history_file() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  const char* const home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && state[0] == '/') {
    folder = state;
  } else if (home != nullptr && home[0] == '/') {
    folder = std::filesystem::path(home) / ".local/state";
  } else {
    return {};
  }
  folder /= "shoal";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  std::string file = folder / "chat_history";
  // What people write is nobody else's: made before the library would make it readable for all.
  const int made = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (made < 0) return {};
  close(made);
  return file;
}

}  // namespace shoal::client
