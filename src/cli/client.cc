#include "cli/client.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "api/http_client.h"
#include "api/message.h"
#include "base/result.h"
#include "cli/commands.h"
#include "cli/rules_source.h"
#include "control/config.h"

namespace ringplane::cli {
namespace {

Answer answer_of(const base::Result<api::HttpClient::Reply>& reply) {
  if (!reply) {
    std::fprintf(stderr, "ringplane: %s\n", reply.error().message.c_str());
    return {.exit_code = kExitFailed, .json = {}};
  }
  if (reply->status != api::status::kOk) return {.exit_code = refused(*reply), .json = {}};
  Answer answer{.json = nlohmann::ordered_json::parse(reply->body, nullptr, false)};
  if (answer.json.is_discarded()) {
    std::fprintf(stderr, "ringplane: the daemon's answer is no JSON\n");
    answer.exit_code = kExitFailed;
  }
  return answer;
}

}  // namespace

std::shared_ptr<Whom> Whom::add_options(CLI::App& command) {
  auto whom = std::make_shared<Whom>();
  whom->socket = control::ControlConfig{}.socket;
  command.add_option("--socket", whom->socket, "the daemon's control socket")->capture_default_str();
  command.add_option("-c,--config", whom->config_path, "take the socket from this configuration file");
  return whom;
}

std::optional<api::HttpClient> client_of(const Whom& whom) {
  if (whom.config_path.empty()) return api::HttpClient(whom.socket);
  const control::ConfigResult config = control::read_config(whom.config_path);
  if (config.ok()) return api::HttpClient(config.config.control.socket);
  print_diagnostics(config.diagnostics);
  return std::nullopt;
}

int refused(const api::HttpClient::Reply& reply) {
  const auto said = nlohmann::json::parse(reply.body, nullptr, false);
  const std::string why = said.is_object() ? said.value("error", reply.body) : reply.body;
  std::fprintf(stderr, "ringplane: %s\n", why.c_str());
  return kExitFailed;
}

Answer get(const Whom& whom, const std::string& path) {
  const auto client = client_of(whom);
  if (!client) return {.exit_code = kExitBadConfiguration, .json = {}};
  return answer_of(client->get(path));
}

Answer post(const Whom& whom, const std::string& path, const nlohmann::json& body) {
  const auto client = client_of(whom);
  if (!client) return {.exit_code = kExitBadConfiguration, .json = {}};
  return answer_of(client->post(path, body.dump()));
}

}  // namespace ringplane::cli
