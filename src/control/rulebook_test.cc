#include "control/rulebook.h"

#include <cstdint>
#include <cstdlib>
#include <expected>
#include <filesystem>
#include <fstream>
#include <ios>
#include <memory>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/holdings.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "control/config.h"
#include "control/rule_version.h"

namespace ringplane::control {
namespace {

using ::testing::HasSubstr;

constexpr const char* kConfig =
    "rules = \"pf.conf\"\ntests = [\"pf.tests\"]\n"
    "[[port]]\nname = \"lan\"\ninterface = \"eth1\"\n[[port]]\nname = \"wan\"\ninterface = \"eth2\"\n"
    "[[bridge]]\nports = [\"lan\", \"wan\"]\n[control]\nstate = \"state\"\n";
constexpr const char* kPing = "in on lan inet proto icmp from 10.0.0.1 to 10.0.0.2 icmp-type echoreq expect pass\n";

/// kConfig with other words.
std::string with(const std::string& words, const std::string& others) {
  std::string text = kConfig;
  for (auto at = text.find(words); at != std::string::npos; at = text.find(words, at + others.size())) {
    text.replace(at, words.size(), others);
  }
  return text;
}

/// A folder with a configuration, and a data process that keeps what it is told.
class RulebookTest : public ::testing::Test, public Rulebook::Doer {
 protected:
  RulebookTest() {
    std::string name = ::testing::TempDir() + "ringplane-rulebook-XXXXXX";
    folder_ = mkdtemp(name.data());
    write("ringplane.toml", kConfig);
    write("pf.tests", kPing);
    write("pf.conf", "pass # 1\n");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  [[nodiscard]] Config config() const { return read_config(folder_ + "/ringplane.toml").config; }
  [[nodiscard]] RuleVersion on_disk() const { return read_version(config()).value(); }

  /// A control process begins, and so does a data process.
  void start() {
    estate_ = base::Holdings();
    book_ = std::make_unique<Rulebook>(config());
    RuleVersion version = book_->version_to_start_with(on_disk());
    estate_.add("rules", base::make_text_file(version.packed, "test").value());
    book_->started(std::move(version), *this);
  }
  /// The control process has died, the data process has not.
  void come_again() {
    book_ = std::make_unique<Rulebook>(config());
    book_->found(estate_, *this);
  }
  base::Result<std::string> go_over(base::Holdings rules) override {
    if (fails_) return base::fail("the data process is busy");
    (void)keep(std::move(rules));
    return std::to_string(++generation_);
  }
  [[nodiscard]] std::uint32_t flow_room() const noexcept override { return 100'000; }
  base::Result<void> keep(base::Holdings known) override {
    estate_.remove("rules_before");
    for (const char* name : {"rules", "rules_state", "rules_before"}) {
      if (known.find(name) >= 0) estate_.add(name, known.take(name));
    }
    return {};
  }
  /// The first line of the rules that the data process has, such as "pass # 1".
  [[nodiscard]] std::string running() const {
    const std::string packed = base::read_memory_file(estate_.find("rules")).value();
    const auto at = packed.find("pass");
    return at == std::string::npos ? packed : packed.substr(at, packed.find('\n', at) - at);
  }
  void apply(const std::string& rules, std::uint32_t confirm_s = 0) {
    write("pf.conf", rules);
    const auto applied = book_->apply({.confirm_s = confirm_s});
    ASSERT_TRUE(applied) << applied.error().message;
  }
  [[nodiscard]] std::uint32_t running_version() const {
    for (const auto& version : book_->history()) {
      if (version["running"] == true) return version["version"];
    }
    return 0;
  }
  static std::uint64_t in_seconds(std::uint64_t seconds) {
    return base::monotonic_ns() + (seconds * base::kNanosPerSecond);
  }

  std::string folder_;
  base::Holdings estate_;
  std::unique_ptr<Rulebook> book_;
  bool fails_ = false;
  int generation_ = 1;
};

TEST_F(RulebookTest, AppliesAndTellsWhatIsDifferent) {
  start();
  write("pf.conf", "pass # 2\nblock in on lan proto tcp\n");
  const auto answer = book_->apply({}).value();
  EXPECT_EQ(running(), "pass # 2");
  EXPECT_EQ(answer["version"], 2);
  EXPECT_EQ(answer["tests"], 1);
  EXPECT_EQ(answer["difference"]["added"], 1);
  const auto history = book_->history();
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[0]["by"], "start");
  EXPECT_EQ(history[1]["by"], "apply");
  EXPECT_EQ(history[1]["added"], 1);
  EXPECT_EQ(history[1]["running"], true);
  EXPECT_EQ(book_->history_of(2).value()["difference"], answer["difference"]);
  EXPECT_EQ(book_->history_of(1).value()["difference"]["added"], 1) << "the first against nothing";
}

TEST_F(RulebookTest, ADryRunChangesNothing) {
  start();
  write("pf.conf", "pass # 2\nblock in on lan proto tcp\n");
  const auto answer = book_->apply({.dry_run = true}).value();
  EXPECT_EQ(answer["applied"], false);
  EXPECT_EQ(answer["difference"]["added"], 1);
  EXPECT_EQ(running(), "pass # 1");
  EXPECT_EQ(book_->history().size(), 1U);
}

TEST_F(RulebookTest, EveryErrorIsNamedAndNothingChanged) {
  start();
  write("pf.conf", "pass # 2\nblok\npass in on dmz\n");
  const auto answer = book_->apply({});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("pf.conf:2:"));
  EXPECT_THAT(answer.error().message, HasSubstr("pf.conf:3:"));
  EXPECT_EQ(running(), "pass # 1");
  EXPECT_EQ(book_->history().size(), 1U);
}

TEST_F(RulebookTest, AFailingTestKeepsTheRulesOut) {
  start();
  write("pf.conf", "pass # 2\nblock proto icmp label \"no ping\"\n");
  write("pf.tests", std::string(kPing) + kPing);
  const auto answer = book_->apply({});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("2 of 2 rule tests fail:"));
  EXPECT_THAT(answer.error().message, HasSubstr("pf.tests:2: expected pass, but it is blocked by"));
  EXPECT_EQ(running(), "pass # 1");
}

TEST_F(RulebookTest, TestsThatCannotBeReadOrAreNoneAreErrors) {
  start();
  write("ringplane.toml", with("[\"pf.tests\"]", "[\"none\", \"pf.tests\"]"));
  write("pf.tests", "# nothing\n");
  const auto answer = book_->apply({});
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message, HasSubstr("cannot read the tests"));
  EXPECT_THAT(answer.error().message, HasSubstr("holds no test"));
}

