// OpenBSD's own test texts for pfctl: each is read, or refused for a reason that is named, and what is read prints as
// pfctl prints it. The data lies beside the repository (shared/data/pfctl, README there).
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/ruleset.h"

namespace ringplane::firewall {
namespace {

const std::string kFolder = RINGPLANE_SHARED_DATA "/pfctl/";

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

/// The styles of all ages made one: no "@number", no default codes, `block drop`, nothing about default state.
std::string normal(std::string line) {
  if (line.starts_with('@')) line.erase(0, line.find(' ') + 1);
  while (line.ends_with(' ')) line.pop_back();
  if (line.starts_with("block ") && !line.starts_with("block return") && !line.starts_with("block drop")) {
    line.insert(5, " drop");
  }
  replace_all(line, "from any to any", "all");
  if (line.find(" port") != std::string::npos) replace_all(line, " all port", " from any to any port");
  for (const std::string_view ignored :
       {" keep state", " flags S/SA", " no state", "(port-unr, port-unr)", "(port-unr)"}) {
    replace_all(line, ignored, "");
  }
  return line;
}

bool is_rule_or_table(std::string_view line) {
  if (line.starts_with('@')) line.remove_prefix(line.find(' ') + 1);
  for (const std::string_view word : {"pass", "block", "match", "table"}) {
    if (line.starts_with(word)) return true;
  }
  return false;
}

struct Case {
  std::string name;
  /// Lines with an error, in order; empty: it is accepted.
  std::vector<std::uint32_t> error_lines = {};
  /// What each error's sentence must name.
  std::string names = {};
  /// The rules that are accepted print as in the .ok file (lines about old translation and scrub left out).
  bool prints_as_pfctl = false;
};

ParseResult read(const std::string& name) {
  return parse_file(kFolder + name + ".in", Environment{});
}

bool data_is_missing() {
  struct stat status{};
  return stat(kFolder.c_str(), &status) != 0;
}
#define SKIP_WITHOUT_DATA() \
  if (data_is_missing()) GTEST_SKIP() << "NOT TESTED: there is no " << kFolder

std::vector<std::uint32_t> error_lines_of(const ParseResult& parsed) {
  std::vector<std::uint32_t> lines;
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    if (diagnostic.severity != Severity::kError) continue;
    if (lines.empty() || lines.back() != diagnostic.line) lines.push_back(diagnostic.line);
  }
  return lines;
}

void check_print(const std::string& name, const ParseResult& parsed) {
  std::vector<std::string> expected;
  const auto text = DiskFiles().read(kFolder + name + ".ok");
  ASSERT_TRUE(text.has_value());
  for (const std::string& line : lines_of(*text)) {
    if (is_rule_or_table(line)) expected.push_back(normal(line));
  }
  std::vector<std::string> printed;
  for (const Table& table : parsed.ruleset.tables) {
    if (table.is_named && table.is_defined) printed.push_back(normal(text_of(table)));
  }
  for (const Rule& rule : parsed.ruleset.rules) printed.push_back(normal(text_of(parsed.ruleset, rule)));
  EXPECT_EQ(printed, expected);
}

void check(const Case& one) {
  SCOPED_TRACE(one.name);
  const ParseResult parsed = read(one.name);
  std::string all;
  for (const Diagnostic& diagnostic : parsed.diagnostics) {
    all += render(diagnostic) + "\n";
    if (diagnostic.severity == Severity::kError) {
      EXPECT_NE(diagnostic.sentence.find(one.names), std::string::npos) << render(diagnostic);
    }
  }
  EXPECT_EQ(error_lines_of(parsed), one.error_lines) << all;
  if (one.prints_as_pfctl) check_print(one.name, parsed);
}

TEST(Pfctl, accepts_what_it_can_do_and_prints_it_as_pfctl_does) {
  SKIP_WITHOUT_DATA();
  const Case cases[] = {
      {.name = "pf4", .prints_as_pfctl = true},  {.name = "pf6"},
      {.name = "pf8", .prints_as_pfctl = true},  {.name = "pf10", .prints_as_pfctl = true},
      {.name = "pf12", .prints_as_pfctl = true}, {.name = "pf32", .prints_as_pfctl = true},
      {.name = "pf34", .prints_as_pfctl = true}, {.name = "pf56", .prints_as_pfctl = true},
  };
  for (const Case& one : cases) check(one);
}

TEST(Pfctl, refuses_only_the_lines_it_cannot_do_and_prints_the_others) {
  SKIP_WITHOUT_DATA();
  const Case cases[] = {
      {.name = "pf16", .error_lines = {2, 3, 4}, .names = "not yet: ", .prints_as_pfctl = true},
      {.name = "pf22", .error_lines = {9, 10}, .names = "does not apply here: require-order"},
      {.name = "pf28", .error_lines = {2, 4, 7}, .names = "log (all)"},
      {.name = "pf38", .error_lines = {3, 4, 5}, .names = "does not apply here: "},
      {.name = "pf40", .error_lines = {2, 5, 6}, .names = "not yet: scrub", .prints_as_pfctl = true},
      {.name = "pf44", .error_lines = {3, 4, 5, 6, 7, 8}, .names = "not yet: scrub"},
      {.name = "pf48", .error_lines = {4, 5, 6, 7}, .names = "not yet: ", .prints_as_pfctl = true},
      {.name = "pf54", .error_lines = {3}, .names = "not yet: scrub"},
      {.name = "pf70", .error_lines = {1, 2}, .names = "not yet: nat-to", .prints_as_pfctl = true},
      {.name = "pf72", .error_lines = {2}, .names = "not yet: binat-to"},
      {.name = "pf84", .error_lines = {1, 3, 5}, .names = "not yet: ", .prints_as_pfctl = true},
      {.name = "pf98", .error_lines = {3}, .names = "not yet: nat-to"},
      {.name = "pf2", .error_lines = {20}, .names = "not yet: no-route"},
      {.name = "pf82", .error_lines = {15, 16}, .names = "not yet: no-route"},
  };
  for (const Case& one : cases) check(one);
}

TEST(Pfctl, refuses_translation_scrub_routing_and_altq_on_every_line) {
  SKIP_WITHOUT_DATA();
  const Case cases[] = {
      {.name = "pf18", .error_lines = {6, 7, 8, 9, 10, 12, 14, 16, 18, 20}, .names = "not yet: nat-to"},
      {.name = "pf20", .error_lines = {8, 9}, .names = "not yet: "},
      {.name = "pf36", .error_lines = {3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17}, .names = "not yet: "},
      {.name = "pf46", .error_lines = {1, 2, 3, 4, 5, 6, 7, 8}, .names = "not yet: "},
      {.name = "pf66", .error_lines = {3, 4, 5, 6, 7, 8}, .names = "not yet: nat-to"},
      {.name = "pf76", .error_lines = {2}, .names = "not yet: binat-to"},
      {.name = "pf80", .error_lines = {1, 2}, .names = "not yet: "},
  };
  for (const Case& one : cases) check(one);
  for (const char* name : {"pf42", "pf58", "pf62", "pf64"}) {
    SCOPED_TRACE(name);
    const ParseResult parsed = read(name);
    EXPECT_FALSE(parsed.ok());
    ASSERT_FALSE(parsed.diagnostics.empty());
    EXPECT_NE(parsed.diagnostics.front().sentence.find("does not apply here: altq"), std::string::npos);
  }
  EXPECT_EQ(error_lines_of(read("pf68")).size(),
            lines_of(*DiskFiles().read(kFolder + "pf68.in")).size() - 1 /* an empty line */);
}

TEST(Pfctl, refuses_every_text_that_pfctl_refuses) {
  SKIP_WITHOUT_DATA();
  const Case cases[] = {
      {.name = "pfail2", .error_lines = {1}, .names = "proto icmp does not go with inet6"},
      {.name = "pfail4", .error_lines = {1}, .names = "return-icmp6 does not go with inet"},
      {.name = "pfail6", .error_lines = {1}, .names = "icmp6-type"},
      {.name = "pfail8", .error_lines = {1, 2}, .names = "not yet: dup-to"},
      {.name = "pfail10", .error_lines = {2, 4}, .names = "not yet: "},
      {.name = "pfail12", .error_lines = {2}, .names = "not yet: rdr-to"},
      {.name = "pfail16", .error_lines = {3}, .names = "not yet: route-to"},
      {.name = "pfail20", .error_lines = {3, 4, 5}, .names = "not yet: "},
      {.name = "pfail24", .error_lines = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, .names = "not yet: "},
      {.name = "pfail26", .error_lines = {3, 4, 5, 6}, .names = "not yet: "},
      {.name = "pfail28", .error_lines = {3, 4}, .names = "not yet: binat-to"},
      {.name = "pfail38", .error_lines = {1, 2, 3, 4}, .names = "not yet: "},
  };
  for (const Case& one : cases) check(one);
  for (const char* name : {"pfail18", "pfail30", "pfail32", "pfail34", "pfail36", "pfail44", "pfail46"}) {
    EXPECT_FALSE(read(name).ok()) << name;
  }
}

TEST(Pfctl, knows_unknown_interfaces_where_the_ports_are_known) {
  SKIP_WITHOUT_DATA();
  Environment environment;
  environment.ports_are_complete = true;
  const ParseResult parsed = parse_file(kFolder + "pfail22.in", environment);
  EXPECT_EQ(error_lines_of(parsed), std::vector<std::uint32_t>{3});
}

TEST(Pfctl, what_it_prints_it_reads_again_as_the_same) {
  SKIP_WITHOUT_DATA();
  for (const char* name : {"pf14", "pf24", "pf26", "pf30", "pf34", "pf50", "pf60", "pf78"}) {
    SCOPED_TRACE(name);
    std::string text;
    for (const std::string& line : lines_of(DiskFiles().read(kFolder + name + ".ok").value())) {
      if (is_rule_or_table(line)) text += line.substr(line.starts_with('@') ? line.find(' ') + 1 : 0) + "\n";
    }
    if (text.find("on lo0 inet6 from") == std::string::npos) replace_all(text, "port = ftp", "port ftp");
    const ParseResult parsed = parse({.name = name, .text = text}, Environment{});
    EXPECT_EQ(error_lines_of(parsed), std::vector<std::uint32_t>{});
    std::string printed;
    for (const Rule& rule : parsed.ruleset.rules) printed += text_of(parsed.ruleset, rule) + "\n";
    const ParseResult again = parse({.name = name, .text = printed}, Environment{});
    std::string printed_again;
    for (const Rule& rule : again.ruleset.rules) printed_again += text_of(again.ruleset, rule) + "\n";
    EXPECT_EQ(printed_again, printed);
    EXPECT_FALSE(printed.empty());
  }
}

}  // namespace
}  // namespace ringplane::firewall
