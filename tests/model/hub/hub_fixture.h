// SPDX-License-Identifier: Apache-2.0
// A hub on loopback with the demo model, and an empty cache.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "model/hub/cache.h"
#include "model/hub/hub_model.h"
#include "tests/support/hub_server.h"
#include "tests/support/temp_dir.h"

namespace shoal::model::hub {

inline const std::string kDemo = std::string(SHOAL_SOURCE_DIR) + "/models/demo";

class HubFixture : public ::testing::Test {
 protected:
  HubFixture() {
    ::setenv("no_proxy", "127.0.0.1,127.0.0.2", 1);
    settings_.endpoint = server_.endpoint();
    settings_.cache = folder_.file("hub");
  }

  absl::StatusOr<std::string> fetch(const Purpose& purpose, const std::string& name = "org/demo") {
    notes_.clear();
    Told told;
    told.work = [this](const std::string&) {
      FileWork work;
      work.stop = &stop_;
      return work;
    };
    told.note = [this](const std::string& line) { notes_.push_back(line); };
    told.stop = &stop_;
    auto model = HubModel::open(settings_, parse_hub_name(name).value(), told);
    if (!model.ok()) return model.status();
    return model->fetch(purpose);
  }
  std::string error(const Purpose& purpose, const std::string& name = "org/demo") {
    return std::string(fetch(purpose, name).status().message());
  }
  std::string blob(const std::string& etag) const {
    return Cache(settings_.cache).blob("org/demo", etag);
  }
  std::string weights_blob() const { return blob(server_.sha256("model.safetensors")); }

  const tests::TempDir folder_;
  tests::HubServer server_{"org/demo", kDemo};
  Settings settings_;
  base::StopToken stop_;
  std::vector<std::string> notes_;
};

}  // namespace shoal::model::hub
