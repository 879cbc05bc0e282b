// /v1/tables: the tables of the running rules, asked about and changed (docs/reference/tables.md). Lists are read first
// (questions.h), and every error in them named, before the data process hears of anything (table_desk.h).
#include <cstdint>
#include <expected>
#include <string>

#include <nlohmann/json.hpp>

#include "api/message.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/control_process.h"
#include "control/questions.h"
#include "control/show.h"
#include "control/table_file.h"
#include "control/table_journal.h"

namespace ringplane::control {
namespace {

using Json = nlohmann::ordered_json;

api::Response response_to(const base::Result<Json>& answer) {
  if (!answer) return api::error_response(api::status::kUnavailable, answer.error().message);
  if (!answer->is_object() || !answer->contains("error")) return api::json_response(*answer);
  return api::error_response(answer->value("status", api::status::kFailed), (*answer)["error"].get<std::string>());
}

}  // namespace

base::Result<Json> ControlProcess::ask_tables(const nlohmann::json& question, const std::string& held_as, int held) {
  if (!link_) return base::fail("no data process lives: see the daemon's messages, then send SIGHUP");
  Message message{.kind = MessageKind::kTable,
                  .body = question.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                  .holdings = {}};
  if (held >= 0) {
    if (auto added = message.holdings.add_duplicate(held_as, held); !added) return std::unexpected(added.error());
  }
  const auto reply = link_->call(message);
  if (!reply) return std::unexpected(reply.error());
  Json answer = Json::parse(reply->body, nullptr, false);
  if (answer.is_discarded()) return base::fail("the data process's answer makes no sense");
  return answer;
}

base::Result<void> ControlProcess::save_table(const std::string& table, const std::string& path) {
  const auto file = base::make_growing_file("what the table holds");
  if (!file) return std::unexpected(file.error());
  const auto written = ask_tables({{"op", "contents"}, {"table", table}}, "contents", file->get());
  if (!written) return std::unexpected(written.error());
  if (written->contains("error")) return base::fail((*written)["error"].get<std::string>());
  const auto bytes = base::read_memory_file(file->get());
  if (!bytes) return std::unexpected(bytes.error());
  const auto entries = unpacked_entries(*bytes);
  if (!entries) return std::unexpected(entries.error());
  return write_table_file(path, *entries);
}

api::Response ControlProcess::change_table(const api::Request& request, const std::string& op) {
  const auto wanted = table_wish_in(request);
  if (!wanted) {
    const bool is_list = wanted.error().kind == base::ErrorKind::kBadConfiguration;
    return api::error_response(is_list ? api::status::kUnprocessable : api::status::kBadRequest,
                               wanted.error().message);
  }
  const std::string& table = request.names.at("table");
  if (op == "flush" && !wanted->entries.empty())
    return api::error_response(api::status::kBadRequest, "flush takes no addresses: delete does");
  const auto packed = base::make_text_file(packed_entries(wanted->entries), "the addresses");
  if (!packed) return api::error_response(packed.error());
  auto answer = ask_tables({{"op", op}, {"table", table}, {"save", wanted->save}}, "entries", packed->get());
  if (answer && !answer->contains("error")) {
    const std::string path = (*answer)["file"];
    answer->erase("file");
    (*answer)["saved"] = wanted->save;
    if (const auto saved = wanted->save ? save_table(table, path) : base::Result<void>(); !saved) {
      return api::error_response(api::status::kFailed,
                                 "table <" + table + "> is changed, but not saved: " + saved.error().message);
    }
  }
  return response_to(answer);
}

api::Response ControlProcess::list_tables() {
  return response_to(ask_tables({{"op", "list"}}));
}

api::Response ControlProcess::show_table(const api::Request& request) {
  const auto limit = request.number_or("limit", kUsualLimit, kMaxListed);
  if (!limit) return api::error_response(api::status::kBadRequest, limit.error().message);
  const auto offset = request.number_or("offset", 0, UINT32_MAX);
  if (!offset) return api::error_response(api::status::kBadRequest, offset.error().message);
  return response_to(
      ask_tables({{"op", "show"}, {"table", request.names.at("table")}, {"limit", *limit}, {"offset", *offset}}));
}

api::Response ControlProcess::test_table(const api::Request& request) {
  return response_to(
      ask_tables({{"op", "test"}, {"table", request.names.at("table")}, {"address", request.query_or("address", "")}}));
}

}  // namespace ringplane::control
