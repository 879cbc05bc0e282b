#include "control/config.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/ids.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "wire/ip_address.h"

namespace ringplane::control {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTwoPorts =
    "rules = \"pf.conf\"\n"
    "[[port]]\nname = \"lan\"\ninterface = \"eth1\"\n"
    "[[port]]\nname = \"wan\"\ninterface = \"eth2\"\n"
    "[[bridge]]\nports = [\"lan\", \"wan\"]\n";

std::string errors_of(const std::string& text) {
  std::string all;
  for (const auto& diagnostic : parse_config(text, "/etc/ringplane/ringplane.toml").diagnostics) {
    all += firewall::render(diagnostic) + "\n";
  }
  return all;
}

TEST(Config, TheLeastThereIsHasDefaultsForTheRest) {
  const ConfigResult result = parse_config(kTwoPorts, "/etc/ringplane/ringplane.toml");
  ASSERT_TRUE(result.ok()) << errors_of(kTwoPorts);
  EXPECT_EQ(result.config.rules_path, "/etc/ringplane/pf.conf") << "relative to the file, not to where we stand";
  ASSERT_EQ(result.config.ports.size(), 2U);
  EXPECT_EQ(result.config.ports[1].interface, "eth2");
  ASSERT_EQ(result.config.bridges.size(), 1U);
  EXPECT_EQ(result.config.bridges[0].second, 1U);
  EXPECT_EQ(result.config.workers.count, 1U);
}

TEST(Config, ReadsEveryKey) {
  const ConfigResult result = parse_config(
      "rules = \"/rules\"\ntests = [\"a.tests\", \"/b.tests\"]\n"
      "[[port]]\nname = \"lan\"\ninterface = \"eth1\"\nmode = \"generic\"\nzero_copy = false\n"
      "addresses = [\"192.0.2.1/24\", \"2001:db8::1/64\"]\ngroups = [\"inside\"]\n"
      "[port.kernel]\ntcp = [22]\nudp = [53, 123]\nicmp = false\nall = true\n"
      "[[port]]\ninterface = \"eth2\"\n"
      "[[bridge]]\nports = [\"lan\", \"eth2\"]\nnon_ip = \"arp\"\n"
      "[workers]\ncount = 2\ncpus = [0, 1]\nspin_turns = 7\n"
      "[memory]\nframes = 4096\nframe_bytes = 4096\nhuge_pages = false\n"
      "[flows]\nlimit = 5\nsources = 6\ntable_additions = 8\n"
      "[log]\nfile = \"-\"\nper_second = 9\nrotate_bytes = 11\nrotate_keep = 12\nflows = true\n"
      "[ipfix]\ncollector = \"[::1]:4739\"\ndomain = 13\ntemplate_seconds = 14\n"
      "[replies]\nper_second = 10\n"
      "[control]\nsocket = \"/tmp/s\"\nstate = \"state\"\nversions = 11\n",
      "/etc/x.toml");
  ASSERT_TRUE(result.ok());
  const Config& config = result.config;
  const PortConfig& lan = config.ports[0];
  EXPECT_EQ(lan.mode, XdpMode::kGeneric);
  EXPECT_FALSE(lan.zero_copy);
  ASSERT_EQ(lan.addresses.size(), 2U);
  EXPECT_EQ(lan.addresses[0].length, 24);
  EXPECT_EQ(wire::to_string(lan.addresses[0].host), "192.0.2.1") << "host bits stay: it is an address, not a network";
  EXPECT_EQ(lan.kernel.addresses.size(), 2U) << "those of the port, unless others are named";
  EXPECT_EQ(lan.kernel.udp, (std::vector<std::uint16_t>{53, 123}));
  EXPECT_TRUE(lan.kernel.all);
  EXPECT_EQ(config.ports[1].name, "eth2") << "a port without a name has its interface's";
  EXPECT_TRUE(config.bridges[0].arp_only);
  EXPECT_EQ(config.workers.cpus.size(), 2U);
  EXPECT_EQ(config.memory.frame_bytes, 4096U);
  EXPECT_EQ(config.flows.sources, 6U);
  EXPECT_EQ(config.log.per_second, 9U);
  EXPECT_EQ(config.log.rotate_bytes, 11U);
  EXPECT_EQ(config.log.rotate_keep, 12U);
  EXPECT_TRUE(config.logs_flows());
  EXPECT_EQ(config.ipfix.collector, "[::1]:4739");
  EXPECT_EQ(config.ipfix.domain, 13U);
  EXPECT_EQ(config.ipfix.template_seconds, 14U);
  EXPECT_EQ(config.replies.per_second, 10U);
  EXPECT_EQ(config.control.socket, "/tmp/s");
  EXPECT_EQ(config.control.state, "/etc/state") << "relative to the file";
  EXPECT_EQ(config.control.versions, 11U);
  EXPECT_EQ(config.tests, (std::vector<std::string>{"/etc/a.tests", "/b.tests"}));
}

TEST(Config, ReportsEveryErrorWithItsPlace) {
  const std::string errors = errors_of(
      "[[port]]\nname = \"lan\"\ninterface = \"eth1\"\ncolour = \"red\"\n"
      "[[port]]\nname = \"lan\"\ninterface = 7\n"
      "[[bridge]]\nports = [\"lan\", \"dmz\"]\n"
      "[workers]\ncount = 99\n"
      "[memory]\nframe_bytes = 3000\n");
  EXPECT_THAT(errors, HasSubstr("ringplane.toml:4:1: error: unknown key 'colour' in [port]; known are: addresses"));
  EXPECT_THAT(errors, HasSubstr("colour = \"red\"\n^"));
  EXPECT_THAT(errors, HasSubstr(":7:13: error: 'interface' must be a string"));
  EXPECT_THAT(errors, HasSubstr("there are two ports named 'lan'"));
  EXPECT_THAT(errors, HasSubstr(":9:9: error: there is no [[port]] named 'dmz'"));
  EXPECT_THAT(errors, HasSubstr("'count' must be a number from 1 to 32"));
  EXPECT_THAT(errors, HasSubstr("'frame_bytes' must be 2048 or 4096"));
  EXPECT_THAT(errors, HasSubstr("'rules' must name the rules file"));
}

TEST(Config, APortMayBeADeviceOfDpdk) {
  const ConfigResult result = parse_config(
      "rules = \"pf.conf\"\n"
      "[[port]]\ninterface = \"dpdk:net_memif0,role=client,socket=/run/x.sock\"\naddresses = [\"192.0.2.1/24\"]\n"
      "[[port]]\nname = \"wan\"\ninterface = \"dpdk:0000:01:00.0\"\n"
      "[[bridge]]\nports = [\"net_memif0\", \"wan\"]\n",
      "ringplane.toml");
  ASSERT_TRUE(result.ok()) << firewall::render(result.diagnostics[0]);
  const PortConfig& port = result.config.ports[0];
  EXPECT_TRUE(port.is_dpdk());
  EXPECT_EQ(port.name, "net_memif0");
  EXPECT_EQ(port.dpdk_device(), "net_memif0,role=client,socket=/run/x.sock");
  EXPECT_TRUE(port.kernel.addresses.empty()) << "the kernel has no share of it";
}

TEST(Config, RefusesForADpdkPortWhatOnlyTheKernelCouldDo) {
  const std::string errors = errors_of(
      "rules = \"pf.conf\"\n"
      "[[port]]\nname = \"lan\"\ninterface = \"dpdk:net_null0\"\nmode = \"native\"\nzero_copy = false\n"
      "[port.kernel]\nall = true\n"
      "[[port]]\ninterface = \"dpdk:0000:01:00.0\"\n");
  for (const char* key : {"mode", "zero_copy", "kernel"}) {
    EXPECT_THAT(errors, HasSubstr("'" + std::string(key) + "' is for interfaces of the kernel: a dpdk: port has none"));
  }
  EXPECT_THAT(errors, HasSubstr("give this port a 'name'")) << "a PCI address is no name";
}

TEST(Config, TextThatIsNoTomlIsOneErrorWithItsPlace) {
  EXPECT_THAT(errors_of("rules = \"pf.conf\n"), HasSubstr("ringplane.toml:1:"));
  EXPECT_THAT(errors_of(""), HasSubstr("there is no [[port]]"));
}

TEST(Config, AFileThatIsNotThereIsAnError) {
  const ConfigResult result = read_config("/nonexistent/ringplane.toml");
  ASSERT_EQ(result.diagnostics.size(), 1U);
  EXPECT_THAT(firewall::render(result.diagnostics[0]), HasSubstr("cannot be read"));
}

TEST(Config, GivesTheRulesItsPorts) {
  const ConfigResult result = parse_config(kTwoPorts, "x.toml");
  const firewall::Environment environment = environment_of(result.config);
  EXPECT_TRUE(environment.ports_are_complete);
  ASSERT_EQ(environment.ports.size(), 2U);
  EXPECT_EQ(environment.ports[1].name, "wan");
  EXPECT_EQ(environment.ports[1].id, base::PortId{1});
}

TEST(Config, ACollectorIsAnAddressAndAPort) {
  EXPECT_THAT(errors_of(std::string(kTwoPorts) + "[ipfix]\ncollector = \"localhost\"\n"), HasSubstr("192.0.2.9:4739"));
}

TEST(Config, FlowRecordsAreMadeOnlyIfSomebodyIsToldOfThem) {
  const auto wants = [](const std::string& more) {
    return parse_config(kTwoPorts + more, "x").config.wants_flow_records();
  };
  EXPECT_FALSE(wants(""));
  EXPECT_FALSE(wants("[log]\nflows = true\n")) << "nowhere";
  EXPECT_TRUE(wants("[log]\nfile = \"-\"\nflows = true\n"));
  EXPECT_TRUE(wants("[ipfix]\ncollector = \"127.0.0.1:1\"\n"));
}

}  // namespace
}  // namespace ringplane::control
