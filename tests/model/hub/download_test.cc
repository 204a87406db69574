// SPDX-License-Identifier: Apache-2.0
// A hub that is slow, busy, or lets connections fall: the files come all the same.
#include "model/hub/download.h"

#include <map>
#include <thread>

#include "base/awaited.h"
#include "model/hub/retry.h"
#include "tests/model/hub/hub_fixture.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using tests::HubAnswer;
using tests::HubRequest;

class Downloading : public HubFixture {
 protected:
  void expect_whole() {
    const auto folder = fetch(whole_model());
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_EQ(tests::read_file(*folder + "/model.safetensors"),
              tests::read_file(kDemo + "/model.safetensors"));
    EXPECT_EQ(tests::read_file(*folder + "/tokenizer.json"),
              tests::read_file(kDemo + "/tokenizer.json"));
  }
  const std::uint64_t size_ = fs::file_size(kDemo + "/model.safetensors");
};

TEST_F(Downloading, GoesOnBehindADroppedConnection) {
  int answers = 0;
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (request.file == "model.safetensors" && ++answers % 2 == 1) answer.cut_after = 300'000;
  });
  expect_whole();
  EXPECT_GT(answers, 8);
  EXPECT_LT(server_.bytes_sent("model.safetensors"), size_ + size_ / 10);
}

TEST_F(Downloading, GoesOnBehindATruncatedAnswer) {
  int answers = 0;
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (request.file == "model.safetensors" && ++answers == 1) {
      answer.body.resize(answer.body.size() / 2);  // and says so: a whole answer, but not of all
      answer.headers["Content-Length"] = std::to_string(answer.body.size());
    }
  });
  expect_whole();
}

TEST_F(Downloading, WaitsForABusyHub) {
  std::map<std::string, int> answers;
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    const int status = request.at_cdn ? 500 : request.path.starts_with("/api") ? 429 : 503;
    if (answers[request.at_cdn ? "cdn" : request.path]++ == 0) {
      answer = {.status = status, .headers = {{"Retry-After", "1"}}, .body = "busy"};
    }
  });
  expect_whole();
}

TEST_F(Downloading, GivesUpOnAHubThatStaysBusy) {
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (!request.path.starts_with("/api")) {
      answer = {.status = 429, .headers = {{"Retry-After", "3600"}}, .body = "busy"};
    }
  });
  EXPECT_THAT(error(whole_model()),
              ::testing::AllOf(HasSubstr("too many requests"), HasSubstr("3600 s")));
}

TEST_F(Downloading, ReadsAServerWithoutRangesFromItsStart) {
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (answer.status != 206) return;
    answer.status = 200;
    answer.headers.erase("Content-Range");
    answer.body = tests::read_file(kDemo + "/" + request.file);
  });
  expect_whole();
  const auto folder = fetch(model_blocks(0, 1));
  EXPECT_TRUE(folder.ok()) << folder.status();
}

TEST_F(Downloading, ReadsPartsFromAServerWithoutRanges) {
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (answer.status != 206) return;
    answer.status = 200;
    answer.headers.erase("Content-Range");
    answer.body = tests::read_file(kDemo + "/" + request.file);
  });
  const auto folder = fetch(model_blocks(3, 4));
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto files = read_weight_files(*folder).value();
  EXPECT_FALSE(files.files[0].part->present.contains({0, size_}));
  EXPECT_FALSE(files.held_tensors().empty());
}

TEST_F(Downloading, FollowsRedirectsAsFarAsBounded) {
  // From one host to the other and back, for ever.
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (request.file == "config.json") {
      answer = {.status = 302, .headers = {{"Location", request.path}}, .body = "over there"};
    }
  });
  EXPECT_THAT(error(whole_model()), HasSubstr("redirect"));
  EXPECT_LE(server_.requests().size(), 40u);
  for (const char* to : {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"}) {
    server_.set_rule([to](const HubRequest& request, HubAnswer& answer) {
      if (request.file == "config.json") answer = {.status = 302, .headers = {{"Location", to}}};
    });
    EXPECT_THAT(error(whole_model()), HasSubstr("no place to go")) << to;
  }
}

TEST_F(Downloading, GivesUpOnASilentHub) {
  server_.set_rule([](const HubRequest&, HubAnswer& answer) {
    answer.cut_after = answer.body.size() / 2;
    answer.stays_silent = true;
  });
  HttpOptions options;
  EXPECT_EQ(options.idle_timeout, std::chrono::seconds(30));
  options.origin = server_.endpoint();
  options.idle_timeout = std::chrono::seconds(1);
  auto http = Http::create(options);
  ASSERT_TRUE(http.ok()) << http.status();
  const auto began = std::chrono::steady_clock::now();
  const HttpText text = get_text(**http, server_.endpoint() + "/api/models/org/demo/revision/main",
                                 1 << 20, 1, stop_);
  EXPECT_EQ(text.end.status.code(), absl::StatusCode::kUnavailable) << text.end.status;
  EXPECT_TRUE(is_passing(text.end));
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(900));
}

TEST_F(Downloading, UsesSeveralConnections) {
  std::size_t most = 0;
  std::atomic<std::size_t> now = 0;
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (request.file == "model.safetensors") answer.bytes_per_s = 4 << 20;
  });
  std::thread watch([&] {
    while (now < 100) {
      std::size_t asked = 0;
      for (const HubRequest& request : server_.requests()) {
        asked += request.file == "model.safetensors" ? 1 : 0;
      }
      most = std::max(most, asked);
      if (asked >= 4) break;
      ++now;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  });
  expect_whole();
  watch.join();
  EXPECT_GE(most, 4u);
}

TEST_F(Downloading, EndsWhenItIsToldToAndGoesOnLater) {
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (request.file == "model.safetensors") answer.bytes_per_s = 1 << 20;
  });
  std::thread stopper([&] {
    while (server_.bytes_sent("model.safetensors") < 3'000'000) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    stop_.stop(2);
  });
  const auto stopped = fetch(whole_model());
  stopper.join();
  EXPECT_TRUE(absl::IsCancelled(stopped.status())) << stopped.status();
  EXPECT_FALSE(fs::exists(weights_blob()));
  stop_.stop(0);
  server_.set_rule({});
  expect_whole();
  EXPECT_LE(server_.bytes_sent("model.safetensors"), size_ + (1 << 20));
}

TEST_F(Downloading, SaysHowMuchRoomIsMissing) {
  server_.set_rule([&](const HubRequest& request, HubAnswer& answer) {
    if (!request.path.starts_with("/api")) return;
    const std::string size = std::to_string(size_);
    for (std::size_t at = answer.body.find(size); at != std::string::npos;
         at = answer.body.find(size, at + 16)) {
      answer.body.replace(at, size.size(), "8796093022208");
    }
  });
  EXPECT_THAT(error(whole_model()),
              ::testing::AllOf(HasSubstr("8388608 MiB more"), HasSubstr("HF_HOME")));
}

}  // namespace
}  // namespace shoal::model::hub
