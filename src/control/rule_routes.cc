#include "control/rule_routes.h"

#include <nlohmann/json.hpp>

#include "api/message.h"
#include "api/router.h"
#include "base/result.h"
#include "control/questions.h"
#include "control/rulebook.h"

namespace ringplane::control {
namespace {

api::Response answer_with(const base::Result<nlohmann::ordered_json>& answer) {
  if (answer) return api::json_response(*answer);
  const bool wrong_rules = answer.error().kind == base::ErrorKind::kBadConfiguration;
  return api::error_response(wrong_rules ? api::status::kUnprocessable : api::status::kConflict,
                             answer.error().message);
}

api::Response apply(Rulebook& book, const api::Request& request) {
  const auto wish = rule_wish_in(request);
  return wish ? answer_with(book.apply(*wish)) : api::error_response(api::status::kBadRequest, wish.error().message);
}

api::Response rollback(Rulebook& book, const api::Request& request) {
  const auto to = version_to_go_back_to(request);
  return to ? answer_with(book.rollback(*to)) : api::error_response(api::status::kBadRequest, to.error().message);
}

api::Response history_of(const Rulebook& book, const api::Request& request) {
  const auto version = version_in_path(request);
  if (!version) return api::error_response(api::status::kBadRequest, version.error().message);
  return answer_with(book.history_of(*version));
}

}  // namespace

void add_rule_routes(api::Router& router, Rulebook& book) {
  router.post("/v1/apply", [&book](const api::Request& request) { return apply(book, request); });
  router.post("/v1/confirm", [&book](const api::Request&) { return answer_with(book.confirm()); });
  router.post("/v1/rollback", [&book](const api::Request& request) { return rollback(book, request); });
  router.get("/v1/history", [&book](const api::Request&) { return api::json_response(book.history()); });
  router.get("/v1/history/{version}", [&book](const api::Request& request) { return history_of(book, request); });
}

}  // namespace ringplane::control
