#include "report/recent_lines.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/random.h"

namespace ringplane::report {
namespace {

std::vector<std::uint64_t> numbers_in(const nlohmann::ordered_json& answer) {
  std::vector<std::uint64_t> numbers;
  for (const auto& each : answer["lines"]) numbers.push_back(each["number"]);
  return numbers;
}

TEST(RecentLinesTest, a_reader_that_goes_on_from_the_last_sees_each_line_once) {
  RecentLines lines;
  EXPECT_EQ(lines.after({}).dump(), R"({"lines":[],"last":0,"overwritten":0})");
  lines.add("one");
  lines.add("two");
  const auto first = lines.after({});
  EXPECT_EQ(first["lines"].dump(), R"([{"number":1,"line":"one"},{"number":2,"line":"two"}])");
  EXPECT_EQ(first["last"], 2);
  lines.add("three");
  EXPECT_EQ(numbers_in(lines.after({.after = 2})), (std::vector<std::uint64_t>{3}));
  EXPECT_TRUE(lines.after({.after = 3})["lines"].empty());
}

TEST(RecentLinesTest, the_oldest_go_and_are_counted) {
  RecentLines lines;
  for (std::size_t i = 1; i <= RecentLines::kMost + 7; ++i) lines.add(std::to_string(i));
  EXPECT_EQ(lines.after({})["overwritten"], 7);
  EXPECT_EQ(lines.after({})["lines"].size(), RecentLines::kMost);
  EXPECT_EQ(lines.after({})["lines"][0]["line"], "8");
  EXPECT_EQ(lines.after({.after = 5})["overwritten"], 2);
  EXPECT_EQ(lines.after({.after = 7})["overwritten"], 0);
}

TEST(RecentLinesTest, long_lines_do_not_take_more_memory_than_they_may) {
  RecentLines lines;
  for (int i = 0; i < 100; ++i) lines.add(std::string(RecentLines::kMostBytes / 10, 'x'));
  EXPECT_EQ(lines.after({})["lines"].size(), 10);
  lines.add(std::string(RecentLines::kMostBytes + 1, 'x'));
  EXPECT_TRUE(lines.after({})["lines"].empty());
  EXPECT_EQ(lines.after({})["overwritten"], 101);
}

TEST(RecentLinesTest, a_search_with_a_limit_goes_on_behind_what_it_has_looked_at) {
  RecentLines lines;
  for (int i = 1; i <= 9; ++i) lines.add(i % 2 == 0 ? "even" : "odd");
  const auto first = lines.after({.limit = 2, .search = "odd"});
  EXPECT_EQ(numbers_in(first), (std::vector<std::uint64_t>{1, 3}));
  EXPECT_EQ(first["last"], 3);
  const auto rest = lines.after({.after = 3, .search = "odd"});
  EXPECT_EQ(numbers_in(rest), (std::vector<std::uint64_t>{5, 7, 9}));
  EXPECT_EQ(rest["last"], 9);
}

TEST(RecentLinesTest, whoever_knows_numbers_of_another_process_is_told_the_last_of_this_one) {
  RecentLines lines;
  lines.add("x");
  const auto answer = lines.after({.after = 500});
  EXPECT_TRUE(answer["lines"].empty());
  EXPECT_EQ(answer["last"], 1);
}

// The oracle keeps every line; whatever a reader asks, it gets what is left of them.
TEST(RecentLinesTest, is_the_end_of_a_list_of_all_lines) {
  base::Random random(17);
  RecentLines lines;
  std::vector<std::string> all;
  for (int round = 0; round < 200; ++round) {
    for (std::uint64_t i = random.below(60); i > 0; --i) {
      all.push_back(std::string(random.below(3'000), 'a') + std::to_string(all.size()));
      lines.add(all.back());
    }
    const std::uint64_t after = random.below(all.size() + 10);
    const auto answer = lines.after({.after = after});
    std::uint64_t expected = after + answer["overwritten"].get<std::uint64_t>();
    for (const auto& each : answer["lines"]) {
      EXPECT_EQ(each["number"], ++expected);
      EXPECT_EQ(each["line"].get<std::string>(), all[expected - 1]);
    }
    if (after < all.size()) {
      EXPECT_EQ(expected, all.size());
    }
  }
}

TEST(RecentLinesTest, questions_are_checked) {
  EXPECT_EQ(RecentLines::Question::parse({{"after", 7}, {"search", "x"}})->after, 7);
  EXPECT_FALSE(RecentLines::Question::parse({{"after", "x"}}));
}

}  // namespace
}  // namespace ringplane::report