TEST_F(RulebookTest, ReadsTheNamesOfRulesAndTestsAnew) {
  start();
  write("other.conf", "pass # other\n");
  write("ringplane.toml", with("\"pf.conf\"", "\"other.conf\""));
  const auto answer = book_->apply({});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(running(), "pass # other");
  EXPECT_THAT(answer->at("warnings").dump(), HasSubstr("all but `rules` and `tests` takes effect when"));
  write("ringplane.toml", "colour = \"red\"\n" + std::string(kConfig));
  EXPECT_THAT(book_->apply({}).error().message, HasSubstr("unknown key 'colour'"));
}

TEST_F(RulebookTest, WhatTheDataProcessDoesNotTakeIsNoVersion) {
  start();
  fails_ = true;
  write("pf.conf", "pass # 2\n");
  EXPECT_EQ(book_->apply({}).error().message, "the data process is busy");
  EXPECT_EQ(book_->history().size(), 1U);
  fails_ = false;
  EXPECT_EQ(book_->apply({}).value()["version"], 2);
}

TEST_F(RulebookTest, TheSameRulesAgainAreNoNewVersion) {
  start();
  const auto answer = book_->apply({.confirm_s = 60}).value();
  EXPECT_EQ(answer["unchanged"], true);
  EXPECT_EQ(generation_, 2) << "they are taken all the same: SIGHUP also brings a dead data process back";
  EXPECT_EQ(book_->history().size(), 1U);
  EXPECT_FALSE(book_->is_waiting());
}

TEST_F(RulebookTest, WithoutAConfirmationTheRulesBeforeComeBack) {
  start();
  apply("pass # 2\n", 60);
  EXPECT_EQ(running(), "pass # 2");
  book_->watch_deadline(in_seconds(59));
  EXPECT_EQ(running(), "pass # 2");
  book_->watch_deadline(in_seconds(61));
  EXPECT_EQ(running(), "pass # 1");
  EXPECT_EQ(book_->history()[2]["by"], "expiry");
  EXPECT_EQ(book_->history()[2]["same_as"], 1);
  EXPECT_THAT(book_->confirm().error().message, HasSubstr("no rules wait"));
}

TEST_F(RulebookTest, AConfirmationKeepsThem) {
  start();
  apply("pass # 2\n", 60);
  EXPECT_EQ(book_->confirm().value()["version"], 2);
  book_->watch_deadline(in_seconds(61));
  EXPECT_EQ(running(), "pass # 2");
  EXPECT_LT(estate_.find("rules_before"), 0);
}

TEST_F(RulebookTest, WhileRulesWaitOthersAreRefused) {
  start();
  apply("pass # 2\n", 60);
  write("pf.conf", "pass # 3\n");
  EXPECT_THAT(book_->apply({.by = "sighup"}).error().message, HasSubstr("waits for a confirmation, 60 s more"));
  EXPECT_TRUE(book_->apply({.dry_run = true})) << "that changes nothing";
  EXPECT_EQ(book_->rollback(0).value()["same_as"], 1) << "at once instead of at the deadline";
  EXPECT_FALSE(book_->is_waiting());
  apply("pass # 3\n");
}

