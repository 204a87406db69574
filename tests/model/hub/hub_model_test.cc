// SPDX-License-Identifier: Apache-2.0
// A model by its name: what is fetched for whom, and how it lies in the cache.
#include "model/hub/hub_model.h"

#include <algorithm>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/folder_manifest.h"
#include "model/tensor_list.h"
#include "tests/model/hub/hub_fixture.h"
#include "tests/support/model_folder.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using tests::HubAnswer;
using tests::HubRequest;

// Bytes of tensors that the model of a folder has for these blocks.
std::uint64_t bytes_of_blocks(std::int64_t begin, std::int64_t end) {
  const auto whole = Checkpoint::open(kDemo).value();
  const auto config = load_config(kDemo).value();
  std::uint64_t bytes = 0;
  for (std::int64_t block = begin; block < end; ++block) {
    for (const TensorSpec& tensor : block_tensors(config, block)) {
      bytes += whole.tensors().at(tensor.name).bytes;
    }
  }
  return bytes;
}

std::uint64_t header_bytes() {
  const auto files = read_weight_files(kDemo).value();
  std::uint64_t begin = files.files[0].stamp.size;
  for (const auto& [name, entry] : files.files[0].tensors) {
    begin = std::min<std::uint64_t>(begin, entry.begin);
  }
  return begin;
}

// The tensors of a folder that are here are those of the demo model, byte for byte.
void expect_tensors(const std::string& folder, const Wanted& wanted) {
  const auto files = read_weight_files(folder).value();
  const auto got = Checkpoint::open(files, wanted);
  ASSERT_TRUE(got.ok()) << got.status();
  const auto whole = Checkpoint::open(kDemo).value();
  int compared = 0;
  for (const auto& [name, info] : whole.tensors()) {
    if (!wanted(name)) continue;
    const TensorInfo& here = got->tensors().at(name);
    ASSERT_TRUE(here.is_here) << name;
    ASSERT_EQ(here.bytes, info.bytes);
    EXPECT_TRUE(std::equal(info.data, info.data + info.bytes, here.data)) << name;
    ++compared;
  }
  EXPECT_GT(compared, 0);
}

class ModelsByName : public HubFixture {};

TEST_F(ModelsByName, AWholeModelLiesAsTheHubsToolsHaveIt) {
  const auto folder = fetch(whole_model());
  ASSERT_TRUE(folder.ok()) << folder.status();
  expect_tensors(*folder, wants_all());
  const std::string snapshot = Cache(settings_.cache).snapshot("org/demo", server_.commit());
  EXPECT_EQ(fs::read_symlink(snapshot + "/model.safetensors").string(),
            "../../blobs/" + server_.sha256("model.safetensors"));
  EXPECT_EQ(tests::read_file(snapshot + "/config.json"), tests::read_file(kDemo + "/config.json"));
  // The name of the blob is believed, so the weights are not read again to name the model.
  EXPECT_EQ(to_hex(hub_cache_hash(*folder + "/model.safetensors").value()),
            server_.sha256("model.safetensors"));
  EXPECT_EQ(server_.bytes_sent("model.safetensors"), fs::file_size(kDemo + "/model.safetensors"));
  // Nothing is left of the fetching.
  for (const auto& entry : fs::directory_iterator(fs::path(weights_blob()).parent_path())) {
    EXPECT_TRUE(is_etag(entry.path().filename().string())) << entry.path();
  }
  server_.forget_requests();
  EXPECT_EQ(fetch(whole_model()).value(), *folder);
  EXPECT_EQ(server_.requests().size(), 1u) << "only the revision is asked for again";
  EXPECT_EQ(fetch(whole_model(), "org/demo@" + server_.commit()).value(), *folder);
  EXPECT_EQ(server_.requests().size(), 1u) << "a commit never changes";
}

