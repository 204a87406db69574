// SPDX-License-Identifier: Apache-2.0
#include "node/service/service_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <vector>

#include "node/service/unit_file.h"

extern char** environ;  // NOLINT: POSIX has it in no header of its own

namespace shoal::node {
namespace {

namespace fs = std::filesystem;

// Where the files are, and how systemctl is called.
struct Place {
  ServiceScope scope = ServiceScope::kUser;
  std::string unit;
  std::string packaged_unit;  // of a package, which serves as well
  std::string configuration;
  std::string kept;  // what removing leaves
  std::vector<std::string> systemctl;
  std::string systemctl_text;
};

absl::StatusOr<Place> place_of_user() {
  Place place;
  if (geteuid() == 0) {
    place.scope = ServiceScope::kSystem;
    place.unit = fmt::format("/etc/systemd/system/{}", kUnitName);
    place.configuration = "/etc/shoal/shoal-node.toml";
    place.kept = "/etc/shoal, /var/lib/shoal, /var/cache/shoal";
    place.systemctl = {"systemctl"};
  } else {
    place.configuration = cli::user_settings_file("shoal-node");
    if (place.configuration.empty()) {
      return absl::FailedPreconditionError(
          "there is no home folder to write a user's service into: set HOME");
    }
    const fs::path folder = fs::path(place.configuration).parent_path().parent_path();
    place.unit = (folder / "systemd" / "user" / kUnitName).string();
    place.kept = folder.string() + "/shoal, ~/.local/state/shoal, ~/.cache/shoal";
    place.systemctl = {"systemctl", "--user"};
  }
  const char* kind = place.scope == ServiceScope::kSystem ? "system" : "user";
  for (const char* root : {"/usr/local/lib", "/usr/lib", "/lib"}) {
    const std::string unit = fmt::format("{}/systemd/{}/{}", root, kind, kUnitName);
    if (place.packaged_unit.empty() && fs::exists(unit)) place.packaged_unit = unit;
  }
  for (const std::string& word : place.systemctl) {
    place.systemctl_text += (place.systemctl_text.empty() ? "" : " ") + word;
  }
  return place;
}

bool systemd_runs() {
  std::error_code ignored;
  return fs::exists("/run/systemd/system", ignored);
}

// In a container, for example. `run` finds the same configuration.
std::string without_systemd(const Place& place) {
  return fmt::format(
      "systemd does not run here, so nothing starts the node by itself: start it with shoal-node "
      "run, which reads {}",
      place.configuration);
}

// Exit status; -1 when it could not be run. What it says on stdout goes nowhere.
int systemctl(const Place& place, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), place.systemctl.begin(), place.systemctl.end());
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t process = 0;
  const int error = posix_spawnp(&process, words[0], &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return -1;
  int status = 0;
  while (waitpid(process, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

absl::Status cannot_write(const std::string& path, const char* why) {
  return absl::PermissionDeniedError(
      fmt::format("cannot write {}: {}; make its folder writable for this user", path, why));
}

// Whole or not at all; nobody else reads what a configuration may say.
absl::Status write_whole(const std::string& path, const std::string& text, int mode) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) return cannot_write(path, error.message().c_str());
  const std::string temporary = fmt::format("{}.{}.tmp", path, getpid());
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (file < 0) return cannot_write(path, std::strerror(errno));
  const ssize_t written = write(file, text.data(), text.size());
  int why = written < 0 ? errno : ENOSPC;
  bool good = written == static_cast<ssize_t>(text.size());
  if (good && fsync(file) != 0) {
    good = false;
    why = errno;
  }
  close(file);
  if (good && std::rename(temporary.c_str(), path.c_str()) != 0) {
    good = false;
    why = errno;
  }
  if (good) return absl::OkStatus();
  std::remove(temporary.c_str());
  return cannot_write(path, std::strerror(why));
}

std::optional<std::string> read_whole(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string absolute_path(const std::string& type, const std::string& path) {
  std::error_code error;
  // A model may be a name on the hub.
  const bool is_path = type == "FILE" || (type == "DIR" && path != "off") ||
                       (type == "MODEL" && fs::is_directory(path, error));
  if (!is_path) return path;
  const fs::path absolute = fs::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

std::string user_name() {
  const passwd* user = getpwuid(geteuid());
  return user == nullptr ? std::to_string(geteuid()) : user->pw_name;
}

bool lingers() {
  std::error_code ignored;
  return fs::exists("/var/lib/systemd/linger/" + user_name(), ignored);
}

void tell_of_lingering(const Place& place, std::string& text) {
  if (place.scope != ServiceScope::kUser || lingers()) return;
  text += fmt::format(
      "It runs while you are logged in. To have it run from the machine's start on: loginctl "
      "enable-linger {}\n",
      user_name());
}

absl::Status write_configuration(const ServiceRequest& request, const Place& place,
                                 std::string& text) {
  const auto wanted = configuration_text(request.options, absolute_path);
  if (!wanted.ok()) return wanted.status();
  const auto there = read_whole(place.configuration);
  if (wanted->empty() || there == *wanted) {
    text += fmt::format("configuration: {}\n", place.configuration);
    return absl::OkStatus();
  }
  if (there && !request.replace) {
    return absl::AlreadyExistsError(fmt::format(
        "{} is there already: edit it and leave out the options, or give --replace to write over "
        "it",
        place.configuration));
  }
  // The system's service reads it as a user of its own.
  const int mode = place.scope == ServiceScope::kSystem ? 0644 : 0600;
  if (absl::Status written = write_whole(place.configuration, *wanted, mode); !written.ok()) {
    return written;
  }
  text += fmt::format("wrote {}\n", place.configuration);
  return absl::OkStatus();
}

absl::Status write_unit(const Place& place, std::string& text) {
  if (!place.packaged_unit.empty()) {
    text += fmt::format("unit: {}\n", place.packaged_unit);
    return absl::OkStatus();
  }
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return absl::UnavailableError("cannot find this program's path: mount /proc");
  const auto unit = unit_text(place.scope, program.string());
  if (!unit.ok()) return unit.status();
  const auto there = read_whole(place.unit);
  if (there && !is_written_by_us(*there)) {
    text += fmt::format("left {} as it is: it is not of shoal-node service\n", place.unit);
    return absl::OkStatus();
  }
  if (absl::Status written = write_whole(place.unit, *unit, 0644); !written.ok()) return written;
  text += fmt::format("wrote {}\n", place.unit);
  return absl::OkStatus();
}

absl::StatusOr<ServiceReport> install_service(const ServiceRequest& request, const Place& place) {
  ServiceReport report;
  if (absl::Status written = write_configuration(request, place, report.text); !written.ok()) {
    return written;
  }
  if (absl::Status written = write_unit(place, report.text); !written.ok()) return written;
  const std::string start = fmt::format("{} enable --now {}", place.systemctl_text, kUnitName);
  if (!systemd_runs()) {
    report.text += fmt::format("{}; where it does: {}\n", without_systemd(place), start);
    return report;
  }
  if (request.no_start) {
    report.text += fmt::format("not started. Start it: {}\n", start);
    return report;
  }
  if (systemctl(place, {"daemon-reload"}) != 0 || systemctl(place, {"enable", kUnitName}) != 0 ||
      systemctl(place, {"restart", kUnitName}) != 0) {
    return absl::UnavailableError(fmt::format(
        "the files are written, but the service did not start: see {0} status {1}, mend {2}, then "
        "{0} restart {1}",
        place.systemctl_text, kUnitName, place.configuration));
  }
  report.text += fmt::format("started; it will be started again after a failure and a reboot\n");
  tell_of_lingering(place, report.text);
  report.text += fmt::format("See:  {} status {}\nUndo: shoal-node service remove\n",
                             place.systemctl_text, kUnitName);
  return report;
}

absl::StatusOr<ServiceReport> remove_service(const Place& place) {
  ServiceReport report;
  const auto unit = read_whole(place.unit);
  const bool ours = unit && is_written_by_us(*unit);
  if (!unit && place.packaged_unit.empty()) {
    return absl::NotFoundError(
        fmt::format("there is no service to remove: {} does not exist", place.unit));
  }
  if (systemd_runs() && systemctl(place, {"disable", "--now", kUnitName}) == 0) {
    report.text += "ended\n";
  }
  if (ours) {
    if (std::remove(place.unit.c_str()) != 0) return cannot_write(place.unit, std::strerror(errno));
    report.text += fmt::format("removed {}\n", place.unit);
    if (systemd_runs()) systemctl(place, {"daemon-reload"});
  } else {
    report.text += fmt::format("left {}, which came with the programs\n",
                               unit ? place.unit : place.packaged_unit);
  }
  report.text += fmt::format("Left as they are, if there: {}\n", place.kept);
  return report;
}

absl::StatusOr<ServiceReport> status_of_service(const Place& place) {
  ServiceReport report;
  std::error_code ignored;
  const bool own = fs::exists(place.unit, ignored);
  if (!own && place.packaged_unit.empty()) {
    report.good = false;
    report.text = "not installed: shoal-node service install makes it\n";
    return report;
  }
  const bool configured = fs::exists(place.configuration, ignored);
  report.text = fmt::format("unit:          {}\nconfiguration: {}{}\n",
                            own ? place.unit : place.packaged_unit, place.configuration,
                            configured ? "" : " (missing)");
  if (!systemd_runs()) {
    report.good = false;
    report.text += without_systemd(place) + "\n";
    return report;
  }
  const bool enabled = systemctl(place, {"--quiet", "is-enabled", kUnitName}) == 0;
  const bool active = systemctl(place, {"--quiet", "is-active", kUnitName}) == 0;
  report.good = active;
  report.text += fmt::format("{}, {}\n", active ? "runs" : "does not run",
                             enabled ? "started with the machine" : "not started by itself");
  if (enabled) tell_of_lingering(place, report.text);
  return report;
}

}  // namespace

absl::StatusOr<ServiceReport> run_service(const ServiceRequest& request) {
  const auto place = place_of_user();
  if (!place.ok()) return place.status();
  switch (request.action) {
    case ServiceRequest::Action::kInstall:
      return install_service(request, *place);
    case ServiceRequest::Action::kRemove:
      return remove_service(*place);
    case ServiceRequest::Action::kStatus:
      break;
  }
  return status_of_service(*place);
}

}  // namespace shoal::node
