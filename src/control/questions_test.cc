// What requests ask, and what is said of those that ask nothing.
#include "control/questions.h"

#include <cstddef>
#include <map>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "api/message.h"
#include "base/result.h"

namespace ringplane::control {
namespace {

using ::testing::HasSubstr;

api::Request with_body(std::string body, std::string type = "application/json") {
  api::Request request;
  request.method = "POST";
  request.content_type = std::move(type);
  request.body = std::move(body);
  return request;
}

api::Request with_query(std::map<std::string, std::string> query) {
  api::Request request;
  request.query = std::move(query);
  return request;
}

api::Request about_version(const std::string& text) {
  api::Request request;
  request.names["version"] = text;
  return request;
}

TEST(Questions, a_page_has_limits) {
  EXPECT_EQ(page_of(with_query({{"limit", "5"}, {"search", "x"}}), "flows")->dump(),
            R"({"limit":5,"offset":0,"search":"x","show":"flows","sort":""})");
  for (const char* bad : {"", "-1", "1e3", "99999999999999999999", " 1", "1 "}) {
    const auto page = page_of(with_query({{"offset", bad}}), "flows");
    ASSERT_FALSE(page) << bad;
    EXPECT_THAT(page.error().message, HasSubstr("'offset' must be a number"));
  }
}

TEST(Questions, lines_are_asked_for_behind_one_that_is_known) {
  EXPECT_EQ(lines_question(with_query({{"after", "7"}, {"search", "x"}}))->dump(),
            R"({"after":7,"limit":1000,"search":"x","show":"logs"})");
  EXPECT_FALSE(lines_question(with_query({{"limit", "1001"}})));
  EXPECT_FALSE(lines_question(with_query({{"after", "-1"}})));
}

TEST(Questions, a_list_as_text_and_as_json) {
  const auto text = table_wish_in(with_body("192.0.2.1 !10.0.0.0/8\n", "text/plain"));
  const auto json = table_wish_in(with_body(R"({"entries": ["192.0.2.1", "!10.0.0.0/8"], "save": false})"));
  ASSERT_TRUE(text && json);
  EXPECT_EQ(text->entries, json->entries);
  ASSERT_EQ(text->entries.size(), 2U);
  EXPECT_TRUE(text->entries[1].negated);
  const auto wrong = table_wish_in(with_body("192.0.2.1\n192.0.2.256\n", "text/plain"));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind, base::ErrorKind::kBadConfiguration);
  EXPECT_THAT(wrong.error().message, HasSubstr("line 2: '192.0.2.256' is no address"));
}

// A copy of such a value took a stack frame for each bracket, and the control process with it.
TEST(Questions, a_list_of_a_million_brackets_is_no_list) {
  constexpr std::size_t kDeep = 1'000'000;
  const std::string brackets = std::string(kDeep, '[') + std::string(kDeep, ']');
  const auto read = table_wish_in(with_body(R"({"entries": )" + brackets + "}"));
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("entry 1: it is no string"));
  EXPECT_FALSE(rule_wish_in(with_body(R"({"confirm_s": )" + brackets + "}")));
  EXPECT_FALSE(packet_in(with_body(R"({"packet": )" + brackets + "}")));
  EXPECT_FALSE(version_to_go_back_to(with_body(brackets)));
}

TEST(Questions, a_filter_that_the_asker_has_compiled) {
  const auto asked = tap_question(with_query({{"program", "40 0 0 12,6 0 0 65535"}, {"snap", "64"}}), "capture");
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_EQ((*asked)["program"].dump(), "[[40,0,0,12],[6,0,0,65535]]");
  EXPECT_EQ((*asked)["snap"], 64);
  for (const char* bad : {"40 0 0", "x", "40 256 0 0", "65536 0 0 0", "-1 0 0 0"})
    EXPECT_FALSE(tap_question(with_query({{"program", bad}}), "trace")) << bad;
}

TEST(Questions, rules_to_apply_and_to_go_back_to) {
  EXPECT_EQ(rule_wish_in(with_body(""))->confirm_s, 0U);
  EXPECT_EQ(rule_wish_in(with_body(R"({"confirm_s": 60})"))->confirm_s, 60U);
  for (const char* bad : {R"({"confirm_s": -1})", R"({"confirm_s": 4294967296})", R"({"dry_run": 1})", "[]", "{"})
    EXPECT_FALSE(rule_wish_in(with_body(bad))) << bad;
  EXPECT_EQ(*version_to_go_back_to(with_body("")), 0U);
  EXPECT_FALSE(version_to_go_back_to(with_body(R"({"to": "x"})")));
  EXPECT_EQ(*version_in_path(about_version("12")), 12U);
  EXPECT_FALSE(version_in_path(about_version("12x")));
}

}  // namespace
}  // namespace ringplane::control
