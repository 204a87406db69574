// SPDX-License-Identifier: Apache-2.0
// When a node serves: hours, what its owner said, and how it gets from serving to paused and back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <chrono>

#include "node/control/control_request.h"
#include "node/control/hours.h"
#include "node/control/node_status.h"
#include "node/control/owner_wish.h"
#include "node/control/pausing.h"

namespace shoal::node {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr int kMonday = 0, kFriday = 4, kSaturday = 5, kSunday = 6;

Hours hours_of(const std::vector<std::string>& texts) {
  const auto hours = Hours::parse(texts);
  EXPECT_TRUE(hours.ok()) << hours.status();
  return hours.ok() ? *hours : Hours();
}
LocalTime at(int weekday, int hour, int minute = 0) { return {weekday, hour * 60 + minute}; }

TEST(Hours, NothingNamedIsAlways) {
  EXPECT_TRUE(Hours().always());
  EXPECT_TRUE(Hours().open(at(kMonday, 3)));
  EXPECT_EQ(Hours().minutes_to_change(at(kMonday, 3)), std::nullopt);
}

TEST(Hours, GoBeyondMidnight) {
  const Hours night = hours_of({"22-7"});
  for (int day = kMonday; day <= kSunday; ++day) {
    EXPECT_FALSE(night.open(at(day, 21, 59)));
    EXPECT_TRUE(night.open(at(day, 22)));
    EXPECT_TRUE(night.open(at(day, 0)));
    EXPECT_TRUE(night.open(at(day, 6, 59)));
    EXPECT_FALSE(night.open(at(day, 7)));
  }
  EXPECT_EQ(night.minutes_to_change(at(kSunday, 21, 30)), 30);
  EXPECT_EQ(night.minutes_to_change(at(kSunday, 23)), 8 * 60);
  EXPECT_EQ(night.text(), "22-7");
}

TEST(Hours, SeveralRangesWithMinutes) {
  const Hours hours = hours_of({"12:30-13:30,01:00-05:15", "23-24"});
  EXPECT_FALSE(hours.open(at(kMonday, 12, 29)));
  EXPECT_TRUE(hours.open(at(kMonday, 12, 30)));
  EXPECT_FALSE(hours.open(at(kMonday, 13, 30)));
  EXPECT_TRUE(hours.open(at(kMonday, 5, 14)));
  EXPECT_FALSE(hours.open(at(kMonday, 5, 15)));
  EXPECT_TRUE(hours.open(at(kMonday, 23, 59)));
  EXPECT_FALSE(hours.open(at(kMonday, 0)));
}

TEST(Hours, DaysAreThoseOnWhichARangeBegins) {
  const Hours hours = hours_of({"mon-fri@22-7", "sat+sun@0-24"});
  EXPECT_FALSE(hours.open(at(kMonday, 0))) << "Sunday's ends with the day";
  EXPECT_TRUE(hours.open(at(kMonday, 22)));
  EXPECT_TRUE(hours.open(at(kFriday, 6)));
  EXPECT_FALSE(hours.open(at(kFriday, 12)));
  for (const int hour : {0, 3, 12, 23}) {
    EXPECT_TRUE(hours.open(at(kSaturday, hour)));
    EXPECT_TRUE(hours.open(at(kSunday, hour)));
  }
  EXPECT_EQ(hours.minutes_to_change(at(kFriday, 23)), (1 + 48) * 60);
  // Over the end of the week.
  const Hours weekend = hours_of({"fri-mon@20-6"});
  EXPECT_TRUE(weekend.open(at(kMonday, 21)));
  EXPECT_TRUE(weekend.open(at(1, 5)));
  EXPECT_FALSE(weekend.open(at(1, 21)));
  EXPECT_TRUE(weekend.open(at(kSunday, 21)));
  EXPECT_FALSE(weekend.open(at(kFriday, 5)));
  // The whole week is no change.
  EXPECT_EQ(hours_of({"0-24"}).minutes_to_change(at(kMonday, 3)), std::nullopt);
}

TEST(Hours, WhatCannotBeUnderstoodIsSaid) {
  for (const char* wrong : {"",
                            "22",
                            "22-",
                            "-7",
                            "22-7-9",
                            "25-7",
                            "24-7",
                            "7-7",
                            "22:60-7",
                            "22:5:5-7",
                            "a-b",
                            "mon@",
                            "mon-@22-7",
                            "xyz@22-7",
                            "mon@tue@22-7",
                            "mon,tue@22-7",
                            "22-7,",
                            "222-7",
                            "22 -7",
                            "24:01-3",
                            "-1-3",
                            "mon-tue-wed@1-2"}) {
    const auto hours = Hours::parse({wrong});
    ASSERT_FALSE(hours.ok()) << wrong;
    EXPECT_THAT(std::string(hours.status().message()), HasSubstr("for example 22-7")) << wrong;
  }
  EXPECT_FALSE(Hours::parse(std::vector<std::string>(65, "1-2")).ok());
}

// Time zones by rule, so that the machine's own data does not matter.
class Zone {
 public:
  explicit Zone(const char* zone) {
    if (const char* was = getenv("TZ")) was_ = was;
    setenv("TZ", zone, 1);
    tzset();
  }
  ~Zone() {
    if (was_.empty()) {
      unsetenv("TZ");
    } else {
      setenv("TZ", was_.c_str(), 1);
    }
    tzset();
  }