TEST_F(ModelsByName, ASpanIsFetchedByItsRanges) {
  const auto folder = fetch(model_blocks(2, 4));
  ASSERT_TRUE(folder.ok()) << folder.status();
  expect_tensors(*folder, wants_blocks(2, 4));
  const std::uint64_t sent = server_.bytes_sent("model.safetensors");
  EXPECT_LE(sent, bytes_of_blocks(2, 4) * 102 / 100 + header_bytes());
  EXPECT_GE(sent, bytes_of_blocks(2, 4));
  // Nobody takes the parts for the file, and holes take no room.
  EXPECT_FALSE(fs::exists(weights_blob()));
  EXPECT_FALSE(fs::exists(*folder + "/model.safetensors"));
  EXPECT_FALSE(Checkpoint::open(*folder).ok());
  const auto files = read_weight_files(*folder).value();
  EXPECT_THAT(std::string(Checkpoint::open(files, wants_blocks(3, 5)).status().message()),
              HasSubstr("lacks model.layers.4."));
  // What the whole model is follows from the list and the headers.
  const auto config = load_config(*folder).value();
  const auto named = folder_manifest(config, files, {}).value();
  ASSERT_TRUE(named.has_value());
  const auto whole_files = read_weight_files(kDemo).value();
  EXPECT_EQ(named->digest, folder_manifest(config, whole_files, {}).value()->digest);

  // The next span begins with what is here.
  server_.forget_requests();
  const auto wider = fetch(model_blocks(2, 5));
  ASSERT_TRUE(wider.ok()) << wider.status();
  expect_tensors(*wider, wants_blocks(2, 5));
  EXPECT_LE(server_.bytes_sent("model.safetensors"), bytes_of_blocks(4, 5) * 102 / 100);
  // And the whole is held against its hash, wherever its bytes came from.
  const auto whole = fetch(whole_model());
  ASSERT_TRUE(whole.ok()) << whole.status();
  expect_tensors(*whole, wants_all());
  EXPECT_LE(server_.bytes_sent("model.safetensors"),
            fs::file_size(kDemo + "/model.safetensors") - bytes_of_blocks(2, 4));
}

TEST_F(ModelsByName, AClientFetchesTheEnds) {
  const auto folder = fetch(model_ends());
  ASSERT_TRUE(folder.ok()) << folder.status();
  expect_tensors(*folder, wants_ends());
  EXPECT_TRUE(fs::exists(*folder + "/tokenizer.json"));
  EXPECT_LT(
      server_.bytes_sent("model.safetensors"),
      fs::file_size(kDemo + "/model.safetensors") - bytes_of_blocks(0, 8) + header_bytes() + 1);
}

TEST_F(ModelsByName, HeadersAreEnoughToPlan) {
  const auto folder = fetch(model_headers());
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(server_.bytes_sent("model.safetensors"), header_bytes());
  const auto files = read_weight_files(*folder).value();
  EXPECT_EQ(files.files[0].tensors, read_weight_files(kDemo).value().files[0].tensors);
  EXPECT_TRUE(files.held_tensors().empty());
}

TEST_F(ModelsByName, WhatIsHereIsUsedWithoutTheHub) {
  ASSERT_TRUE(fetch(model_blocks(0, 1)).ok());
  settings_.offline = true;
  server_.forget_requests();
  EXPECT_TRUE(fetch(model_blocks(0, 1)).ok());
  EXPECT_THAT(error(model_blocks(1, 2)), HasSubstr("HF_HUB_OFFLINE"));
  EXPECT_THAT(error(whole_model()), HasSubstr("model.safetensors is not in"));
  EXPECT_THAT(error(whole_model(), "org/other"), HasSubstr("HF_HUB_OFFLINE"));
  EXPECT_TRUE(server_.requests().empty());
  // A hub that cannot be reached is as good, and a line says so.
  settings_.offline = false;
  settings_.endpoint = "http://127.0.0.1:1";
  EXPECT_TRUE(fetch(model_blocks(0, 1)).ok());
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_THAT(notes_[0], HasSubstr("goes on with what is here"));
}

// What huggingface_hub leaves: refs, blobs and links, nothing of ours.
TEST_F(ModelsByName, WhatTheHubsToolsFetchedIsUsed) {
  ASSERT_TRUE(fetch(whole_model()).ok());
  fs::remove_all(Cache(settings_.cache).folder("org/demo") + "/shoal");
  server_.forget_requests();
  ASSERT_TRUE(fetch(model_blocks(0, 2)).ok());
  EXPECT_EQ(server_.bytes_sent(), server_.bytes_sent(""));
  EXPECT_EQ(server_.bytes_sent("model.safetensors"), 0u);
  EXPECT_EQ(server_.bytes_sent("tokenizer.json"), 0u);
  fs::remove_all(Cache(settings_.cache).folder("org/demo") + "/shoal");
  settings_.offline = true;
  const auto folder = fetch(model_ends());
  ASSERT_TRUE(folder.ok()) << folder.status();
  expect_tensors(*folder, wants_ends());
}

