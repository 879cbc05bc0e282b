// How sub-commands talk to a running ringplane: over its API, at a socket that is named in the same way everywhere.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "api/http_client.h"

namespace ringplane::cli {

/// Which ringplane: --socket, or -c and the socket that this configuration names.
struct Whom {
  std::string socket;
  std::string config_path;

  /// Adds both options to `command`; the result is valid when it runs.
  [[nodiscard]] static std::shared_ptr<Whom> add_options(CLI::App& command);
};

struct Answer {
  int exit_code = 0;  ///< kExitFine if `json` is the answer; else what was wrong is on standard error already
  nlohmann::ordered_json json;
};

[[nodiscard]] Answer get(const Whom& whom, const std::string& path);
[[nodiscard]] Answer post(const Whom& whom, const std::string& path, const nlohmann::json& body);
/// For what is no JSON: a client, or none and the reason on standard error.
[[nodiscard]] std::optional<api::HttpClient> client_of(const Whom& whom);
/// Prints the server's {"error": ...} and returns the exit code of it.
[[nodiscard]] int refused(const api::HttpClient::Reply& reply);

}  // namespace ringplane::cli
