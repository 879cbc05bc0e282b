#include "control/rule_routes.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include <nlohmann/json.hpp>

#include "api/message.h"
#include "api/router.h"
#include "base/result.h"
#include "control/rulebook.h"

namespace ringplane::control {
namespace {

/// Of a member of a body; 0: it is not there; none: it is no such number.
std::optional<std::uint32_t> number_in(const nlohmann::json& body, const char* key) {
  const auto found = body.find(key);
  if (found == body.end()) return 0;
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
    return std::nullopt;
  }
  return found->get<std::uint32_t>();
}

api::Response answer_with(const base::Result<nlohmann::ordered_json>& answer) {
  if (answer) return api::json_response(*answer);
  const bool wrong_rules = answer.error().kind == base::ErrorKind::kBadConfiguration;
  return api::error_response(wrong_rules ? api::status::kUnprocessable : api::status::kConflict,
                             answer.error().message);
}

api::Response apply(Rulebook& book, const api::Request& request) {
  const auto body = request.json();
  if (!body) return api::error_response(api::status::kBadRequest, body.error().message);
  const auto confirm_s = number_in(*body, "confirm_s");
  const auto dry_run = body->find("dry_run");
  if (!confirm_s || (dry_run != body->end() && !dry_run->is_boolean())) {
    return api::error_response(api::status::kBadRequest, R"(say {"confirm_s": SECONDS, "dry_run": true or false})");
  }
  return answer_with(book.apply({.confirm_s = *confirm_s, .dry_run = dry_run != body->end() && dry_run->get<bool>()}));
}

api::Response rollback(Rulebook& book, const api::Request& request) {
  const auto body = request.json();
  if (!body) return api::error_response(api::status::kBadRequest, body.error().message);
  const auto to = number_in(*body, "to");
  if (!to) return api::error_response(api::status::kBadRequest, R"(say {"to": VERSION}, or {} for the one before)");
  return answer_with(book.rollback(*to));
}

api::Response history_of(const Rulebook& book, const api::Request& request) {
  const std::string& text = request.names.at("version");
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return api::error_response(api::status::kBadRequest, "a version is a number, such as 12");
  }
  return answer_with(book.history_of(number));
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
