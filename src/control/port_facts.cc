#ifdef RINGPLANE_AF_XDP
#include "control/port_facts.h"

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "base/ids.h"
#include "base/result.h"
#include "control/config.h"
#include "port/af_xdp/af_xdp_port.h"
#include "port/af_xdp/redirect_program.h"

namespace ringplane::control {

std::string to_text(const port::AfXdpFacts& facts) {
  const auto& interface = facts.interface;
  return nlohmann::json{{"interface", interface.name},
                        {"index", interface.index},
                        {"mac", interface.mac},
                        {"mtu", interface.mtu},
                        {"rx_queues", interface.rx_queues},
                        {"tx_queues", interface.tx_queues},
                        {"native", facts.native},
                        {"generic_reason", facts.generic_reason},
                        {"queues", facts.queues},
                        {"zero_copy_queues", facts.zero_copy_queues},
                        {"copy_reason", facts.copy_reason}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

base::Result<port::AfXdpFacts> facts_from(const std::string& text) {
  try {
    const auto json = nlohmann::json::parse(text);
    return port::AfXdpFacts{.interface = {.name = json.at("interface"),
                                          .index = json.at("index"),
                                          .mac = json.at("mac"),
                                          .mtu = json.at("mtu"),
                                          .up = true,
                                          .rx_queues = json.at("rx_queues"),
                                          .tx_queues = json.at("tx_queues")},
                            .native = json.at("native"),
                            .generic_reason = json.at("generic_reason"),
                            .queues = json.at("queues"),
                            .zero_copy_queues = json.at("zero_copy_queues"),
                            .copy_reason = json.at("copy_reason")};
  } catch (const nlohmann::json::exception& error) {
    return base::fail(std::string("what is told of a port makes no sense: ") + error.what());
  }
}

port::AfXdpOptions af_xdp_options(const PortConfig& config, base::PortId id, std::uint32_t queues) {
  port::AfXdpOptions options{.id = id, .interface = config.interface, .queues = queues, .zero_copy = config.zero_copy};
  options.mode = config.mode == XdpMode::kNative    ? port::XdpMode::kNative
                 : config.mode == XdpMode::kGeneric ? port::XdpMode::kGeneric
                                                    : port::XdpMode::kBest;
  options.kernel = {.addresses = config.kernel.addresses,
                    .tcp_ports = config.kernel.tcp,
                    .udp_ports = config.kernel.udp,
                    .icmp = config.kernel.icmp,
                    .all = config.kernel.all};
  return options;
}

}  // namespace ringplane::control
#endif
