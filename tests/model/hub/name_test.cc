// SPDX-License-Identifier: Apache-2.0
// What --model may say, and which addresses are one origin.
#include "model/hub/name.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/hub/url.h"

namespace shoal::model::hub {
namespace {

using ::testing::HasSubstr;

TEST(HubNames, AreAnOrganizationANameAndARevision) {
  EXPECT_EQ(parse_hub_name("org/name"), (HubName{"org/name", "main"}));
  EXPECT_EQ(parse_hub_name("Qwen/Qwen2.5-0.5B_x@v1.0"), (HubName{"Qwen/Qwen2.5-0.5B_x", "v1.0"}));
  EXPECT_EQ(parse_hub_name("a/b@refs/pr/1"), (HubName{"a/b", "refs/pr/1"}));
  EXPECT_EQ((HubName{"a/b", "refs/pr/1"}).text(), "a/b@refs/pr/1");
  EXPECT_EQ((HubName{"a/b"}).text(), "a/b");
}

TEST(HubNames, AreNothingElse) {
  for (const char* text :
       {"",           "name",     "a/b/c",  "/b",      "a/",      "a/..",   "../b",
        "./b",        "a/.b",     "-a/b",   "a/b-",    "a--b/c",  "a/b..c", "a b/c",
        "a/b\n",      "a/b%",     "a\\b/c", "a/b.git", "a/b@",    "a/b@-x", "a/b@../x",
        "a/b@x/../y", "a/b@x//y", "a/b@/x", "a/b@x/",  "a/b@x y", "a/b@.x", "a/b@x/.y"}) {
    EXPECT_EQ(parse_hub_name(text), std::nullopt) << text;
  }
  EXPECT_TRUE(parse_hub_name(std::string(47, 'a') + "/" + std::string(48, 'b')));
  EXPECT_FALSE(parse_hub_name(std::string(48, 'a') + "/" + std::string(48, 'b')));
  EXPECT_FALSE(parse_hub_name("a/b@" + std::string(256, 'c')));
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
}

TEST(HubNames, AFolderThatIsThereWins) {
  EXPECT_EQ(name_of_model("models/demo", true).value(), std::nullopt);
  EXPECT_EQ(name_of_model("models/demo", false).value(), (HubName{"models/demo"}));
  for (const char* path : {"/nowhere/model", "./a/b", "../a"}) {
    EXPECT_EQ(name_of_model(path, false).value(), std::nullopt) << path;
  }
  for (const char* text : {"nowhere", "a/b/c", "a/b@"}) {
    const auto neither = name_of_model(text, false).status();
    EXPECT_THAT(std::string(neither.message()), HasSubstr("no such folder")) << text;
    EXPECT_THAT(std::string(neither.message()), HasSubstr("ORG/NAME[@REVISION]")) << text;
  }
}

TEST(Urls, AnOriginIsSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://Hub.example/a?b"), (Origin{"https", "hub.example", "443"}));
  EXPECT_EQ(origin_of("http://h:8/"), origin_of("HTTP://H:8/other"));
  EXPECT_EQ(origin_of("http://[::1]:80"), origin_of("http://[::1]/x"));
  EXPECT_NE(origin_of("http://127.0.0.1:80"), origin_of("http://127.0.0.2:80"));
  EXPECT_NE(origin_of("http://h"), origin_of("https://h"));
  EXPECT_NE(origin_of("http://h:80"), origin_of("http://h:81"));
  for (const char* url :
       {"", "h", "ftp://h", "file:///etc/passwd", "http://", "http://u@h/", "http://u:p@h",
        "http://h:x", "http://h:123456", "http://h /", "https://\n"}) {
    EXPECT_EQ(origin_of(url), std::nullopt) << url;
  }
}

TEST(Urls, NobodyIsLedFromHttpsToHttp) {
  EXPECT_TRUE(may_redirect("https://a/x", "https://b/y"));
  EXPECT_TRUE(may_redirect("http://a/x", "http://b/y"));
  EXPECT_TRUE(may_redirect("http://a/x", "https://b/y"));
  EXPECT_FALSE(may_redirect("https://a/x", "http://a/x"));
  EXPECT_FALSE(may_redirect("https://a/x", "file:///etc/passwd"));
  EXPECT_FALSE(may_redirect("https://a/x", ""));
  EXPECT_EQ(url_escaped("refs/pr/1 ä", false), "refs%2Fpr%2F1%20%C3%A4");
  EXPECT_EQ(url_escaped("a/b+c.json", true), "a/b%2Bc.json");
}

}  // namespace
}  // namespace shoal::model::hub
