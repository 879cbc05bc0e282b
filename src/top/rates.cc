#include "top/rates.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "top/sample.h"

namespace ringplane::top {
namespace {

/// The rate of one counter between two answers.
class Meter {
 public:
  Meter(std::uint64_t before_ns, std::uint64_t now_ns)
      : seconds_(before_ns == 0 || now_ns <= before_ns
                     ? 0
                     : static_cast<double>(now_ns - before_ns) / static_cast<double>(base::kNanosPerSecond)) {}

  [[nodiscard]] PerSecond of(std::uint64_t before, std::uint64_t now) const {
    if (seconds_ <= 0 || now < before) return std::nullopt;
    return static_cast<double>(now - before) / seconds_;
  }
  [[nodiscard]] PerSecond bits_of(std::uint64_t before_bytes, std::uint64_t now_bytes) const {
    const PerSecond bytes = of(before_bytes, now_bytes);
    return bytes ? PerSecond(*bytes * 8) : std::nullopt;
  }

 private:
  double seconds_;
};

/// What is known of all, if it is known of one.
void add(PerSecond& sum, const PerSecond& more) {
  if (more) sum = sum.value_or(0) + *more;
}

std::string key_of(const Port& port) {
  return port.name;
}
std::string key_of(const Flow& flow) {
  return flow.proto + ' ' + flow.source + ' ' + flow.destination;
}
std::string key_of(const Drop& drop) {
  return drop.reason;
}
std::string key_of(const Worker& worker) {
  return std::to_string(worker.number);
}
/// With its text: another number of the same after a reload is another rule.
std::string key_of(const Rule& rule) {
  return std::to_string(rule.number) + ' ' + rule.text;
}

/// For each line of `now` what `rates(before, now, meter)` says, or nothing where there was no such line before.
template <class Rates, class Item, class Compute>
std::vector<Rates> compare_parts(const Part<Item>& before, const Part<Item>& now, Compute&& compute) {
  std::unordered_map<std::string, const Item*> known;
  for (const Item& each : before.list) known.emplace(key_of(each), &each);
  const Meter meter(before.at_ns, now.at_ns);
  std::vector<Rates> rates(now.list.size());
  for (std::size_t i = 0; i < now.list.size(); ++i) {
    const auto found = known.find(key_of(now.list[i]));
    if (found != known.end()) rates[i] = compute(*found->second, now.list[i], meter);
  }
  return rates;
}

template <class Item>
std::vector<ListRates> compare_lists(const Part<Item>& before, const Part<Item>& now) {
  auto rates = compare_parts<ListRates>(before, now, [](const Item& was, const Item& is, const Meter& meter) {
    return ListRates{.packets = meter.of(was.packets, is.packets), .bits = meter.bits_of(was.bytes, is.bytes)};
  });
  for (std::size_t i = 0; i < now.list.size(); ++i) {
    if (now.list[i].rate) rates[i] = {.packets = now.list[i].rate->packets, .bits = now.list[i].rate->bytes * 8};
  }
  return rates;
}

}  // namespace

Model compare(const Sample& before, Sample now) {
  Model model;
  model.ports =
      compare_parts<PortRates>(before.ports, now.ports, [](const Port& was, const Port& is, const Meter& meter) {
        return PortRates{.rx_packets = meter.of(was.rx_packets, is.rx_packets),
                         .rx_bits = meter.bits_of(was.rx_bytes, is.rx_bytes),
                         .tx_packets = meter.of(was.tx_packets, is.tx_packets),
                         .tx_bits = meter.bits_of(was.tx_bytes, is.tx_bytes),
                         .lost = meter.of(was.lost, is.lost),
                         .no_frame = meter.of(was.no_frame, is.no_frame)};
      });
  model.flows = compare_lists(before.flows, now.flows);
  model.rules = compare_lists(before.rules, now.rules);
  model.drops = compare_parts<PerSecond>(
      before.drops, now.drops,
      [](const Drop& was, const Drop& is, const Meter& meter) { return meter.of(was.packets, is.packets); });
  model.workers = compare_parts<WorkerRates>(
      before.workers, now.workers, [](const Worker& was, const Worker& is, const Meter& meter) {
        WorkerRates rates{.packets = meter.of(was.packets, is.packets),
                          .handed_over = meter.of(was.handed_over, is.handed_over),
                          .sleeps = meter.of(was.sleeps, is.sleeps),
                          .new_flows = meter.of(was.flows_total, is.flows_total),
                          .load = meter.of(was.busy_ns, is.busy_ns)};
        // A turn that ends between the two answers may have begun before the first.
        if (rates.load) rates.load = std::min(*rates.load / static_cast<double>(base::kNanosPerSecond), 1.0);
        return rates;
      });
  for (const PortRates& port : model.ports) {
    add(model.packets, port.rx_packets);
    add(model.bits, port.rx_bits);
  }
  for (const PerSecond& drop : model.drops) add(model.dropped, drop);
  for (const WorkerRates& worker : model.workers) add(model.new_flows, worker.new_flows);
  for (const Worker& worker : now.workers.list) {
    model.live_flows += worker.flows;
    model.flows_limit += worker.flows_limit;
  }
  model.now = std::move(now);
  return model;
}

void History::take(Sample sample) {
  if (sample.ports.at_ns != 0) {
    before_ = std::exchange(model_.now, {});
    model_ = compare(before_, std::move(sample));
    return;
  }
  model_.now.flows = std::move(sample.flows);
  model_.now.rules = std::move(sample.rules);
  model_.flows = compare_lists(before_.flows, model_.now.flows);
  model_.rules = compare_lists(before_.rules, model_.now.rules);
}

}  // namespace ringplane::top
