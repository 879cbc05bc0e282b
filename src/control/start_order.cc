#include "control/start_order.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace ringplane::control {

std::string StartOrder::to_text() const {
  return nlohmann::json{{"version", version},    {"config_path", config_path}, {"config_text", config_text},
                        {"secret", secret.word}, {"flow_limit", flow_limit},   {"source_limit", source_limit},
                        {"ports", ports}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

base::Result<StartOrder> StartOrder::parse(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    return StartOrder{.version = json.at("version"),
                      .config_path = json.at("config_path"),
                      .config_text = json.at("config_text"),
                      .secret = {json.at("secret").get<std::array<std::uint64_t, 4>>()},
                      .flow_limit = json.at("flow_limit"),
                      .source_limit = json.at("source_limit"),
                      .ports = json.at("ports").get<std::map<std::string, std::string>>()};
  } catch (const nlohmann::json::exception& error) {
    return base::fail(std::string("the start order makes no sense: ") + error.what());
  }
}

}  // namespace ringplane::control
