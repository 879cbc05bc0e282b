#include <cstddef>
#include <cstdio>
#include <expected>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include <CLI/App.hpp>

#include "base/result.h"
#include "bench/classbench.h"
#include "cli/commands.h"
#include "translate/filter.h"
#include "translate/ipset_save.h"
#include "translate/iptables_save.h"
#include "translate/lines.h"
#include "translate/nft_json.h"
#include "translate/pf_writer.h"
#include "wire/ip_address.h"

namespace ringplane::cli {
namespace {

/// Not 2, which says that the words of the command were wrong.
constexpr int kExitIncomplete = 3;

struct ImportWords {
  std::string format;
  std::string file;
  std::string host;
};

int fail(const std::string& message) {
  std::fprintf(stderr, "ringplane: %s\n", message.c_str());
  return kExitFailed;
}

base::Result<std::string> text_of(const std::string& file) {
  if (!file.empty()) return bench::read_text(file);
  std::string text;
  char piece[65536];
  while (std::cin.read(piece, sizeof piece) || std::cin.gcount() > 0) {
    text.append(piece, static_cast<std::size_t>(std::cin.gcount()));
    if (text.size() > translate::kMaxInputBytes) break;
  }
  return text;
}

/// Prints the rules, and on the other channel how many of them there are.
int print(const std::string& text, std::size_t translated, std::size_t all) {
  const std::size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
  if (written != text.size() || std::fflush(stdout) != 0) return fail("cannot write to standard output");
  std::fprintf(stderr, "%zu of %zu translated\n", translated, all);
  return translated == all ? kExitFine : kExitIncomplete;
}

int import_classbench(const std::string& name, const std::string& text) {
  const auto rules = bench::parse_classbench(name, text);
  if (!rules) return fail(rules.error().message);
  const auto translated = bench::pf_conf_of(*rules);
  if (!translated) return fail(translated.error().message);
  return print(*translated, rules->size(), rules->size());
}

int run_import(const ImportWords& words) {
  const auto text = text_of(words.file);
  if (!text) return fail(text.error().message);
  const std::string name = words.file.empty() ? "standard input" : words.file;
  if (words.format == "classbench") return import_classbench(name, *text);
  if (text->size() > translate::kMaxInputBytes) return fail(name + " is larger than 64 MiB: no ruleset is");
  auto filter = words.format == "nft-json" ? translate::read_nft_json(name, *text)
                : words.format == "ipset"
                    ? translate::read_ipset_save(name, *text)
                    : translate::read_iptables_save(
                          name, *text, words.format == "ip6tables-save" ? wire::Family::kIpv6 : wire::Family::kNone);
  if (!filter) return fail(filter.error().message);
  const auto made = translate::write_pf_conf(std::move(*filter), {.source = words.format, .host_port = words.host});
  if (!made) return fail(name + ": " + made.error().message);
  return print(made->text, made->translated, made->statements);
}

}  // namespace

void add_import(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<ImportWords>();
  CLI::App* command = app.add_subcommand("import", "translates rules of another form into pf.conf");
  command->add_option("format", words->format, "iptables-save, ip6tables-save, nft-json, ipset or classbench")
      ->required()
      ->check(CLI::IsMember({"iptables-save", "ip6tables-save", "nft-json", "ipset", "classbench"}));
  command->add_option("file", words->file, "default: standard input; of classbench also .xz");
  command->add_option("--host", words->host, "the rules are those of a host behind this PORT, not of a router")
      ->check([](const std::string& port) {
        return translate::is_table_name(port) ? std::string() : "'" + port + "' is no name of a port";
      });
  command->callback([&chosen, words] { chosen = [words] { return run_import(*words); }; });
}

}  // namespace ringplane::cli