TEST_F(ModelsByName, WhatIsNotThereIsSaidInOneLine) {
  EXPECT_THAT(error(whole_model(), "org/dmeo"), HasSubstr("misspelling"));
  EXPECT_THAT(error(whole_model(), "org/demo@v7"), HasSubstr("no revision v7"));
  const auto answer_with = [&](int status, const std::string& code) {
    server_.set_rule([status, code](const HubRequest&, HubAnswer& answer) {
      answer = {.status = status, .headers = {{"X-Error-Code", code}}, .body = "no"};
    });
  };
  answer_with(401, "GatedRepo");
  EXPECT_THAT(error(whole_model()), HasSubstr("accept its license at " + settings_.endpoint));
  // Real hubs list the files of a gated model to everybody.
  server_.set_rule([](const HubRequest& request, HubAnswer& answer) {
    if (request.path.starts_with("/api")) return;
    answer = {.status = 401, .headers = {{"X-Error-Code", "GatedRepo"}}, .body = "no"};
  });
  EXPECT_THAT(error(whole_model()), HasSubstr("accept its license at " + settings_.endpoint));
  answer_with(403, "GatedRepo");
  settings_.token = "hf_secret";
  EXPECT_THAT(error(whole_model()), HasSubstr("the account of HF_TOKEN has no access"));
  answer_with(401, "");
  EXPECT_THAT(error(whole_model()), HasSubstr("does not take the token"));
  server_.set_rule([](const HubRequest&, HubAnswer& answer) {
    answer.headers.clear();
    answer.body = "<html>a page</html>";
  });
  EXPECT_THAT(error(whole_model()), HasSubstr("HF_ENDPOINT must be the address"));
}

TEST_F(ModelsByName, TheTokenGoesToTheHubAlone) {
  settings_.token = "hf_secret";
  ASSERT_TRUE(fetch(model_blocks(0, 1)).ok());
  int at_hub = 0, at_cdn = 0;
  for (const HubRequest& request : server_.requests()) {
    if (request.at_cdn) {
      ++at_cdn;
      EXPECT_EQ(request.header("authorization"), "");
    } else {
      ++at_hub;
      EXPECT_EQ(request.header("authorization"), "Bearer hf_secret");
    }
  }
  EXPECT_GT(at_hub, 2);
  EXPECT_GT(at_cdn, 2);
}

// A model of several files: whoever needs few tensors of one gets these, and of others the header.
TEST(ModelsByNameInShards, AreFetchedAsFarAsTheyAreNeeded) {
  ::setenv("no_proxy", "127.0.0.1,127.0.0.2", 1);
  const tests::TempDir folder;
  // Ends, 0:3, 3:6, 6:8.
  const std::vector<std::string> names = tests::split_model(kDemo, folder.file("model"), 3);
  const std::string tool_use = "chat_templates/tool_use.jinja";
  fs::create_directories(folder.file("model/chat_templates/more"));
  tests::write_file(folder.file("model/" + tool_use), "{{ tools }}");
  tests::write_file(folder.file("model/chat_templates/more/deep.jinja"), "nobody reads it");
  tests::HubServer server("org/shards", folder.file("model"));
  Settings settings;
  settings.endpoint = server.endpoint();
  settings.cache = folder.file("hub");
  const base::StopToken never;
  const auto fetch = [&](const Purpose& purpose) -> absl::StatusOr<std::string> {
    Told told{.work = [&](const std::string&) { return FileWork{.stop = &never}; },
              .note = [](const std::string&) {},
              .stop = &never};
    auto model = HubModel::open(settings, {"org/shards"}, told);
    if (!model.ok()) return model.status();
    return model->fetch(purpose);
  };
  const auto node = fetch(model_blocks(2, 4));
  ASSERT_TRUE(node.ok()) << node.status();
  expect_tensors(*node, wants_blocks(2, 4));
  EXPECT_EQ(tests::read_file(*node + "/" + tool_use), "{{ tools }}");
  EXPECT_FALSE(fs::exists(*node + "/chat_templates/more"));
  EXPECT_LT(server.bytes_sent(names[0]), 4'096u);
  EXPECT_LT(server.bytes_sent(names[3]), 4'096u);
  EXPECT_LE(server.bytes_sent(names[1]) + server.bytes_sent(names[2]),
            bytes_of_blocks(2, 4) * 102 / 100 + 2 * 4'096);
  EXPECT_FALSE(fs::exists(*node + "/" + names[0] + ".shoal-part"));
  // A file of which all is wanted is one that can be proven, and that other tools use.
  const auto ends = fetch(model_ends());
  ASSERT_TRUE(ends.ok()) << ends.status();
  expect_tensors(*ends, wants_ends());
  EXPECT_TRUE(fs::is_symlink(*ends + "/" + names[0]));
  const auto config = load_config(*node).value();
  const auto meant =
      folder_manifest(config, read_weight_files(folder.file("model")).value(), {}).value();
  for (const std::string& here : {*node, *ends}) {
    const auto named = folder_manifest(config, read_weight_files(here).value(), {});
    ASSERT_TRUE(named.ok()) << named.status();
    ASSERT_TRUE(named->has_value());
    EXPECT_EQ((*named)->digest, meant->digest);
  }
  const auto whole = fetch(whole_model());
  ASSERT_TRUE(whole.ok()) << whole.status();
  expect_tensors(*whole, wants_all());
}

}  // namespace
}  // namespace shoal::model::hub
