#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <nlohmann/json.hpp>

#include "api/http_client.h"
#include "api/message.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/table.h"

namespace ringplane::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kPage = 50'000;

struct TableWords {
  std::string table;
  std::string what = "show";
  std::vector<std::string> addresses;
  std::string file;
  bool save = false;
  bool json = false;
};

std::string path_of(const TableWords& words) {
  return "/v1/tables/" + api::encoded(words.table);
}

int usage(const char* sentence) {
  std::fprintf(stderr, "ringplane: %s\n", sentence);
  return kExitUsage;
}

int list_tables(const Whom& whom, const TableWords& words) {
  const Answer answer = get(whom, "/v1/tables");
  if (answer.exit_code != kExitFine) return answer.exit_code;
  std::printf("%s", words.json ? (answer.json.dump(2) + "\n").c_str() : table_of(answer.json).c_str());
  return kExitFine;
}

/// Page by page, so that a large table is not in memory at either end. Changes meanwhile may be seen or not.
int show_table(const Whom& whom, const TableWords& words) {
  std::uint64_t offset = 0;
  std::uint64_t total = 1;
  if (words.json) std::printf("[");
  while (offset < total) {
    const Answer answer =
        get(whom, path_of(words) + "?limit=" + std::to_string(kPage) + "&offset=" + std::to_string(offset));
    if (answer.exit_code != kExitFine) return answer.exit_code;
    total = answer.json.value("total", std::uint64_t{0});
    const Json& entries = answer.json["entries"];
    if (entries.empty()) break;
    for (const Json& each : entries) {
      if (words.json) {
        std::printf("%s\n%s", offset == 0 ? "" : ",", each.dump().c_str());
      } else {
        std::printf("%s\n", each["entry"].get_ref<const std::string&>().c_str());
      }
      ++offset;
    }
  }
  if (words.json) std::printf("\n]\n");
  return kExitFine;
}

/// As `pfctl -T test`: fine if the table holds all of them.
int test_table(const Whom& whom, const TableWords& words) {
  int result = kExitFine;
  for (const std::string& address : words.addresses) {
    const Answer answer = get(whom, path_of(words) + "/test?address=" + api::encoded(address));
    if (answer.exit_code != kExitFine) return kExitUsage;  // not the answer that it is not in the table
    const bool matches = answer.json.value("matches", false);
    if (!matches) result = kExitFailed;
    if (words.json) {
      std::printf("%s\n", answer.json.dump().c_str());
      continue;
    }
    std::string by = answer.json["entry"].is_string() ? ", by " + answer.json["entry"].get<std::string>() : "";
    if (answer.json.value("overload", false)) by += ", by overload";
    std::printf("%s: %s%s\n", address.c_str(), matches ? "yes" : "no", by.c_str());
  }
  return result;
}

/// "-": standard input. False: it cannot be read.
bool append_file(const std::string& name, std::string& text) {
  std::FILE* file = name == "-" ? stdin : std::fopen(name.c_str(), "rbe");
  if (file == nullptr) return false;
  std::vector<char> piece(std::size_t{1} << 20);
  for (std::size_t got = 0; (got = std::fread(piece.data(), 1, piece.size(), file)) > 0;)
    text.append(piece.data(), got);
  const bool is_whole = std::ferror(file) == 0;
  if (file != stdin) std::fclose(file);
  return is_whole;
}

int change_table(const Whom& whom, const TableWords& words) {
  std::string list;
  for (const std::string& address : words.addresses) list += address + "\n";
  if (!words.file.empty() && !append_file(words.file, list)) {
    std::fprintf(stderr, "ringplane: cannot read %s\n", words.file.c_str());
    return kExitFailed;
  }
  const auto client = client_of(whom);
  if (!client) return kExitBadConfiguration;
  const auto reply =
      client->post(path_of(words) + "/" + words.what + (words.save ? "?save=true" : ""), list, "text/plain");
  if (!reply) {
    std::fprintf(stderr, "ringplane: %s\n", reply.error().message.c_str());
    return kExitFailed;
  }
  if (reply->status != api::status::kOk) return refused(*reply);
  const Json answer = Json::parse(reply->body, nullptr, false);
  if (words.json) {
    std::printf("%s\n", answer.dump().c_str());
  } else {
    std::printf("table <%s>: %s entries, %s before%s\n", words.table.c_str(), answer["entries"].dump().c_str(),
                answer["before"].dump().c_str(), words.save ? "; saved" : "");
  }
  return kExitFine;
}

int table(const Whom& whom, const TableWords& words) {
  const bool changes = words.what != "show" && words.what != "test";
  const bool has_list = !words.addresses.empty() || !words.file.empty();
  if (words.table.empty()) return list_tables(whom, words);
  if (!changes && (words.save || !words.file.empty()))
    return usage("--file and --save go with add, delete, replace and flush");
  if (words.what == "show") return has_list ? usage("show takes no addresses: test does") : show_table(whom, words);
  if (words.what == "test") return has_list ? test_table(whom, words) : usage("test which address?");
  if (words.what == "flush" && has_list) return usage("flush takes no addresses: delete does");
  if (words.what != "flush" && !has_list) return usage("which addresses? Name them, or --file FILE, or --file -");
  return change_table(whom, words);
}

}  // namespace

void add_table(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<TableWords>();
  CLI::App* command = app.add_subcommand("table", "lists the tables of the running rules, shows one, or changes it");
  command->add_option("table", words->table, "its name; without it, all tables are listed");
  command->add_option("what", words->what, "show, test, add, delete, replace or flush")
      ->check(CLI::IsMember(std::set<std::string>{"show", "test", "add", "delete", "replace", "flush"}));
  command->add_option("addresses", words->addresses, "addresses, prefixes or ranges, !negated or not");
  command->add_option("--file", words->file, "more of them from this file; -: from standard input");
  command->add_flag("--save", words->save, "then writes what the table holds to its file");
  command->add_flag("--json", words->json, "the answer as JSON");
  const auto whom = Whom::add_options(*command);
  command->callback([&chosen, whom, words] { chosen = [whom, words] { return table(*whom, *words); }; });
}

}  // namespace ringplane::cli
