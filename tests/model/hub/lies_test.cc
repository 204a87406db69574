// SPDX-License-Identifier: Apache-2.0
// A hub that lies in bytes, sizes, hashes or commits: the file is named, and nothing of it is used.
#include "tests/model/hub/hub_fixture.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using tests::HubAnswer;
using tests::HubRequest;

class Lies : public HubFixture {
 protected:
  void expect_found(const Purpose& purpose, const std::string& file) {
    const auto fetched = fetch(purpose);
    EXPECT_TRUE(absl::IsDataLoss(fetched.status())) << fetched.status();
    EXPECT_THAT(std::string(fetched.status().message()),
                AllOf(HasSubstr(file), HasSubstr("do not trust " + settings_.endpoint)));
    EXPECT_FALSE(fs::exists(weights_blob()));
    EXPECT_FALSE(
        fs::exists(Cache(settings_.cache).snapshot("org/demo", server_.commit()) + "/" + file));
    // An honest hub mends it.
    server_.set_rule({});
    EXPECT_TRUE(fetch(purpose).ok());
  }
  void lie(const std::string& file, const std::function<void(HubAnswer&)>& how) {
    server_.set_rule([file, how](const HubRequest& request, HubAnswer& answer) {
      if (request.path.find(file) != std::string::npos || request.file == file) how(answer);
    });
  }
};

TEST_F(Lies, InBytesOfWeightsAreFound) {
  lie("model.safetensors", [](HubAnswer& answer) {
    if (answer.status == 206) answer.body[answer.body.size() / 2] ^= 1;
  });
  expect_found(whole_model(), "model.safetensors");
}

TEST_F(Lies, InBytesOfSmallFilesAreFound) {
  lie("tokenizer_config.json", [](HubAnswer& answer) { answer.body[0] ^= 1; });
  expect_found(model_ends(), "tokenizer_config.json");
}

TEST_F(Lies, InSizesAreFound) {
  lie("model.safetensors", [](HubAnswer& answer) {
    if (answer.status == 302) answer.headers["X-Linked-Size"] = "5";
  });
  expect_found(model_blocks(0, 1), "model.safetensors");
  lie("config.json", [](HubAnswer& answer) { answer.body += "\n"; });
  fs::remove_all(settings_.cache);
  expect_found(model_headers(), "config.json");
}

TEST_F(Lies, InHashesAreFound) {
  lie("model.safetensors", [](HubAnswer& answer) {
    if (answer.status == 302) answer.headers["X-Linked-Etag"] = '"' + std::string(64, 'a') + '"';
  });
  expect_found(model_blocks(0, 1), "model.safetensors");
}

TEST_F(Lies, InCommitsAreFound) {
  lie("config.json",
      [](HubAnswer& answer) { answer.headers["X-Repo-Commit"] = std::string(40, 'b'); });
  expect_found(model_ends(), "config.json");
}

TEST_F(Lies, InRangesAreFound) {
  lie("model.safetensors", [](HubAnswer& answer) {
    if (answer.status != 206) return;
    std::string& range = answer.headers["Content-Range"];
    range = "bytes 1" + range.substr(6);
  });
  expect_found(model_blocks(0, 1), "model.safetensors");
}

TEST_F(Lies, InMoreBytesThanWereAskedForAreFound) {
  lie("model.safetensors", [](HubAnswer& answer) {
    if (answer.status == 206) answer.body += std::string(100, 'x');
  });
  expect_found(model_blocks(0, 1), "model.safetensors");
}

TEST_F(Lies, InHeadersAreFoundBeforeTheyAreBelieved) {
  lie("model.safetensors", [](HubAnswer& answer) {
    if (answer.status == 206 && answer.body.size() == 8) answer.body = std::string(8, '\xff');
  });
  const auto fetched = fetch(model_blocks(0, 1));
  EXPECT_TRUE(absl::IsDataLoss(fetched.status())) << fetched.status();
  EXPECT_THAT(std::string(fetched.status().message()), HasSubstr("is no safetensors file"));
  server_.set_rule({});
  EXPECT_TRUE(fetch(model_blocks(0, 1)).ok());
}

// Bytes of parts cannot be held against a hash. When all has come together they can.
TEST_F(Lies, InBytesOfPartsAreFoundWithTheWhole) {
  lie("model.safetensors", [](HubAnswer& answer) {
    if (answer.status == 206 && answer.body.size() > 100'000) answer.body[5'000] ^= 1;
  });
  ASSERT_TRUE(fetch(model_blocks(0, 1)).ok());
  server_.set_rule({});
  EXPECT_THAT(error(whole_model()), HasSubstr("model.safetensors came with other bytes"));
  EXPECT_FALSE(fs::exists(weights_blob()));
  EXPECT_TRUE(fetch(whole_model()).ok()) << "the parts that were false are not taken again";
}

}  // namespace
}  // namespace shoal::model::hub