TEST_F(RulebookTest, AConfirmationHasLimits) {
  start();
  for (const std::uint32_t seconds : {1U, 4U, 3601U}) {
    EXPECT_THAT(book_->apply({.confirm_s = seconds}).error().message, HasSubstr("from 5 to 3600 seconds"));
  }
}

TEST_F(RulebookTest, GoingBackThatFailsIsTriedAgain) {
  start();
  apply("pass # 2\n", 60);
  fails_ = true;
  book_->watch_deadline(in_seconds(61));
  EXPECT_EQ(running(), "pass # 2");
  fails_ = false;
  book_->watch_deadline(in_seconds(62));
  EXPECT_EQ(running(), "pass # 2") << "not at every turn";
  book_->watch_deadline(in_seconds(72));
  EXPECT_EQ(running(), "pass # 1");
}

TEST_F(RulebookTest, TheNextControlProcessHonoursTheDeadline) {
  start();
  apply("pass # 2\n", 60);
  come_again();
  EXPECT_TRUE(book_->is_waiting());
  EXPECT_FALSE(book_->wants(on_disk()));
  book_->watch_deadline(in_seconds(61));
  EXPECT_EQ(running(), "pass # 1");
  come_again();
  EXPECT_FALSE(book_->is_waiting());
  EXPECT_FALSE(book_->wants(on_disk())) << "the rules on disk are those that were gone back from";
  write("pf.conf", "pass # 3\n");
  EXPECT_TRUE(book_->wants(on_disk()));
}

TEST_F(RulebookTest, ItDoesSoWithoutAFolderToWriteTo) {
  write("ringplane.toml", with("\"state\"", "\"pf.conf/x\""));
  start();
  apply("pass # 2\n", 60);
  come_again();
  book_->watch_deadline(in_seconds(61));
  EXPECT_EQ(running(), "pass # 1");
}

TEST_F(RulebookTest, AStartDoesNotTakeWhatWasNeverConfirmed) {
  start();
  apply("pass # 2\n", 60);
  start();
  EXPECT_EQ(running(), "pass # 1");
  EXPECT_EQ(book_->history().back()["by"], "expiry");
  EXPECT_FALSE(book_->is_waiting());
  start();
  EXPECT_EQ(running(), "pass # 1") << "nor the start after it";
  EXPECT_EQ(book_->history().size(), 3U);
  apply("pass # 2\n");
  EXPECT_EQ(running(), "pass # 2") << "who says so again means it";
  start();
  EXPECT_EQ(running(), "pass # 2");
}

TEST_F(RulebookTest, AStartGoesByTheFilesWhenTheyAreOthers) {
  start();
  apply("pass # 2\n");
  ASSERT_TRUE(book_->rollback(0));
  start();
  EXPECT_EQ(running(), "pass # 1") << "gone back to";
  write("pf.conf", "pass # 3\n");
  start();
  EXPECT_EQ(running(), "pass # 3");
}

TEST_F(RulebookTest, GoesBackToAnyVersionThatIsKept) {
  start();
  for (int i = 2; i <= 4; ++i) apply("pass # " + std::to_string(i) + "\n");
  const auto answer = book_->rollback(2).value();
  EXPECT_EQ(running(), "pass # 2");
  EXPECT_EQ(answer["version"], 5);
  EXPECT_EQ(answer["same_as"], 2);
  EXPECT_THAT(answer["warnings"].dump(), HasSubstr("the files on disk stay as they are"));
  ASSERT_TRUE(book_->rollback(0));
  EXPECT_EQ(running(), "pass # 4") << "what ran before, so twice is back again";
  EXPECT_THAT(book_->rollback(77).error().message, HasSubstr("no version 77 of the rules: kept are 1 to 6"));
  EXPECT_THAT(book_->rollback(6).error().message, HasSubstr("is the one that runs"));
}

TEST_F(RulebookTest, NothingIsBeforeTheFirst) {
  start();
  EXPECT_THAT(book_->rollback(0).error().message, HasSubstr("no version of the rules before this one"));
}

TEST_F(RulebookTest, AVersionForOtherPortsIsRefused) {
  start();
  apply("pass # 2\n");
  apply("pass in on lan # 3\n");
  write("ringplane.toml", with("\"lan\"", "\"one\""));
  write("pf.tests", "in on one inet proto icmp from 10.0.0.1 to 10.0.0.2 icmp-type echoreq expect pass\n");
  write("pf.conf", "pass in on one # 4\n");
  start();
  EXPECT_THAT(book_->rollback(3).error().message, HasSubstr("version 3 of the rules does not fit the present"));
  EXPECT_EQ(running(), "pass in on one # 4");
  EXPECT_TRUE(book_->rollback(2));
}

TEST_F(RulebookTest, ARestartWithTheSameRulesIsNoNewVersion) {
  start();
  start();
  come_again();
  EXPECT_EQ(book_->history().size(), 1U);
  EXPECT_EQ(running_version(), 1U);
}

}  // namespace
}  // namespace ringplane::control
