#include "control/rule_history.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ringplane::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class RuleHistoryTest : public ::testing::Test {
 protected:
  RuleHistoryTest() {
    std::string name = ::testing::TempDir() + "ringplane-history-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::uint32_t add(RuleHistory& history, const std::string& packed) {
    VersionFacts facts{.by = "apply", .rules = packed.size(), .tests = 3};
    const auto added = history.add(facts, packed);
    EXPECT_TRUE(added) << added.error().message;
    return facts.number;
  }
  static std::vector<std::uint32_t> numbers_of(const RuleHistory& history) {
    std::vector<std::uint32_t> numbers;
    for (const VersionFacts& facts : history.versions()) numbers.push_back(facts.number);
    return numbers;
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }

  std::string folder_;
};

TEST_F(RuleHistoryTest, IsThereAfterARestart) {
  const std::string packed("with \n lines and \0 zeros", 24);
  {
    RuleHistory history = RuleHistory::open(folder_ + "/made/by/it", 5);
    EXPECT_EQ(add(history, packed), 1U);
    EXPECT_EQ(add(history, "two"), 2U);
    EXPECT_TRUE(history.set_waiting(2));
  }
  const RuleHistory history = RuleHistory::open(folder_ + "/made/by/it", 5);
  EXPECT_TRUE(history.trouble().empty());
  EXPECT_THAT(numbers_of(history), ElementsAre(1, 2));
  EXPECT_EQ(history.packed_of(1).value(), packed);
  EXPECT_EQ(history.find(2)->by, "apply");
  EXPECT_EQ(history.find(2)->tests, 3U);
  EXPECT_EQ(history.waiting(), 2U);
  EXPECT_EQ(history.next_number(), 3U);
}

TEST_F(RuleHistoryTest, ForgetsTheOldestAndNeverUsesANumberAgain) {
  {
    RuleHistory history = RuleHistory::open(folder_, 3);
    for (int i = 0; i < 5; ++i) add(history, std::to_string(i));
    EXPECT_THAT(numbers_of(history), ElementsAre(3, 4, 5));
    EXPECT_THAT(history.packed_of(2).error().message, HasSubstr("no version 2 of the rules: kept are 3 to 5"));
  }
  RuleHistory history = RuleHistory::open(folder_, 2);
  EXPECT_THAT(numbers_of(history), ElementsAre(4, 5)) << "fewer are wanted now";
  EXPECT_EQ(add(history, "next"), 6U);
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(folder_)) ++files;
  EXPECT_EQ(files, 2U);
}

TEST_F(RuleHistoryTest, LeavesOutWhatIsDamaged) {
  {
    RuleHistory history = RuleHistory::open(folder_, 9);
    for (const char* packed : {"one", "two", "three", "four"}) add(history, packed);
  }
  std::filesystem::resize_file(folder_ + "/rules-1", 40);
  std::fstream(folder_ + "/rules-2", std::ios::in | std::ios::out).seekp(-1, std::ios::end).put('X');
  write("rules-3", "no header\nthree");
  write("rules-7", "");
  write("rules-8x", "is not ours");
  write("rules.new", "was being written when the machine lost its power");
  RuleHistory history = RuleHistory::open(folder_, 9);
  EXPECT_THAT(numbers_of(history), ElementsAre(4));
  EXPECT_EQ(history.trouble().size(), 4U);
  EXPECT_EQ(add(history, "next"), 8U) << "above all that is there";
}

TEST_F(RuleHistoryTest, WhatCannotBeWrittenIsKeptInMemory) {
  write("file", "");
  RuleHistory history = RuleHistory::open(folder_ + "/file", 2);
  EXPECT_THAT(history.trouble().front(), HasSubstr("name another one as control.state"));
  for (std::uint32_t number = 1; number <= 3; ++number) {
    VersionFacts facts;
    const auto added = history.add(facts, "rules " + std::to_string(number));
    ASSERT_FALSE(added);
    EXPECT_THAT(added.error().message, HasSubstr("only until ringplane is restarted"));
  }
  EXPECT_THAT(numbers_of(history), ElementsAre(2, 3));
  EXPECT_EQ(history.packed_of(3).value(), "rules 3");
}

TEST_F(RuleHistoryTest, WithoutAFolderNothingIsWrittenAndNobodyComplains) {
  RuleHistory history = RuleHistory::open("", 2);
  EXPECT_TRUE(history.trouble().empty());
  EXPECT_EQ(add(history, "rules"), 1U);
  EXPECT_EQ(history.packed_of(1).value(), "rules");
}

}  // namespace
}  // namespace ringplane::control
