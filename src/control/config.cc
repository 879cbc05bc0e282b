#include "control/config.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ios>
#include <limits>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "report/collector.h"
#include "wire/ip_address.h"
#include <toml++/toml.h>

namespace ringplane::control {
namespace {

using firewall::Diagnostic;

/// Collects errors with their place in the text.
class Errors {
 public:
  Errors(std::string path, const std::string& text) : path_(std::move(path)) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) lines_.push_back(line);
  }
  void add(const toml::source_position& at, std::string sentence) {
    const std::size_t line = std::max<std::size_t>(at.line, 1);
    list.push_back({.file = path_,
                    .line = static_cast<std::uint32_t>(line),
                    .column = std::max<std::uint32_t>(at.column, 1),
                    .sentence = std::move(sentence),
                    .source_line = line <= lines_.size() ? lines_[line - 1] : ""});
  }
  void add(const toml::node& node, std::string sentence) { add(node.source().begin, std::move(sentence)); }

  std::vector<Diagnostic> list;

 private:
  std::string path_;
  std::vector<std::string> lines_;
};

/// Reads the keys of one TOML table; finish() reports those that nobody asked for.
class Section {
 public:
  Section(const toml::table& table, std::string name, Errors& errors)
      : table_(table), name_(std::move(name)), errors_(errors) {}

  [[nodiscard]] const toml::node* find(std::string_view key) {
    known_.insert(std::string(key));
    return table_.get(key);
  }
  void text(std::string_view key, std::string& into) {
    if (const toml::node* node = find(key)) {
      if (const auto* value = node->as_string()) {
        into = value->get();
      } else {
        errors_.add(*node, quoted(key) + " must be a string");
      }
    }
  }
  void flag(std::string_view key, bool& into) {
    if (const toml::node* node = find(key)) {
      if (const auto* value = node->as_boolean()) {
        into = value->get();
      } else {
        errors_.add(*node, quoted(key) + " must be true or false");
      }
    }
  }
  void number(std::string_view key, std::uint32_t& into, std::uint32_t low, std::uint32_t high) {
    if (const toml::node* node = find(key)) {
      if (const auto value = number_of(*node, quoted(key), low, high)) into = *value;
    }
  }
  template <class Integer>
  void numbers(std::string_view key, std::vector<Integer>& into, std::uint32_t low, std::uint32_t high) {
    each(key, [&](const toml::node& node) {
      if (const auto value = number_of(node, "each of " + quoted(key), low, high))
        into.push_back(static_cast<Integer>(*value));
    });
  }
  void texts(std::string_view key, std::vector<std::string>& into) {
    each(key, [&](const toml::node& node) {
      if (const auto* value = node.as_string()) {
        into.push_back(value->get());
      } else {
        errors_.add(node, "each of " + quoted(key) + " must be a string");
      }
    });
  }
  /// Calls f(node) for each element of the array.
  template <class F>
  void each(std::string_view key, F&& f) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    if (const auto* array = node->as_array()) {
      for (const toml::node& element : *array) f(element);
    } else {
      errors_.add(*node, quoted(key) + " must be a list");
    }
  }
  /// Calls f(Section&) if there is a table of that name.
  template <class F>
  void section(std::string_view key, F&& f) {
    const toml::node* node = find(key);
    if (node == nullptr) return;
    if (const auto* table = node->as_table()) {
      Section inner(*table, std::string(key), errors_);
      f(inner);
      inner.finish();
    } else {
      errors_.add(*node, quoted(key) + " must be a section: [" + std::string(key) + "]");
    }
  }
  void finish() {
    for (const auto& [key, node] : table_) {
      if (known_.contains(std::string(key.str()))) continue;
      std::string known;
      for (const std::string& name : known_) known += (known.empty() ? "" : ", ") + name;
      errors_.add(key.source().begin, "unknown key '" + std::string(key.str()) + "'" +
                                          (name_.empty() ? "" : " in [" + name_ + "]") + "; known are: " + known);
    }
  }
  [[nodiscard]] const toml::table& table() const { return table_; }

 private:
  static std::string quoted(std::string_view key) { return "'" + std::string(key) + "'"; }
  std::optional<std::uint32_t> number_of(const toml::node& node, const std::string& what, std::uint32_t low,
                                         std::uint32_t high) {
    const auto* value = node.as_integer();
    if (value == nullptr || value->get() < low || value->get() > high) {
      errors_.add(node, what + " must be a number from " + std::to_string(low) + " to " + std::to_string(high));
      return std::nullopt;
    }
    return static_cast<std::uint32_t>(value->get());
  }

  const toml::table& table_;
  std::string name_;
  Errors& errors_;
  std::set<std::string> known_;
};

