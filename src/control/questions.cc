#include "control/questions.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "api/message.h"
#include "base/result.h"
#include "control/rulebook.h"
#include "control/show.h"
#include "firewall/table_text.h"
#include "report/recent_lines.h"

namespace ringplane::control {
namespace {

constexpr std::size_t kMostErrorsNamed = 1'000;
constexpr std::uint64_t kMostOfTaps = 10'000'000;

/// "code jt jf k,code jt jf k,...": a filter that the asker has compiled, as `tcpdump -ddd` prints it.
base::Result<std::vector<std::array<std::uint32_t, 4>>> program_of(std::string_view text) {
  std::vector<std::array<std::uint32_t, 4>> program;
  std::istringstream words{std::string(text)};
  for (std::string each; std::getline(words, each, ',');) {
    std::array<std::uint32_t, 4> numbers{};
    std::istringstream parts(each);
    for (std::uint32_t& number : numbers) parts >> number;
    if (!parts || numbers[0] > UINT16_MAX || numbers[1] > UINT8_MAX || numbers[2] > UINT8_MAX)
      return base::fail("'program' must be instructions of four numbers: code jt jf k");
    program.push_back(numbers);
  }
  return program;
}

/// The errors of a list, as they come.
class ListErrors {
 public:
  void add(const std::string& place, const std::string& what) {
    if (++count_ <= kMostErrorsNamed) text_ += fmt::format("\n{}: {}", place, what);
  }
  [[nodiscard]] bool any() const noexcept { return count_ != 0; }
  [[nodiscard]] std::unexpected<base::Error> failure() const {
    std::string all =
        fmt::format("nothing was changed: {} error{} in the list{}", count_, count_ == 1 ? "" : "s", text_);
    if (count_ > kMostErrorsNamed) all += fmt::format("\nand {} more", count_ - kMostErrorsNamed);
    return base::fail(std::move(all), base::ErrorKind::kBadConfiguration);
  }

 private:
  std::size_t count_ = 0;
  std::string text_;
};

base::Result<TableWish> table_wish_in_text(const api::Request& request) {
  firewall::TableText text = firewall::parse_table_text(request.body);
  ListErrors errors;
  for (const firewall::TableTextError& error : text.errors) errors.add(fmt::format("line {}", error.line), error.what);
  if (errors.any()) return errors.failure();
  return TableWish{.entries = std::move(text.entries), .save = request.query_or("save", "false") == "true"};
}

base::Result<TableWish> table_wish_in_json(const api::Request& request) {
  const auto body = request.json();
  if (!body) return std::unexpected(body.error());
  for (const auto& [key, value] : body->items()) {
    const bool fits = (key == "entries" && value.is_array()) || (key == "save" && value.is_boolean());
    if (!fits) return base::fail(R"(the body must be {"entries": ["192.0.2.1", ...], "save": false})");
  }
  TableWish wanted{.entries = {}, .save = body->value("save", false)};
  ListErrors errors;
  const nlohmann::json none = nlohmann::json::array();
  const auto listed = body->find("entries");
  std::size_t number = 0;
  // Not a copy: that of a list in a list in a list takes a stack frame for each.
  for (const auto& each : listed == body->end() ? none : *listed) {
    const std::string place = fmt::format("entry {}", ++number);
    if (!each.is_string()) {
      errors.add(place, "it is no string");
      continue;
    }
    const firewall::TableText read = firewall::parse_table_text(each.get<std::string>());
    for (const firewall::TableTextError& error : read.errors) errors.add(place, error.what);
    if (read.errors.empty() && read.entries.empty()) errors.add(place, "it is empty");
    wanted.entries.insert(wanted.entries.end(), read.entries.begin(), read.entries.end());
  }
  if (errors.any()) return errors.failure();
  return wanted;
}

/// Of a member of a body; 0: it is not there; none: it is no such number.
std::optional<std::uint32_t> number_in(const nlohmann::json& body, const char* key) {
  const auto found = body.find(key);
  if (found == body.end()) return 0;
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
    return std::nullopt;
  }
  return found->get<std::uint32_t>();
}

}  // namespace

base::Result<nlohmann::json> page_of(const api::Request& request, std::string_view what) {
  const auto limit = request.number_or("limit", kUsualLimit, kMaxListed);
  if (!limit) return std::unexpected(limit.error());
  const auto offset = request.number_or("offset", 0, UINT32_MAX);
  if (!offset) return std::unexpected(offset.error());
  return nlohmann::json{{"show", what},
                        {"limit", *limit},
                        {"offset", *offset},
                        {"search", request.query_or("search", "")},
                        {"sort", request.query_or("sort", "")}};
}

base::Result<nlohmann::json> lines_question(const api::Request& request) {
  constexpr std::uint64_t kLastNumber = std::uint64_t{1} << 53;  // that every reader of JSON takes
  constexpr std::size_t kMost = report::RecentLines::kMost;
  const auto after = request.number_or("after", 0, kLastNumber);
  if (!after) return std::unexpected(after.error());
  const auto limit = request.number_or("limit", kMost, kMost);
  if (!limit) return std::unexpected(limit.error());
  return nlohmann::json{
      {"show", "logs"}, {"after", *after}, {"limit", *limit}, {"search", request.query_or("search", "")}};
}

base::Result<std::string> packet_in(const api::Request& request) {
  const auto asked = request.json();
  if (!asked || !asked->contains("packet") || !(*asked)["packet"].is_string())
    return base::fail(R"(give the packet: {"packet": "in on lan proto tcp ..."})");
  return (*asked)["packet"].get<std::string>();
}

base::Result<nlohmann::json> tap_question(const api::Request& request, const char* form) {
  nlohmann::json question{{"form", form}};
  const auto program = program_of(request.query_or("program", ""));
  if (!program) return std::unexpected(program.error());
  if (!program->empty()) question["program"] = *program;
  question["filter"] = request.query_or("filter", "");
  for (const char* name : {"per_second", "snap"}) {
    const auto number = request.number_or(name, 0, kMostOfTaps);
    if (!number) return std::unexpected(number.error());
    if (request.query.contains(name)) question[name] = *number;
  }
  return question;
}

base::Result<TableWish> table_wish_in(const api::Request& request) {
  return request.content_type == "text/plain" ? table_wish_in_text(request) : table_wish_in_json(request);
}

base::Result<ApplyWish> rule_wish_in(const api::Request& request) {
  const auto body = request.json();
  if (!body) return std::unexpected(body.error());
  const auto confirm_s = number_in(*body, "confirm_s");
  const auto dry_run = body->find("dry_run");
  if (!confirm_s || (dry_run != body->end() && !dry_run->is_boolean())) {
    return base::fail(R"(say {"confirm_s": SECONDS, "dry_run": true or false})");
  }
  return ApplyWish{.confirm_s = *confirm_s, .dry_run = dry_run != body->end() && dry_run->get<bool>()};
}

base::Result<std::uint32_t> version_to_go_back_to(const api::Request& request) {
  const auto body = request.json();
  if (!body) return std::unexpected(body.error());
  const auto to = number_in(*body, "to");
  if (!to) return base::fail(R"(say {"to": VERSION}, or {} for the one before)");
  return *to;
}

base::Result<std::uint32_t> version_in_path(const api::Request& request) {
  const std::string& text = request.names.at("version");
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return base::fail("a version is a number, such as 12");
  return number;
}

}  // namespace ringplane::control
