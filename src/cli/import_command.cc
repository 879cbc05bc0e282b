#include <cstddef>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include <CLI/App.hpp>

#include "base/result.h"
#include "bench/classbench.h"
#include "cli/commands.h"

namespace ringplane::cli {
namespace {

struct ImportWords {
  std::string format;
  std::string file;
};

int fail(const std::string& message) {
  std::fprintf(stderr, "ringplane: %s\n", message.c_str());
  return kExitFailed;
}

base::Result<std::string> text_of(const std::string& file) {
  if (!file.empty()) return bench::read_text(file);
  return std::string{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

int import_classbench(const std::string& file) {
  const auto text = text_of(file);
  if (!text) return fail(text.error().message);
  const auto rules = bench::parse_classbench(file.empty() ? "standard input" : file, *text);
  if (!rules) return fail(rules.error().message);
  const auto translated = bench::pf_conf_of(*rules);
  if (!translated) return fail(translated.error().message);
  const std::size_t written = std::fwrite(translated->data(), 1, translated->size(), stdout);
  if (written != translated->size() || std::fflush(stdout) != 0) return fail("cannot write to standard output");
  std::fprintf(stderr, "%zu of %zu translated\n", rules->size(), rules->size());
  return kExitFine;
}

int run_import(const ImportWords& words) {
  if (words.format == "classbench") return import_classbench(words.file);
  return fail("not yet: import of '" + words.format +
              "'; write the rules in pf.conf form and try them with 'ringplane check -f'");
}

}  // namespace

void add_import(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<ImportWords>();
  CLI::App* command = app.add_subcommand("import", "translates rules of another form into pf.conf");
  command->add_option("format", words->format, "classbench (iptables-save: not yet)")->required();
  command->add_option("file", words->file, "plain or .xz; default: standard input");
  command->callback([&chosen, words] { chosen = [words] { return run_import(*words); }; });
}

}  // namespace ringplane::cli