 private:
  std::string was_;
};

TEST(Hours, FollowTheClockOnTheWall) {
  constexpr std::int64_t kNoonUtc = 1'764'417'600;  // Saturday, 2025-11-29 12:00
  {
    const Zone zone("UTC0");
    EXPECT_EQ(local_time(kNoonUtc).weekday, kSaturday);
    EXPECT_EQ(local_time(kNoonUtc).minute, 12 * 60);
  }
  {
    const Zone zone("NZST-12NZDT,M9.5.0,M4.1.0/3");
    EXPECT_EQ(local_time(kNoonUtc).weekday, kSunday);
    EXPECT_EQ(local_time(kNoonUtc).minute, 60);
  }
  // Summer time begins on 2026-03-29 at 2 and ends on 2026-10-25 at 3.
  const Zone zone("CET-1CEST,M3.5.0,M10.5.0/3");
  const Hours hours = hours_of({"22-2:30"});
  constexpr std::int64_t kSpring = 1'774'746'000;  // 01:00 UTC, the moment of the change
  EXPECT_TRUE(hours.open(local_time(kSpring - 60)));
  EXPECT_EQ(local_time(kSpring).minute, 3 * 60);
  EXPECT_FALSE(hours.open(local_time(kSpring))) << "there is no half past two";
  constexpr std::int64_t kAutumn = 1'792'890'000;  // 01:00 UTC, likewise
  EXPECT_FALSE(hours.open(local_time(kAutumn - 60))) << "02:59, the first time";
  EXPECT_TRUE(hours.open(local_time(kAutumn))) << "02:00 again";
  EXPECT_FALSE(hours.open(local_time(kAutumn + 30 * 60)));
}

TEST(OwnerWish, WhatTheOwnerSaidGoesBeforeTheHours) {
  OwnerWish wish(hours_of({"22-7"}), true);
  EXPECT_TRUE(wish.at(1'000, at(kMonday, 23)).serve);
  const Wish day = wish.at(1'030, at(kMonday, 12));
  EXPECT_FALSE(day.serve);
  EXPECT_TRUE(day.by_hours);
  EXPECT_TRUE(day.free);
  EXPECT_EQ(day.until_unix_s, 1'020 + 10 * 3'600);
  // Resumed by day, until the hours begin; then they hold again.
  wish.resume();
  EXPECT_TRUE(wish.at(1'000, at(kMonday, 13)).serve);
  EXPECT_TRUE(wish.at(1'000, at(kMonday, 22)).serve);
  EXPECT_FALSE(wish.at(1'000, at(1, 7)).serve);
  // Paused by night, until resumed.
  wish.pause({});
  const Wish night = wish.at(1'000, at(1, 23));
  EXPECT_FALSE(night.serve);
  EXPECT_FALSE(night.by_hours);
  EXPECT_FALSE(night.free);
  EXPECT_EQ(night.until_unix_s, std::nullopt);
  EXPECT_FALSE(wish.at(900'000'000, at(2, 23)).serve);
  wish.resume();
  EXPECT_TRUE(wish.at(1'000, at(2, 23)).serve);
}

TEST(OwnerWish, APauseEndsAtItsTime) {
  OwnerWish wish;
  wish.pause({.until_unix_s = 500, .free = true, .all_the_time = true, .stop = true});
  EXPECT_EQ(
      wish.at(499, {}),
      (Wish{
          .serve = false, .all_the_time = true, .stop = true, .free = true, .until_unix_s = 500}));
  EXPECT_TRUE(wish.at(500, {}).serve);
  EXPECT_TRUE(wish.at(499, {}).serve) << "a clock that is set back does not begin it again";
}

using Act = Pausing::Act;
using std::chrono::milliseconds;
using std::chrono::seconds;
const Pausing::Time kBegin{std::chrono::hours(5)};

TEST(Pausing, SessionsFinishFirst) {
  Pausing pausing;
  EXPECT_EQ(pausing.next(true, seconds(10), 3, kBegin), Act::kNothing);
  EXPECT_EQ(pausing.next(false, seconds(10), 3, kBegin), Act::kDrain);
  EXPECT_EQ(pausing.state(), Pausing::State::kDraining);
  EXPECT_EQ(pausing.next(false, seconds(10), 1, kBegin + seconds(3)), Act::kNothing);
  EXPECT_EQ(pausing.next(false, seconds(10), 0, kBegin + seconds(4)), Act::kPause);
  EXPECT_EQ(pausing.next(false, seconds(10), 0, kBegin + seconds(5)), Act::kNothing);
  EXPECT_EQ(pausing.state(), Pausing::State::kPaused);
  EXPECT_EQ(pausing.next(true, seconds(10), 0, kBegin + seconds(6)), Act::kResume);
  EXPECT_EQ(pausing.state(), Pausing::State::kServing);
}

TEST(Pausing, InBoundedTime) {
  Pausing pausing;
  pausing.next(false, seconds(10), 3, kBegin);
  EXPECT_EQ(pausing.next(false, seconds(10), 3, kBegin + milliseconds(9'999)), Act::kNothing);
  EXPECT_EQ(pausing.next(false, seconds(10), 3, kBegin + seconds(10)), Act::kPause);
}

TEST(Pausing, MayBeTakenBack) {
  Pausing pausing;
  pausing.next(false, seconds(10), 3, kBegin);
  EXPECT_EQ(pausing.next(true, seconds(10), 3, kBegin + seconds(1)), Act::kResume);
  // A drain that becomes a pause ends when the pause would have.
  pausing.next(false, std::chrono::hours(1), 3, kBegin + seconds(20));
  EXPECT_EQ(pausing.next(false, seconds(10), 3, kBegin + seconds(29)), Act::kNothing);
  EXPECT_EQ(pausing.next(false, seconds(10), 3, kBegin + seconds(30)), Act::kPause);
}

TEST(ControlRequest, IsReadAsItWasWritten) {
  using Verb = ControlRequest::Verb;
  for (const ControlRequest& request :
       {ControlRequest{}, ControlRequest{.verb = Verb::kPause},
        ControlRequest{.verb = Verb::kPause, .for_s = 7'200, .free = true},
        ControlRequest{.verb = Verb::kResume},
        ControlRequest{.verb = Verb::kDrain, .free = true, .stop = true}}) {
    std::string line = line_of(request);
    ASSERT_EQ(line.back(), '\n');
    line.pop_back();
    const auto read = parse_request(line);
    ASSERT_TRUE(read.ok()) << line << ": " << read.status();
    EXPECT_EQ(*read, request) << line;
  }
}

TEST(ControlRequest, AnythingElseIsRefused) {
  for (const std::string& wrong :
       {std::string(), std::string(" "), std::string("stop"), std::string("Status"),
        std::string("status now"), std::string("pause for="), std::string("pause for=0"),
        std::string("pause for=-1"), std::string("pause for=99999999"),
        std::string("pause for=1e3"), std::string("pause stop"), std::string("resume free"),
        std::string("status\0x", 8), std::string("\xff\xfe\n"), std::string(300, 'a')}) {
    const auto read = parse_request(wrong);
    ASSERT_FALSE(read.ok()) << wrong;
    for (const char c : read.status().message()) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << wrong;
  }
}

TEST(ControlRequest, TimesOfAPause) {
  EXPECT_EQ(parse_pause_time("90").value_or(0), 90);
  EXPECT_EQ(parse_pause_time("45s").value_or(0), 45);
  EXPECT_EQ(parse_pause_time("30m").value_or(0), 1'800);
  EXPECT_EQ(parse_pause_time("2h").value_or(0), 7'200);
  EXPECT_EQ(parse_pause_time("366d").value_or(0), kMaxPauseSeconds);
  for (const char* wrong : {"", "h", "0", "-1h", "1.5h", "2 h", "367d", "2hh", "99999999999999d"}) {
    EXPECT_FALSE(parse_pause_time(wrong).ok()) << wrong;
  }
}

TEST(NodeStatus, IsToldToPeopleAndPrograms) {
  NodeStatus status;
  status.state = "paused";
  status.peer_id = std::string(64, 'a');
  status.address = "127.0.0.1:7000";
  status.model = "tale\x1b[2J";
  status.blocks = "0:4";
  status.sessions = 1;
  status.kv_positions = 65'536;
  status.free_kv_positions = 61'440;
  StatusContext context;
  context.run.sessions_opened = 1'234;
  context.run.decode_tokens = 45'678;
  context.run.up_s = 3'600;
  context.run.computing_s = 360;
  context.since_day_one = {1'700'000'000, context.run};
  context.energy_sources = "not told by this system";
  context.hours = "22-7";
  context.wish = {.serve = false, .by_hours = true, .until_unix_s = 1'700'003'600};
  const std::string json = node_status_json(status, context);
  EXPECT_THAT(json, HasSubstr(R"("ok":true)"));
  EXPECT_THAT(json, Not(HasSubstr("\n")));
  const std::string text = node_status_text(json);
  EXPECT_THAT(text, HasSubstr("node aaaaaaaaaaaaaaaa: paused, blocks 0:4 of tale?[2J at "
                              "127.0.0.1:7000\n"));
  status.place = "via relay 192.0.2.1:7000";
  EXPECT_THAT(node_status_text(node_status_json(status, context)),
              HasSubstr("of tale?[2J via relay 192.0.2.1:7000\n"));
  EXPECT_THAT(text, HasSubstr("outside of its hours, until 2023-11-1"));
  EXPECT_THAT(text, HasSubstr("hours     22-7\n"));
  EXPECT_THAT(text, HasSubstr("1 session, 0 steps waiting, KV 4,096 of 65,536 positions\n"));
  EXPECT_THAT(text, HasSubstr("1 h: 1,234 sessions; 45,678 tokens; 0 B in, 0 B out; computing 10.0 "
                              "% of the time"));
  EXPECT_THAT(text, HasSubstr("energy    not told by this system\n"));
  // Of another version, or of no node at all.
  for (const char* other :
       {"", "[]", "null", "{", R"({"peer_id":5,"run":[],"pause":{"until":-3},"energy":{}})",
        R"({"kv_positions":-5,"run":{"tokens":1e300,"seconds":"x"},"since":99999999999999999})"}) {
    EXPECT_THAT(node_status_text(other), HasSubstr("node ")) << other;
  }
}

}  // namespace
}  // namespace shoal::node
