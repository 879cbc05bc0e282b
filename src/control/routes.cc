// What the API answers (docs/reference/openapi.json). Each route is a line of add_routes(); what takes more than a few
// lines is a member or a file of its own.
#include <unistd.h>

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "api/message.h"
#include "api/router.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/control_process.h"
#include "control/metrics.h"
#include "control/openapi.h"
#include "control/show.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

/// "?limit=&offset=&search=&sort=" as a question of show.h.
base::Result<nlohmann::json> page_of(const api::Request& request, std::string_view what) {
  const auto limit = request.number_or("limit", kUsualLimit, kMaxListed);
  if (!limit) return std::unexpected(limit.error());
  const auto offset = request.number_or("offset", 0, UINT32_MAX);
  if (!offset) return std::unexpected(offset.error());
  return nlohmann::json{{"show", what},
                        {"limit", *limit},
                        {"offset", *offset},
                        {"search", request.query_or("search", "")},
                        {"sort", request.query_or("sort", "")}};
}

}  // namespace

bool ControlProcess::is_public(const api::Request& request) {
  return request.path == "/v1/openapi.json";
}

void ControlProcess::add_routes() {
  const auto shows = [this](const char* what) {
    return [this, what](const api::Request& request) {
      const auto question = page_of(request, what);
      if (!question) return api::error_response(api::status::kBadRequest, question.error().message);
      return answer_of(*question);
    };
  };
  router_.get("/v1/ports", shows("ports"));
  router_.get("/v1/rules", shows("rules"));
  router_.get("/v1/flows", shows("flows"));
  router_.get("/v1/drops", shows("drops"));
  router_.get("/v1/workers", shows("workers"));
  router_.get("/v1/memory", shows("memory"));
  router_.get("/v1/isolation", shows("isolation"));
  router_.get("/v1/processes", [this](const api::Request&) { return api::json_response(processes()); });
  router_.ask("/v1/explain", [this](const api::Request& request) {
    const auto asked = request.json();
    if (!asked || !asked->contains("packet") || !(*asked)["packet"].is_string())
      return api::error_response(api::status::kBadRequest, R"(give the packet: {"packet": "in on lan proto tcp ..."})");
    return answer_of({{"explain", (*asked)["packet"]}});
  });
  router_.post("/v1/upgrade", [this](const api::Request&) {
    api::Response response = api::response_of(upgrade());
    if (response.status == api::status::kOk) response.when_sent = [this] { becoming_new_ = true; };
    return response;
  });
  router_.get("/v1/openapi.json",
              [](const api::Request&) { return api::Response{.body = std::string(openapi_text())}; });
  router_.get("/metrics", [this](const api::Request&) {
    const auto facts = ask({{"show", "metrics"}});
    return api::Response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                         .body = metrics_text(facts ? *facts : Json())};
  });
}

base::Result<Json> ControlProcess::ask(const nlohmann::json& question) {
  if (!link_) return base::fail("no data process lives: see the daemon's messages, then send SIGHUP");
  const auto reply = link_->call({.kind = MessageKind::kAsk,
                                  .body = question.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                                  .holdings = {}});
  if (!reply) return std::unexpected(reply.error());
  return Json::parse(reply->body, nullptr, false);
}

api::Response ControlProcess::answer_of(const nlohmann::json& question) {
  const auto said = ask(question);
  if (!said) return api::error_response(api::status::kUnavailable, said.error().message);
  if (said->is_object() && said->contains("error"))
    return api::error_response(api::status::kBadRequest, (*said)["error"].get<std::string>());
  return api::json_response(*said);
}

Json ControlProcess::processes() const {
  Json list = Json::array();
  list.push_back({{"process", "control"}, {"pid", getpid()}});
  if (link_) list.push_back({{"process", "data"}, {"pid", link_->pid()}});
  if (standby_) list.push_back({{"process", "standby"}, {"pid", standby_->pid()}});
  return list;
}

}  // namespace ringplane::control
