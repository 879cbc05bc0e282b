// What the API answers at one moment, as plain values. Texts are as they came: only text.h makes them fit to be seen.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/http_client.h"
#include "base/result.h"

namespace ringplane::top {

/// As the server measured it.
struct Rate {
  double packets = 0;  ///< a second
  double bytes = 0;
};

struct Port {
  std::string name, interface, link;
  std::uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
  std::uint64_t lost = 0;      ///< too long for a frame, or not taken by the transmit ring
  std::uint64_t no_frame = 0;  ///< turns without a frame to receive into
};

struct Flow {
  std::string proto, source, destination, state, rule, label;
  std::uint64_t packets = 0, bytes = 0;  ///< both ways
  std::uint64_t age_s = 0;
  std::optional<Rate> rate{};
};

struct Rule {
  std::uint64_t number = 0;
  std::string label, text;
  std::uint64_t packets = 0, bytes = 0, states = 0;
  std::optional<Rate> rate{};
};

struct Drop {
  std::string reason, meaning;
  std::uint64_t packets = 0;
};

struct Worker {
  std::uint64_t number = 0;
  std::uint64_t packets = 0, handed_over = 0, sleeps = 0, busy_ns = 0, log_lost = 0;
  std::uint64_t flows = 0, flows_limit = 0, flows_total = 0;
};

/// One answer: a list, and when it came (monotonic). Of flows and rules it is the head of a longer one.
template <class Item>
struct Part {
  std::vector<Item> list{};
  std::uint64_t total = 0;
  std::uint64_t at_ns = 0;  ///< 0: not asked
};

struct Sample {
  std::string version;
  std::uint64_t generation = 0, uptime_s = 0, rules_count = 0;
  Part<Port> ports;
  Part<Flow> flows;
  Part<Rule> rules;
  Part<Drop> drops;
  Part<Worker> workers;
};

/// What of flows and rules is of interest.
struct Wanted {
  struct List {
    std::string sort;
    std::string search;
    [[nodiscard]] bool operator==(const List&) const = default;
  };
  List flows{};
  List rules{};
  std::uint32_t limit = 200;
  [[nodiscard]] bool operator==(const Wanted&) const = default;
};

/// Asks for everything, or (`lists_only`) for flows and rules. Blocks. Fails with a sentence: nobody answers, or not
/// what this program knows.
[[nodiscard]] base::Result<Sample> ask(const api::HttpClient& client, const Wanted& wanted, bool lists_only);

}  // namespace ringplane::top
