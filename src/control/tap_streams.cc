#include "control/tap_streams.h"

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "api/stream.h"
#include "base/result.h"
#include "control/channel.h"
#include "control/data_link.h"

namespace ringplane::control {
namespace {

constexpr std::uint32_t kMostFailures = 2'000;  // about ten seconds without a data process that would do it

}  // namespace

base::Result<std::uint32_t> TapStreams::ask_for(const nlohmann::json& question, DataLink& link) {
  const auto reply =
      link.call({.kind = MessageKind::kAsk, .body = nlohmann::json{{"tap", question}}.dump(), .holdings = {}});
  if (!reply) return std::unexpected(reply.error());
  const auto said = nlohmann::json::parse(reply->body, nullptr, false);
  if (!said.contains("tap")) return base::fail(said.value("error", "the data process does not say why not"));
  return said.value("tap", 0U);
}

base::Result<std::shared_ptr<api::Stream>> TapStreams::open(const nlohmann::json& question, DataLink& link) {
  const auto tap = ask_for(question, link);
  if (!tap) return std::unexpected(tap.error());
  open_.push_back({.question = question, .tap = *tap, .pid = link.pid(), .stream = std::make_shared<api::Stream>()});
  return open_.back().stream;
}

bool TapStreams::pump(Open& each, DataLink& link) {
  if (each.pid != link.pid()) {
    const auto tap = ask_for(each.question, link);
    if (!tap) return ++each.failures < kMostFailures;
    each.failures = 0;
    each.tap = *tap;
    each.pid = link.pid();
  }
  const std::string number = std::to_string(each.tap);
  if (each.stream->is_abandoned()) {
    (void)link.call({.kind = MessageKind::kAsk, .body = R"({"untap":)" + number + "}", .holdings = {}});
    return false;
  }
  // What a slow reader has not taken is not fetched: it is missed and counted over there.
  if (!each.stream->has_room()) return true;
  const auto seen = link.call({.kind = MessageKind::kTapped, .body = number, .holdings = {}});
  if (!seen) each.pid = 0;  // it has just died, most likely: the next one is asked
  return !seen || seen->body.empty() || each.stream->write(seen->body);
}

void TapStreams::pump(DataLink* link) {
  std::erase_if(open_, [link](Open& each) {
    const bool goes_on = link == nullptr ? !each.stream->is_abandoned() : pump(each, *link);
    if (!goes_on) each.stream->end();
    return !goes_on;
  });
}

}  // namespace ringplane::control