void read_kernel(Section& section, KernelConfig& kernel, Errors& errors) {
  section.each("addresses", [&](const toml::node& node) {
    const auto* value = node.as_string();
    const auto host = value == nullptr ? std::nullopt : wire::parse_host_address(value->get());
    if (host) {
      kernel.addresses.push_back(*host);
    } else {
      errors.add(node, "an address of the host, such as \"192.0.2.1\", is expected here");
    }
  });
  section.numbers("tcp", kernel.tcp, 1, 65535);
  section.numbers("udp", kernel.udp, 1, 65535);
  section.flag("icmp", kernel.icmp);
  section.flag("all", kernel.all);
}

void read_mode(Section& section, PortConfig& port, Errors& errors) {
  std::string mode = "auto";
  section.text("mode", mode);
  if (mode == "auto") {
    port.mode = XdpMode::kAuto;
  } else if (mode == "native") {
    port.mode = XdpMode::kNative;
  } else if (mode == "generic") {
    port.mode = XdpMode::kGeneric;
  } else {
    errors.add(*section.find("mode"), "'mode' must be \"auto\", \"native\" or \"generic\"");
  }
}

bool is_port_name(const std::string& name) {
  return !name.empty() && name.size() <= 15 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

/// A virtual device's name serves as the port's: "net_memif0" of "dpdk:net_memif0,role=client".
std::string dpdk_port_name(const PortConfig& port) {
  const std::string device = port.dpdk_device();
  return device.substr(0, device.find(','));
}

/// XDP and the kernel's share mean nothing on a port that the kernel does not see.
void refuse_xdp_keys(Section& section, Errors& errors) {
  for (const std::string_view key : {"mode", "zero_copy", "kernel"}) {
    if (const toml::node* node = section.find(key)) {
      errors.add(*node, "'" + std::string(key) + "' is for interfaces of the kernel: a dpdk: port has none of it");
    }
  }
}

void read_port(Section& section, Config& config, Errors& errors) {
  PortConfig port;
  section.text("name", port.name);
  section.text("interface", port.interface);
  if (port.interface.empty()) errors.add(section.table(), "a port needs its 'interface', such as \"eth1\"");
  if (port.is_dpdk()) refuse_xdp_keys(section, errors);
  if (port.name.empty()) port.name = port.is_dpdk() ? dpdk_port_name(port) : port.interface;
  if (!port.name.empty() && !is_port_name(port.name)) {
    errors.add(section.table(), "a port's name has at most 15 letters, digits, '_', '-' or '.'" +
                                    std::string(port.is_dpdk() ? ": give this port a 'name'" : ""));
  }
  for (const PortConfig& other : config.ports) {
    if (other.name == port.name) errors.add(section.table(), "there are two ports named '" + port.name + "'");
    if (other.interface == port.interface)
      errors.add(section.table(), "interface '" + port.interface + "' is in two ports");
  }
  read_mode(section, port, errors);
  section.flag("zero_copy", port.zero_copy);
  section.texts("groups", port.groups);
  section.each("addresses", [&](const toml::node& node) {
    const auto* value = node.as_string();
    const std::string text = value == nullptr ? "" : value->get();
    const auto host = wire::parse_host_address(std::string_view(text).substr(0, text.find('/')));
    const auto prefix = wire::parse_prefix(text);
    if (host && prefix) {
      port.addresses.push_back({.host = *host, .length = prefix->length});
    } else {
      errors.add(node, "an address with its prefix length, such as \"192.0.2.1/24\", is expected here");
    }
  });
  bool has_kernel_addresses = false;
  section.section("kernel", [&](Section& kernel) {
    has_kernel_addresses = kernel.find("addresses") != nullptr;
    read_kernel(kernel, port.kernel, errors);
  });
  if (!has_kernel_addresses && !port.is_dpdk()) {
    for (const auto& address : port.addresses) port.kernel.addresses.push_back(address.host);
  }
  config.ports.push_back(std::move(port));
}

void read_bridge(Section& section, Config& config, Errors& errors) {
  std::vector<std::string> names;
  section.texts("ports", names);
  std::string non_ip = "pass";
  section.text("non_ip", non_ip);
  if (non_ip != "pass" && non_ip != "arp") errors.add(*section.find("non_ip"), "'non_ip' must be \"pass\" or \"arp\"");
  if (names.size() != 2) {
    errors.add(section.table(), "a bridge joins exactly two ports: ports = [\"lan\", \"wan\"]");
    return;
  }
  std::string fail = "closed";
  section.text("fail", fail);
  if (fail != "open" && fail != "closed") {
    errors.add(*section.find("fail"), "'fail' must be \"open\" or \"closed\"");
  }
  BridgeConfig bridge{.arp_only = non_ip == "arp", .fail_open = fail == "open"};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto found = std::ranges::find(config.ports, names[i], &PortConfig::name);
    if (found == config.ports.end()) {
      errors.add(*section.find("ports"), "there is no [[port]] named '" + names[i] + "'");
      return;
    }
    const auto index = static_cast<std::uint32_t>(found - config.ports.begin());
    (i == 0 ? bridge.first : bridge.second) = index;
    for (const BridgeConfig& other : config.bridges) {
      if (other.first == index || other.second == index)
        errors.add(*section.find("ports"), "port '" + names[i] + "' is in two bridges");
    }
  }
  if (bridge.first == bridge.second) errors.add(*section.find("ports"), "a bridge joins two different ports");
  config.bridges.push_back(bridge);
}

