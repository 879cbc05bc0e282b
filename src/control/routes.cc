// What the API answers (docs/reference/openapi.json). Each route is a line of add_routes(); what takes more than a few
// lines is a member or a file of its own.
#include <unistd.h>

#include <array>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "api/message.h"
#include "api/router.h"
#include "base/clock.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/control_process.h"
#include "control/dashboard_routes.h"
#include "control/metrics.h"
#include "control/openapi.h"
#include "control/questions.h"
#include "control/rule_routes.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

/// Who asks, and what they may: the one question that somebody without the token may ask.
api::Response access_of(const api::Request& request) {
  if (!request.is_known) return api::json_response({{"known", false}});
  std::array<char, 256> host{};
  (void)gethostname(host.data(), host.size() - 1);
  return api::json_response({{"known", true},
                             {"may_write", request.may_write},
                             {"version", RINGPLANE_VERSION},
                             {"host", std::string(host.data())}});
}

constexpr const char* kNobodyLives = "no data process lives: see the daemon's messages, then send SIGHUP";

}  // namespace

bool ControlProcess::is_public(const api::Request& request) {
  return request.path == "/v1/openapi.json" || request.path == "/v1/access" || is_of_dashboard(request.path);
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
  router_.get("/v1/outputs", shows("outputs"));
  router_.get("/v1/isolation", shows("isolation"));
  router_.get("/v1/status", [this](const api::Request&) { return status(); });
  router_.get("/v1/logs", [this](const api::Request& request) {
    const auto question = lines_question(request);
    if (!question) return api::error_response(api::status::kBadRequest, question.error().message);
    return answer_of(*question);
  });
  router_.get("/v1/processes", [this](const api::Request&) { return api::json_response(processes()); });
  router_.get("/v1/tables", [this](const api::Request&) { return list_tables(); });
  router_.get("/v1/tables/{table}", [this](const api::Request& request) { return show_table(request); });
  router_.get("/v1/tables/{table}/test", [this](const api::Request& request) { return test_table(request); });
  router_.post("/v1/tables/{table}/add", [this](const api::Request& request) { return change_table(request, "add"); });
  router_.post("/v1/tables/{table}/delete",
               [this](const api::Request& request) { return change_table(request, "delete"); });
  router_.post("/v1/tables/{table}/replace",
               [this](const api::Request& request) { return change_table(request, "replace"); });
  router_.post("/v1/tables/{table}/flush",
               [this](const api::Request& request) { return change_table(request, "flush"); });
  router_.ask("/v1/explain", [this](const api::Request& request) {
    const auto packet = packet_in(request);
    if (!packet) return api::error_response(api::status::kBadRequest, packet.error().message);
    return answer_of({{"explain", *packet}});
  });
  router_.get("/v1/trace", [this](const api::Request& request) { return tap(request, "trace"); });
  router_.get("/v1/capture", [this](const api::Request& request) { return tap(request, "capture"); });
  router_.post("/v1/log/reopen", [this](const api::Request&) { return api::response_of(reopen_log()); });
  router_.post("/v1/upgrade", [this](const api::Request&) {
    api::Response response = api::response_of(upgrade());
    if (response.status == api::status::kOk) response.when_sent = [this] { becoming_new_ = true; };
    return response;
  });
  add_rule_routes(router_, book_);
  add_dashboard_routes(router_);
  router_.get("/v1/access", access_of);
  router_.get("/v1/openapi.json",
              [](const api::Request&) { return api::Response{.body = std::string(openapi_text())}; });
  router_.get("/metrics", [this](const api::Request&) {
    const auto facts = ask({{"show", "metrics"}});
    return api::Response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                         .body = metrics_text(facts ? *facts : Json())};
  });
}

base::Result<Json> ControlProcess::ask(const nlohmann::json& question) {
  if (!link_) return base::fail(kNobodyLives);
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

api::Response ControlProcess::tap(const api::Request& request, const char* form) {
  if (!link_) return api::error_response(api::status::kUnavailable, kNobodyLives);
  const auto question = tap_question(request, form);
  if (!question) return api::error_response(api::status::kBadRequest, question.error().message);
  auto opened = tap_streams_.open(*question, *link_);
  if (!opened) return api::error_response(api::status::kBadRequest, opened.error().message);
  const bool captures = std::string_view(form) == "capture";
  return {.content_type = captures ? "application/x-pcapng" : "application/x-ndjson", .stream = std::move(*opened)};
}

api::Response ControlProcess::status() {
  auto said = ask({{"show", "status"}});
  if (!said) return api::error_response(api::status::kUnavailable, said.error().message);
  (*said)["version"] = RINGPLANE_VERSION;
  (*said)["uptime_s"] = (base::monotonic_ns() - started_ns_) / base::kNanosPerSecond;
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
