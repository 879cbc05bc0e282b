#include "top/sample.h"

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "api/http_client.h"
#include "api/message.h"
#include "base/clock.h"
#include "base/result.h"

namespace ringplane::top {
namespace {

using Json = nlohmann::json;

// A field that is absent or of another kind is 0 or empty: a newer or older daemon shows less, and nothing worse.
std::uint64_t number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::optional<Rate> rate(const Json& object) {
  if (!object.contains("bytes_per_s")) return std::nullopt;
  return Rate{.packets = static_cast<double>(number(object, "packets_per_s")),
              .bytes = static_cast<double>(number(object, "bytes_per_s"))};
}

void fill_in(const Json& from, Port& port) {
  port = {.name = text(from, "port"),
          .interface = text(from, "interface"),
          .link = text(from, "link"),
          .rx_packets = number(from, "rx_packets"),
          .rx_bytes = number(from, "rx_bytes"),
          .tx_packets = number(from, "tx_packets"),
          .tx_bytes = number(from, "tx_bytes"),
          .lost = number(from, "rx_too_long") + number(from, "tx_ring_full"),
          .no_frame = number(from, "rx_no_frame")};
}

void fill_in(const Json& from, Flow& flow) {
  flow = {.proto = text(from, "proto"),
          .source = text(from, "source"),
          .destination = text(from, "destination"),
          .state = text(from, "state"),
          .rule = text(from, "rule"),
          .label = text(from, "label"),
          .packets = number(from, "packets_out") + number(from, "packets_back"),
          .bytes = number(from, "bytes_out") + number(from, "bytes_back"),
          .age_s = number(from, "age_s"),
          .rate = rate(from)};
}

void fill_in(const Json& from, Rule& rule) {
  rule = {.number = number(from, "rule"),
          .label = text(from, "label"),
          .text = text(from, "text"),
          .packets = number(from, "packets"),
          .bytes = number(from, "bytes"),
          .states = number(from, "states"),
          .rate = rate(from)};
}

void fill_in(const Json& from, Drop& drop) {
  drop = {.reason = text(from, "reason"), .meaning = text(from, "meaning"), .packets = number(from, "packets")};
}

void fill_in(const Json& from, Worker& worker) {
  worker = {.number = number(from, "worker"),
            .packets = number(from, "packets"),
            .handed_over = number(from, "handed_over"),
            .sleeps = number(from, "sleeps"),
            .busy_ns = number(from, "busy_ns"),
            .log_lost = number(from, "log_lost"),
            .flows = number(from, "flows"),
            .flows_limit = number(from, "flows_limit"),
            .flows_total = number(from, "flows_total")};
}

class Asker {
 public:
  explicit Asker(const api::HttpClient& client) : client_(client) {}

  /// The answer; after a failure nothing more is asked.
  Json get(const std::string& path) {
    if (failure_) return {};
    auto reply = client_.get(path);
    if (!reply) {
      failure_ = std::move(reply.error());
      return {};
    }
    Json answer = Json::parse(reply->body, nullptr, false);
    if (reply->status == api::status::kOk && (answer.is_array() || answer.is_object())) return answer;
    const std::string why = answer.is_object() ? text(answer, "error") : std::string();
    failure_ = {.message = !why.empty() ? why
                                        : path + " is answered with " + std::to_string(reply->status) +
                                              ": is the running ringplane as new as this program?"};
    return {};
  }

  template <class Item>
  void list(const std::string& path, const char* name, Part<Item>& part) {
    const Json answer = get(path);
    const Json* list = &answer;
    if (answer.is_object()) {
      part.total = number(answer, "total");
      const auto found = answer.find(name);
      if (found == answer.end()) return;
      list = &*found;
    }
    if (!list->is_array()) return;
    for (const Json& each : *list) {
      if (each.is_object()) fill_in(each, part.list.emplace_back());
    }
    if (!answer.is_object()) part.total = part.list.size();
    part.at_ns = base::monotonic_ns();
  }

  std::optional<base::Error> failure() && { return std::move(failure_); }

 private:
  const api::HttpClient& client_;
  std::optional<base::Error> failure_;
};

std::string path_of(const char* what, const Wanted::List& list, std::uint32_t limit) {
  return std::string(what) + "?limit=" + std::to_string(limit) + "&sort=" + list.sort +
         "&search=" + api::encoded(list.search);
}

}  // namespace

base::Result<Sample> ask(const api::HttpClient& client, const Wanted& wanted, bool lists_only) {
  Sample sample;
  Asker asker(client);
  asker.list(path_of("/v1/flows", wanted.flows, wanted.limit), "flows", sample.flows);
  asker.list(path_of("/v1/rules", wanted.rules, wanted.limit), "rules", sample.rules);
  if (!lists_only) {
    asker.list("/v1/ports", "", sample.ports);
    asker.list("/v1/drops", "", sample.drops);
    asker.list("/v1/workers", "", sample.workers);
    const Json status = asker.get("/v1/status");
    if (status.is_object()) {
      sample.version = text(status, "version");
      sample.generation = number(status, "generation");
      sample.uptime_s = number(status, "uptime_s");
      sample.rules_count = number(status, "rules");
    }
  }
  if (auto failure = std::move(asker).failure()) return std::unexpected(std::move(*failure));
  return sample;
}

}  // namespace ringplane::top