/// "127.0.0.1:8080" or "[::1]:8080": further than this machine the API does not go.
bool read_loopback(std::string_view text, ControlConfig& config) {
  constexpr std::string_view kIpv4 = "127.0.0.1:";
  constexpr std::string_view kIpv6 = "[::1]:";
  config.http_over_ipv6 = text.starts_with(kIpv6);
  if (!config.http_over_ipv6 && !text.starts_with(kIpv4)) return false;
  text.remove_prefix(config.http_over_ipv6 ? kIpv6.size() : kIpv4.size());
  const auto read = std::from_chars(text.data(), text.data() + text.size(), config.http_port);
  return read.ec == std::errc{} && read.ptr == text.data() + text.size() && config.http_port != 0;
}

void read_control(Section& section, Config& config, Errors& errors) {
  ControlConfig& control = config.control;
  std::string http;
  section.text("socket", control.socket);
  section.text("state", control.state);
  section.number("versions", control.versions, 2, 1'000);
  section.text("group", control.group);
  section.text("http", http);
  section.text("token_file", control.token_file);
  section.flag("http_writes", control.http_writes);
  if (!http.empty() && !read_loopback(http, control)) {
    errors.add(*section.find("http"), "'http' must be a port of this machine: \"127.0.0.1:8080\" or \"[::1]:8080\"");
  }
  if (!http.empty() && control.token_file.empty()) {
    errors.add(*section.find("http"), "'http' wants 'token_file', a file with the word that requests must bring");
  }
}

void read_resources(Section& root, Config& config, Errors& errors) {
  constexpr std::uint32_t kAnyNumber = std::numeric_limits<std::uint32_t>::max();
  root.section("workers", [&](Section& section) {
    section.number("count", config.workers.count, 1, base::kMaxWorkers);
    section.numbers("cpus", config.workers.cpus, 0, 1023);
    section.number("spin_turns", config.workers.spin_turns, 0, kAnyNumber);
    if (!config.workers.cpus.empty() && config.workers.cpus.size() != config.workers.count) {
      errors.add(section.table(),
                 "'cpus' must name one processor for each of the " + std::to_string(config.workers.count) + " workers");
    }
  });
  root.section("memory", [&](Section& section) {
    section.number("frames", config.memory.frames, 1024, 1U << 24);
    section.number("frame_bytes", config.memory.frame_bytes, 2048, 4096);
    section.flag("huge_pages", config.memory.huge_pages);
    if (config.memory.frame_bytes != 2048 && config.memory.frame_bytes != 4096) {
      errors.add(*section.find("frame_bytes"), "'frame_bytes' must be 2048 or 4096");
    }
  });
  root.section("flows", [&](Section& section) {
    section.number("limit", config.flows.limit, 1, 1U << 30);
    section.number("sources", config.flows.sources, 1, 1U << 26);
    section.number("table_additions", config.flows.table_additions, 1, 1U << 24);
  });
  root.section("log", [&](Section& section) {
    section.text("file", config.log.file);
    section.number("per_second", config.log.per_second, 0, 1'000'000);
    section.number("rotate_bytes", config.log.rotate_bytes, 0, kAnyNumber);
    section.number("rotate_keep", config.log.rotate_keep, 0, 1'000);
    section.flag("flows", config.log.flows);
  });
  root.section("ipfix", [&](Section& section) {
    section.text("collector", config.ipfix.collector);
    section.number("domain", config.ipfix.domain, 0, kAnyNumber);
    section.number("template_seconds", config.ipfix.template_seconds, 1, 86'400);
    if (!config.ipfix.collector.empty() && !report::parse_collector(config.ipfix.collector)) {
      errors.add(*section.find("collector"),
                 "'collector' must be an address and a UDP port, such as \"192.0.2.9:4739\" or \"[2001:db8::9]:4739\"");
    }
  });
  root.section("replies",
               [&](Section& section) { section.number("per_second", config.replies.per_second, 0, 1'000'000); });
  root.section("control", [&](Section& section) { read_control(section, config, errors); });
}

void read_root(const toml::table& table, Config& config, Errors& errors) {
  Section root(table, "", errors);
  const auto sections = [&](std::string_view key, auto&& read) {
    root.each(key, [&](const toml::node& node) {
      if (const auto* inner = node.as_table()) {
        Section section(*inner, std::string(key), errors);
        read(section, config, errors);
        section.finish();
      } else {
        errors.add(node, "[[" + std::string(key) + "]] must be a section");
      }
    });
  };
  root.text("rules", config.rules_path);
  root.texts("tests", config.tests);
  sections("port", read_port);
  sections("bridge", read_bridge);
  read_resources(root, config, errors);
  root.finish();
  if (config.rules_path.empty()) errors.add(table, "'rules' must name the rules file: rules = \"pf.conf\"");
  if (config.ports.empty()) errors.add(table, "there is no [[port]]");
  if (config.bridges.empty() && !config.ports.empty())
    errors.add(table, "there is no [[bridge]], so no packet would go anywhere");
  if (config.ports.size() > base::kMaxPorts)
    errors.add(table, "more than " + std::to_string(base::kMaxPorts) + " ports");
}

/// Against the folder of `config_path`; "" stays.
void resolve(std::string& path, const std::string& config_path) {
  if (path.empty() || std::filesystem::path(path).is_absolute()) return;
  path = (std::filesystem::path(config_path).parent_path() / path).string();
}

}  // namespace

ConfigResult parse_config(const std::string& text, const std::string& path) {
  ConfigResult result;
  result.config.path = path;
  result.config.text = text;
  Errors errors(path, text);
  try {
    read_root(toml::parse(text, path), result.config, errors);
  } catch (const toml::parse_error& error) {
    errors.add(error.source().begin, std::string(error.description()));
  }
  resolve(result.config.rules_path, path);
  resolve(result.config.control.token_file, path);
  resolve(result.config.control.state, path);
  for (std::string& tests : result.config.tests) resolve(tests, path);
  result.diagnostics = std::move(errors.list);
  return result;
}

ConfigResult read_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) {
    ConfigResult result;
    result.diagnostics.push_back(
        {.file = path, .line = 1, .column = 1, .sentence = "the configuration file cannot be read", .source_line = ""});
    return result;
  }
  return parse_config(text.str(), path);
}

firewall::Environment environment_of(const Config& config) {
  firewall::Environment environment;
  environment.ports_are_complete = true;
  for (std::size_t i = 0; i < config.ports.size(); ++i) {
    const PortConfig& port = config.ports[i];
    environment.ports.push_back({.name = port.name,
                                 .id = base::PortId{static_cast<std::uint8_t>(i)},
                                 .addresses = port.addresses,
                                 .groups = port.groups});
  }
  return environment;
}

}  // namespace ringplane::control
