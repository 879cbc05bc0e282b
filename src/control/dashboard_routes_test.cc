#include "control/dashboard_routes.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "api/message.h"
#include "api/router.h"

namespace ringplane::control {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

api::Response dashboard_answer(const std::string& path, const std::string& has = "") {
  api::Router router;
  add_dashboard_routes(router);
  api::Request request;
  request.method = "GET";
  request.path = path;
  request.if_none_match = has;
  request.may_write = false;
  request.is_known = false;
  return router.answer(request);
}

TEST(DashboardRoutesTest, the_page_is_there_in_every_build) {
  const api::Response page = dashboard_answer("/");
  EXPECT_EQ(page.status, api::status::kOk);
  EXPECT_THAT(page.body, StartsWith("<!doctype html>"));
  EXPECT_THAT(page.headers.at("Content-Security-Policy"), StartsWith("default-src 'none'"));
#ifdef RINGPLANE_DASHBOARD
  EXPECT_THAT(page.body, HasSubstr("/app.js"));
#else
  EXPECT_THAT(page.body, HasSubstr("without its dashboard"));
#endif
}

TEST(DashboardRoutesTest, who_has_a_file_already_does_not_get_it_again) {
  const std::string tag = dashboard_answer("/").headers.at("ETag");
  const api::Response again = dashboard_answer("/", tag);
  EXPECT_EQ(again.status, api::status::kNotModified);
  EXPECT_EQ(again.body, "");
  EXPECT_EQ(dashboard_answer("/", "\"other\"").status, api::status::kOk);
}

#ifdef RINGPLANE_DASHBOARD
TEST(DashboardRoutesTest, script_and_style_are_files_of_their_own_with_the_licences_of_what_is_in_them) {
  EXPECT_THAT(dashboard_answer("/app.js").content_type, StartsWith("text/javascript"));
  EXPECT_THAT(dashboard_answer("/app.js").body, AllOf(HasSubstr("Leon Sorokin"), HasSubstr("Jason Miller")));
  EXPECT_THAT(dashboard_answer("/app.css").content_type, StartsWith("text/css"));
  EXPECT_NE(dashboard_answer("/app.js").headers.at("ETag"), dashboard_answer("/app.css").headers.at("ETag"));
}
#endif

TEST(DashboardRoutesTest, nothing_else_is_of_the_dashboard) {
  EXPECT_TRUE(is_of_dashboard("/app.css"));
  for (const char* path : {"", "/app", "/app.js/", "//", "/v1/ports", "/../app.js"})
    EXPECT_FALSE(is_of_dashboard(path));
}

}  // namespace
}  // namespace ringplane::control
