// SPDX-License-Identifier: Apache-2.0
// What a node counts of itself: sums, peaks, the file that outlives a run, the log's lines.
#include "node/account/account.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "node/account/amounts.h"
#include "tests/support/temp_dir.h"

namespace shoal::node {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using Time = SessionLog::Time;

const Time kStart{hours(1'000)};

TEST(Amounts, AreWrittenAsPeopleReadThem) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1'000), "1,000");
  EXPECT_EQ(count_text(12'345'678), "12,345,678");
  EXPECT_EQ(count_of(1, "session", "sessions"), "1 session");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(1'234'567), "1.2 MB");
  EXPECT_EQ(bytes_text(999'990), "1.0 MB");
  EXPECT_EQ(duration_text(41.9), "41 s");
  EXPECT_EQ(duration_text(3'600), "1 h");
  EXPECT_EQ(duration_text(2 * 3'600 + 5 * 60 + 7), "2 h 5 min");
  EXPECT_EQ(duration_text(86'400 * 20 + 7'200), "20 days 2 h");
  EXPECT_EQ(energy_text(36'000), "36.0 kJ (0.010 kWh)");
}

Tally tally_of(std::uint64_t factor) {
  Tally tally;
  tally.sessions_opened = 3 * factor;
  tally.sessions_ended = 2 * factor;
  tally.sessions_failed = factor;
  tally.hops_lost = 4 * factor;
  tally.prefill_tokens = 100 * factor;
  tally.decode_tokens = 50 * factor;
  tally.bytes_in = 1'000 * factor;
  tally.bytes_out = 2'000 * factor;
  tally.session_s = 1.5 * static_cast<double>(factor);
  tally.up_s = 100.0 * static_cast<double>(factor);
  tally.paused_s = 10.0 * static_cast<double>(factor);
  tally.computing_s = 25.0 * static_cast<double>(factor);
  tally.energy_j = 7.0 * static_cast<double>(factor);
  tally.energy_s = 99.0 * static_cast<double>(factor);
  tally.peak_sessions = 2 + factor;
  tally.peak_kv_positions = 64 * factor;
  return tally;
}

TEST(Tally, SumsAddUpAndPeaksDoNot) {
  const Tally sum = tally_of(1) + tally_of(2);
  Tally expected = tally_of(3);
  expected.peak_sessions = 4;
  expected.peak_kv_positions = 128;
  EXPECT_EQ(sum, expected);
  Tally part = since(tally_of(3), tally_of(1));
  EXPECT_EQ(part.peak_sessions, tally_of(3).peak_sessions);
  part.peak_sessions = tally_of(2).peak_sessions;
  part.peak_kv_positions = tally_of(2).peak_kv_positions;
  EXPECT_EQ(part, tally_of(2));
  EXPECT_DOUBLE_EQ(tally_of(2).computing_share(), 0.25);
  EXPECT_EQ(Tally{}.computing_share(), 0);
  EXPECT_EQ(tally_text(tally_of(1)),
            "3 sessions, 1 of them failed; 150 tokens; 1.0 kB in, 2.0 kB out; computing 25.0 % of "
            "the time; lost 4 next hops; paused for 10 s; energy of the whole machine 7.0 J (0.000 "
            "kWh)");
}

TEST(Ledger, OfAnyBytesIsTheOneThatWasWrittenOrAnError) {
  const Ledger ledger{1'700'000'000, tally_of(7)};
  const std::string text = ledger_json(ledger);
  ASSERT_TRUE(parse_ledger(text).ok()) << parse_ledger(text).status();
  EXPECT_EQ(*parse_ledger(text), ledger);
  // Cut short anywhere.
  for (std::size_t size = 0; size + 2 < text.size(); ++size) {
    EXPECT_FALSE(parse_ledger(std::string_view(text).substr(0, size)).ok()) << size;
  }
  for (const char* wrong :
       {"", "[]", "null", "{}", R"({"version":2,"since":1})", R"({"version":1})",
        R"({"version":1,"since":"x"})", R"({"version":1,"since":1,"bytes_in":-1})",
        R"({"version":1,"since":1,"bytes_in":1.5})", R"({"version":1,"since":1,"up_s":-1})",
        R"({"version":1,"since":1,"up_s":"x"})", R"({"version":1,"since":1,"up_s":1e999})"}) {
    EXPECT_FALSE(parse_ledger(wrong).ok()) << wrong;
  }
  EXPECT_FALSE(parse_ledger(text + std::string(20'000, ' ')).ok());
  // What an earlier version did not count is 0.
  ASSERT_TRUE(parse_ledger(R"({"version":1,"since":5})").ok());
  EXPECT_EQ(*parse_ledger(R"({"version":1,"since":5})"), (Ledger{5, {}}));
}

std::string opened(SessionLog& log, Time now) { return log.opened({"aa", "bb"}, now).value_or(""); }
std::string ended(SessionLog& log, Time now, const std::string& failure = "") {
  SessionEnd end{.session = "aa", .prefill_tokens = 90, .decode_tokens = 10};
  end.bytes_in = 1'000;
  end.bytes_out = 2'000;
  end.seconds = 3;
  end.failure = failure;
  return log.ended(end, now).value_or("");
}

TEST(SessionLog, FewSessionsHaveALineEach) {
  SessionLog log;
  EXPECT_EQ(opened(log, kStart), "session aa opened by client bb");
  EXPECT_EQ(ended(log, kStart), "session aa ended after 3 s: 100 tokens, 1.0 kB in, 2.0 kB out");
  EXPECT_THAT(ended(log, kStart, "this node is shutting down"),
              HasSubstr("(this node is shutting down)"));
  EXPECT_EQ(log.lost({"aa", "cc", "gone"}, kStart), "session aa lost its next hop cc: gone");
  EXPECT_EQ(log.tend(kStart + minutes(1)), std::nullopt);
  EXPECT_EQ(log.close(), std::nullopt);
}

TEST(SessionLog, ManySessionsHaveOneLineAMinute) {
  SessionLog log;
  int lines = 0;
  std::vector<std::string> merged;
  // 400 sessions a minute for ten minutes, each a second long.
  for (int ms = 0; ms < 600'000; ms += 150) {
    const Time now = kStart + milliseconds(ms);
    if (!opened(log, now).empty()) ++lines;
    if (!ended(log, now, ms % 3'000 == 0 ? "no" : "").empty()) ++lines;
    if (const auto line = log.tend(now)) merged.push_back(*line);
  }
  EXPECT_EQ(lines, SessionLog::kMostLines) << "of the first minute";
  ASSERT_EQ(merged.size(), 9u);
  EXPECT_EQ(merged[3],
            "many sessions, told once a minute: 401 more opened, 401 ended (20 failed) with 40,100 "
            "tokens, 401.0 kB in, 802.0 kB out");
  // A quiet minute behind it is told in full from its end on.
  EXPECT_TRUE(log.close().has_value());
  EXPECT_EQ(opened(log, kStart + minutes(20)), "") << "it may be another busy one";
  EXPECT_THAT(log.tend(kStart + minutes(21)).value_or(""), HasSubstr("1 more opened, 0 ended"));
  EXPECT_THAT(opened(log, kStart + minutes(22)), HasSubstr("opened"));
}

TEST(ServiceBook, CountsFromManyThreads) {
  std::atomic<int> lines = 0;
  ServiceBook book([&](const std::string&) { ++lines; });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 250; ++i) {
        book.opened({"aa", "bb"}, kStart);
        book.received(3);
        book.computed(1);
        book.computed(10);
        book.sent(5);
        book.ended({.session = "aa", .seconds = 2, .failure = i % 10 == 0 ? "no" : ""}, kStart);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Tally tally = book.tally();
  EXPECT_EQ(tally.sessions_opened, 1'000u);
  EXPECT_EQ(tally.sessions_ended, 1'000u);
  EXPECT_EQ(tally.sessions_failed, 100u);
  EXPECT_DOUBLE_EQ(tally.session_s, 2'000);
  EXPECT_EQ(tally.bytes_in, 3'000u);
  EXPECT_EQ(tally.bytes_out, 5'000u);
  EXPECT_EQ(tally.decode_tokens, 1'000u);
  EXPECT_EQ(tally.prefill_tokens, 10'000u);
  EXPECT_GE(tally.peak_sessions, 1u);
  EXPECT_LE(tally.peak_sessions, 4u);
  EXPECT_EQ(lines, SessionLog::kMostLines);
  book.close();
  EXPECT_EQ(lines, SessionLog::kMostLines + 1);
}

class AccountTest : public testing::Test {
 protected:
  Account start(std::int64_t unix_s) {
    Account::Options options;
    options.file = file_;
    options.info = [this](const std::string& text) { info_.push_back(text); };
    options.warn = [this](const std::string& text) { warnings_.push_back(text); };
    options.unix_s = unix_s;
    options.now = kStart;
    return {std::move(options), EnergyMeter(folder_.file("powercap"))};
  }

  tests::TempDir folder_;
  std::string file_ = folder_.file("node.account");
  std::vector<std::string> info_, warnings_;
};

TEST_F(AccountTest, TellsWhatAMachineDidSinceItsFirstDay) {
  {
    Account account = start(1'000'000'000);
    account.tend(NodeMoment{}, kStart);
    account.book().opened({"aa", "bb"}, kStart);
    account.book().computed(64);
    account.tend(NodeMoment{.computing_s = 2, .kv_positions = 512}, kStart + seconds(10));
    account.tend(NodeMoment{.paused = true, .computing_s = 2}, kStart + seconds(16));
    account.tend(std::nullopt, kStart + seconds(20));
    // Its device was started anew.
    account.tend(NodeMoment{.computing_s = 1}, kStart + seconds(30));
    const Tally run = account.run();
    EXPECT_DOUBLE_EQ(run.up_s, 30);
    EXPECT_DOUBLE_EQ(run.paused_s, 10);
    EXPECT_DOUBLE_EQ(run.computing_s, 3);
    EXPECT_EQ(run.peak_kv_positions, 512u);
    EXPECT_EQ(run.peak_sessions, 1u);
    EXPECT_EQ(run.prefill_tokens, 64u);
    account.close(kStart + seconds(31));
    EXPECT_THAT(info_.back(), HasSubstr("in this run of 31 s: 1 session; 64 tokens"));
  }
  Account account = start(1'700'000'000);
  account.tend(NodeMoment{}, kStart);
  account.book().computed(1);
  const Ledger all = account.since_day_one();
  EXPECT_EQ(all.since_unix_s, 1'000'000'000);
  EXPECT_EQ(all.tally.tokens(), 65u);
  EXPECT_EQ(all.tally.peak_kv_positions, 512u);
  EXPECT_DOUBLE_EQ(all.tally.up_s, 31);
  EXPECT_EQ(account.run().tokens(), 1u);
  info_.clear();
  account.close(kStart + seconds(5));
  account.close(kStart + seconds(6));
  ASSERT_EQ(info_.size(), 2u);
  EXPECT_THAT(info_[1], HasSubstr("running for 36 s: 1 session; 65 tokens"));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(AccountTest, EveryHourHasALine) {
  Account account = start(1);
  for (int minute = 0; minute <= 125; ++minute) {
    account.book().computed(1);
    account.tend(NodeMoment{.computing_s = 30.0 * minute}, kStart + minutes(minute));
  }
  EXPECT_THAT(info_, ElementsAre(HasSubstr("in the last hour: 0 sessions; 61 tokens; 0 B in, 0 B "
                                           "out; computing 50.0 % of the time"),
                                 HasSubstr("in the last hour: 0 sessions; 60 tokens")));
  EXPECT_EQ(account.hour().tokens(), 5u);
}

TEST_F(AccountTest, IsSavedEveryFiveMinutesForMachinesThatLosePower) {
  Account account = start(1);
  account.tend(NodeMoment{}, kStart);
  EXPECT_TRUE(LedgerFile(file_).load().ok()) << "its first day is known from the start";
  account.book().computed(9);
  account.tend(NodeMoment{}, kStart + minutes(4));
  EXPECT_EQ(LedgerFile(file_).load()->tally.tokens(), 0u);
  account.tend(NodeMoment{}, kStart + minutes(5));
  EXPECT_EQ(LedgerFile(file_).load()->tally.tokens(), 9u);
}

// One that finishes its sessions while its successor serves already.
TEST_F(AccountTest, TwoOfOneIdentityAddUp) {
  Account first = start(1);
  first.tend(NodeMoment{}, kStart);
  first.book().computed(2);
  first.tend(NodeMoment{}, kStart + minutes(5));
  Account second = start(2);
  second.tend(NodeMoment{}, kStart);
  first.book().computed(3);
  second.book().computed(10);
  second.tend(NodeMoment{}, kStart + minutes(5));
  first.close(kStart + minutes(6));
  second.close(kStart + minutes(6));
  const auto kept = LedgerFile(file_).load();
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->tally.tokens(), 15u);
  EXPECT_EQ(kept->since_unix_s, 1);
  EXPECT_DOUBLE_EQ(kept->tally.up_s, 2 * 360);
}

TEST_F(AccountTest, ADamagedFileIsALineAndANewBeginning) {
  tests::write_file(file_, "{\"version\":1,\"since\":12");
  Account account = start(7);
  ASSERT_THAT(warnings_, ElementsAre(HasSubstr("counted anew")));
  EXPECT_THAT(warnings_[0], HasSubstr(file_));
  EXPECT_EQ(account.since_day_one().since_unix_s, 7);
  account.tend(NodeMoment{}, kStart);
  EXPECT_TRUE(LedgerFile(file_).load().ok());
  EXPECT_EQ(tests::read_file(file_ + ".damaged"), "{\"version\":1,\"since\":12");
}

TEST_F(AccountTest, AFileThatCannotBeReadOrWrittenStopsNobody) {
  std::filesystem::create_directory(file_);  // root could read any file
  Account account = start(7);
  ASSERT_THAT(warnings_, ElementsAre(HasSubstr("for this run only")));
  account.tend(NodeMoment{}, kStart);
  account.tend(NodeMoment{}, kStart + minutes(6));
  EXPECT_EQ(warnings_.size(), 1u);
  file_ = folder_.file("missing/node.account");
  Account second = start(7);
  for (int minute = 0; minute < 20; ++minute) second.tend(NodeMoment{}, kStart + minutes(minute));
  ASSERT_EQ(warnings_.size(), 2u) << "once, not every five minutes";
  EXPECT_THAT(warnings_[1], HasSubstr("cannot write"));
  file_.clear();
  Account third = start(7);
  third.tend(NodeMoment{}, kStart);
  EXPECT_EQ(warnings_.size(), 2u);
}

// A copy of the kernel's folder.
void write_zone(const std::string& folder, const std::string& name, std::uint64_t uj) {
  std::filesystem::create_directories(folder);
  tests::write_file(folder + "/name", name + "\n");
  tests::write_file(folder + "/energy_uj", std::to_string(uj) + "\n");
  tests::write_file(folder + "/max_energy_range_uj", "100000000\n");
}

TEST(EnergyMeter, AddsUpTheProcessors) {
  const tests::TempDir folder;
  write_zone(folder.file("intel-rapl:0"), "package-0", 99'000'000);
  write_zone(folder.file("intel-rapl:1"), "package-1", 5'000'000);
  write_zone(folder.file("intel-rapl:0:0"), "core", 1);          // a part of the first
  write_zone(folder.file("intel-rapl:2"), "psys", 1);            // the whole machine again
  write_zone(folder.file("intel-rapl-mmio:0"), "package-0", 1);  // the first again
  EnergyMeter meter(folder.path());
  EXPECT_EQ(meter.sources(), "processors");
  EXPECT_EQ(meter.take(kStart), std::nullopt);
  write_zone(folder.file("intel-rapl:0"), "package-0", 2'000'000);  // it came round
  write_zone(folder.file("intel-rapl:1"), "package-1", 6'500'000);
  write_zone(folder.file("intel-rapl:2"), "psys", 90'000'000);
  EXPECT_DOUBLE_EQ(meter.take(kStart + seconds(1)).value_or(-1), 4.5);
  EXPECT_DOUBLE_EQ(meter.take(kStart + seconds(2)).value_or(-1), 0);
  EXPECT_EQ(grown(90, 10, 100), 20u);
  EXPECT_EQ(grown(90, 10, 0), 0u);
}

TEST(EnergyMeter, SaysWhereTheSystemDoesNotTell) {
  const tests::TempDir folder;
  EnergyMeter none(folder.file("nothing"));
  EXPECT_EQ(none.sources(), "not told by this system");
  none.count_gpus(folder.file("no-library.so"));
  EXPECT_EQ(none.take(kStart), std::nullopt);
  EXPECT_EQ(none.take(kStart + seconds(1)), std::nullopt);
  std::filesystem::create_directories(folder.file("intel-rapl:0"));
  tests::write_file(folder.file("intel-rapl:0/name"), "package-0\n");
  EnergyMeter closed(folder.path());
  EXPECT_THAT(closed.sources(), HasSubstr("root may read it"));
}

// tests/node/account/fake_nvml.cc: two GPUs, of which one counts its energy and one tells its
// power.
TEST(EnergyMeter, AddsUpTheGpus) {
  const tests::TempDir folder;
  EnergyMeter meter(folder.path());
  meter.count_gpus(SHOAL_FAKE_NVML);
  meter.count_gpus(SHOAL_FAKE_NVML);
  EXPECT_EQ(meter.sources(), "2 GPUs");
  EXPECT_EQ(meter.take(kStart), std::nullopt);
  // 1000 mJ more at each question; 50 W for two seconds.
  EXPECT_DOUBLE_EQ(meter.take(kStart + seconds(2)).value_or(-1), 1 + 100);
}

}  // namespace
}  // namespace shoal::node
