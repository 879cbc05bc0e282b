#include "api/origin.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ringplane::api {
namespace {

const std::vector<std::string> kNames{"localhost", "127.0.0.1", "[::1]"};

TEST(OriginTest, we_are_known_by_a_few_names_at_any_port) {
  for (const char* host : {"localhost", "localhost:8080", "LocalHost:1", "127.0.0.1:8080", "[::1]:8080", "[::1]", ""})
    EXPECT_TRUE(is_one_of_our_names(host, kNames)) << host;
}

TEST(OriginTest, a_name_that_leads_here_is_not_ours) {
  for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
                           "[::2]:8080", "::1", ":8080", "[::1", "evil]:127.0.0.1"})
    EXPECT_FALSE(is_one_of_our_names(host, kNames)) << host;
}

TEST(OriginTest, only_our_own_page_asks) {
  EXPECT_TRUE(is_our_own_page("", "localhost:8080"));
  EXPECT_TRUE(is_our_own_page("http://localhost:8080", "localhost:8080"));
  EXPECT_TRUE(is_our_own_page("https://localhost", "LOCALHOST")) << "behind a proxy";
  for (const char* origin : {"http://evil.example", "http://localhost:8081", "http://localhost", "null",
                             "localhost:8080", "file://localhost:8080"})
    EXPECT_FALSE(is_our_own_page(origin, "localhost:8080")) << origin;
}

}  // namespace
}  // namespace ringplane::api
