// SPDX-License-Identifier: Apache-2.0
// A model by its name: a revision of it on a hub, and as much of it in the cache as somebody asked
// for. The caller waits; one thread. How files lie, what is proven of them and what is not:
// docs/model-folders.md, "Models by name".
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "model/file_work.h"
#include "model/hub/name.h"
#include "model/hub/settings.h"
#include "model/hub/view.h"

namespace shoal::model::hub {

// Whom to tell: of bytes, under a word for what is done with them, and of the rest in lines.
struct Told {
  std::function<FileWork(const std::string& what)> work;
  std::function<void(const std::string& line)> note;
  const base::StopToken* stop = nullptr;  // never null
};

class HubModel {
 public:
  // Asks which commit the revision is and which files it has; when the hub cannot be reached, or
  // must not be, what is known here has to do, and a line says so.
  static absl::StatusOr<HubModel> open(const Settings& settings, const HubName& name, Told told);
  HubModel(HubModel&&) noexcept;
  HubModel& operator=(HubModel&&) noexcept;
  ~HubModel();

  const std::string& commit() const;
  // A model folder with what the purpose needs; what is not here yet is fetched. DATA_LOSS names a
  // file that is not what the hub lists: nothing of it is left then.
  absl::StatusOr<std::string> fetch(const Purpose& purpose);

 private:
  class Impl;
  explicit HubModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::model::hub
