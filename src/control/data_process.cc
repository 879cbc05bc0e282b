#include "control/data_process.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/heap.h"
#include "base/holdings.h"
#include "base/mapped_memory.h"
#include "base/result.h"
#include "base/unix_socket.h"
#include "control/channel.h"
#include "control/config.h"
#include "control/data_plane.h"
#include "control/estate.h"
#include "control/explain_answer.h"
#include "control/outputs.h"
#include "control/rates.h"
#include "control/rule_files.h"
#include "control/sandbox.h"
#include "control/show.h"
#include "control/start_order.h"
#include "control/table_desk.h"
#include "control/taps.h"
#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "firewall/policy.h"
#include "port/port.h"

namespace ringplane::control {
namespace {

constexpr int kDataTickMs = 50;
constexpr int kDataPatienceMs = 10'000;
constexpr int kFollowTickMs = 200;

base::Result<std::shared_ptr<const firewall::Policy>> compile(const Config& config, const base::Holdings& holdings) {
  auto files = PackedFiles::open(holdings.find("rules"));
  if (!files) return std::unexpected(std::move(files.error()));
  firewall::Environment environment = environment_of(config);
  environment.files = &*files;
  return firewall::Policy::create(firewall::parse_file(files->first(), environment));
}

class DataProcess {
 public:
  DataProcess(Estate estate, std::unique_ptr<DataPlane> plane, Outputs outputs, std::string isolation)
      : estate_(std::move(estate)),
        plane_(std::move(plane)),
        outputs_(std::move(outputs)),
        taps_(*plane_),
        isolation_(std::move(isolation)),
        tables_(*plane_, estate_.holdings),
        link_(plane_->ports().size(), port::LinkState::kUp) {
    tables_.follow();
  }

  /// Before take_over(), now and then: keeps up with who works.
  void follow() { tables_.follow(); }

  /// `outlets`: what to write into (outlets.h).
  [[nodiscard]] base::Result<void> take_over(base::Holdings outlets) {
    if (auto changed = change_outlets(std::move(outlets)); !changed) return changed;
    tables_.follow();
    return plane_->take_over();
  }

  int run(Channel channel) {
    channel_ = std::move(channel);
    channel_.set_patience(kDataPatienceMs);
    while (!stopping_) turn();
    return 0;
  }

  /// What whoever started us wants to know.
  [[nodiscard]] std::string ready_text() const {
    nlohmann::json ready{{"rules", plane_->snapshot().policy->rule_count()},
                         {"workers", plane_->workers().size()},
                         {"flows", plane_->config().flows.limit},
                         {"pages", base::name_of(plane_->arena().pages())},
                         {"isolation", isolation_},
                         {"ports", nlohmann::json::array()}};
    for (const auto& port : plane_->ports()) ready["ports"].push_back(port->description());
    std::uint32_t kept = 0;
    std::uint32_t dropped = 0;
    bool trusted = true;
    for (const auto& worker : plane_->workers()) {
      const auto& inherited = worker->tables().flows->inherited();
      if (!inherited) continue;
      kept += inherited->kept;
      dropped += inherited->dropped;
      trusted = trusted && inherited->trusted;
    }
    ready["flows_kept"] = kept;
    ready["flows_dropped"] = dropped;
    ready["flows_trusted"] = trusted;
    return ready.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

 private:
  void turn() {
    std::array<pollfd, 2> waits{pollfd{.fd = estate_.holdings.find("listener"), .events = POLLIN, .revents = 0},
                                pollfd{.fd = channel_.descriptor(), .events = POLLIN, .revents = 0}};
    poll(waits.data(), waits.size(), busy_ ? 0 : kDataTickMs);
    if (waits[1].revents != 0) serve();
    if ((waits[0].revents & POLLIN) != 0) welcome();
    drain();
    plane_->spread_overloads();
    taps_.forget_abandoned(base::monotonic_ns());
    tables_.keep();
    watch_links();
  }

  /// A control process that comes takes the place of one that was there: that one is dead or about to go.
  void welcome() {
    base::FileDescriptor client = base::accept_from(estate_.holdings.find("listener"));
    if (!client.valid()) return;
    channel_ = Channel(std::move(client));
    channel_.set_patience(kDataPatienceMs);
  }

  void serve() {
    auto message = channel_.receive();
    if (!message) {
      channel_.close();
      if (!stopping_) spdlog::warn("the control process has gone; packets go on, and the next one is awaited");
      return;
    }
    if (!channel_.send(answer(*message))) channel_.close();
  }

  Message answer(Message& message) {
    switch (message.kind) {
      case MessageKind::kRules: return reload(message);
      case MessageKind::kAsk: return {.kind = MessageKind::kDone, .body = answer_text(message.body), .holdings = {}};
      case MessageKind::kTapped: return take_tapped(message.body);
      case MessageKind::kTable: return tables_.answer(message);
      case MessageKind::kKeep:
        replace_rules(estate_, std::move(message.holdings));
        return {.kind = MessageKind::kDone, .body = {}, .holdings = {}};
      case MessageKind::kSurrender: return surrender();
      case MessageKind::kOutlets: return take_outlets(message);
      case MessageKind::kLeave: leave();
      case MessageKind::kStop: return stop();
      default: return failed({.message = "a running data process does not understand that"});
    }
  }

  Message reload(Message& message) {
    auto compiled = compile(plane_->config(), message.holdings);
    if (!compiled) return failed(compiled.error());
    auto policy = tables_.carry_over(std::move(*compiled));
    if (!policy) return failed(policy.error());
    drain();  // records of the present rules, while their labels are at hand
    if (auto reloaded = plane_->reload(std::move(*policy)); !reloaded) return failed(reloaded.error());
    tables_.forget_others();
    replace_rules(estate_, std::move(message.holdings));
    return {.kind = MessageKind::kDone, .body = std::to_string(plane_->snapshot().generation), .holdings = {}};
  }

  base::Result<void> change_outlets(base::Holdings outlets) {
    auto changed = outputs_.change_to(outlets);
    if (changed) estate_.holdings.add_all(std::move(outlets));
    return changed;
  }

  Message take_outlets(Message& message) {
    drain();
    if (auto changed = change_outlets(std::move(message.holdings)); !changed) return failed(changed.error());
    return {.kind = MessageKind::kDone, .body = {}, .holdings = {}};
  }

  void drain() { busy_ = outputs_.drain(*plane_); }

  Message surrender() {
    Message all{.kind = MessageKind::kDone,
                .body = nlohmann::json{{"order", estate_.order.to_text()}, {"pid", getpid()}}.dump(),
                .holdings = {}};
    for (const auto& [name, descriptor] : estate_.holdings.all()) {
      if (auto added = all.holdings.add_duplicate(name, descriptor.get()); !added) return failed(added.error());
    }
    return all;
  }

  /// Nothing is closed and nobody's destructor runs: what lies in the rings and the tables is the next one's.
  [[noreturn]] void leave() {
    plane_->halt();
    drain();
    (void)channel_.send({.kind = MessageKind::kDone, .body = {}, .holdings = {}});
    _exit(0);
  }

  Message stop() {
    stopping_ = true;
    const std::uint32_t missing = plane_->stop();
    outputs_.finish(*plane_);
    return {.kind = MessageKind::kDone,
            .body = nlohmann::json{{"missing", missing}, {"frames", plane_->arena().frame_count()}}.dump(),
            .holdings = {}};
  }

  /// What a tap has seen, as it is to be sent on; "" if it is not known any more: as bytes, not as JSON.
  Message take_tapped(const std::string& number) {
    auto taken = taps_.take(static_cast<std::uint32_t>(std::strtoul(number.c_str(), nullptr, 10)));
    if (!taken) return failed(taken.error());
    return {.kind = MessageKind::kDone, .body = std::move(*taken), .holdings = {}};
  }

  /// A question as the control process asks it (routes.cc): {"show": ...} or {"explain": ...}.
  std::string answer_text(const std::string& request) {
    const auto asked = nlohmann::json::parse(request, nullptr, false);
    const auto answered = answer_question(asked);
    const nlohmann::ordered_json reply =
        answered ? *answered : nlohmann::ordered_json{{"error", answered.error().message}};
    return reply.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  base::Result<nlohmann::ordered_json> answer_question(const nlohmann::json& asked) {
    if (asked.contains("tap")) return taps_.open(asked["tap"]);
    if (asked.contains("untap")) {
      taps_.close(asked.value("untap", 0U));
      return nlohmann::ordered_json::object();
    }
    if (asked.contains("explain"))
      return explain_packet(plane_->snapshot().policy->ruleset(), asked.value("explain", ""));
    const auto question = Question::parse(asked);
    if (!question) return std::unexpected(question.error());
    if (question->what == "isolation") return show_isolation();
    if (question->what == "outputs") return outputs_.show();
    if (question->what == "logs") return outputs_.recent(asked);
    return show(*plane_, *question, rates_, base::monotonic_ns());
  }

  static nlohmann::ordered_json show_isolation() {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const Attempt& attempt : try_to_break_out()) {
      list.push_back({{"attempt", attempt.what}, {"refused", attempt.refused}, {"how", attempt.how}});
    }
    return list;
  }

  void watch_links() {
    // Asking the device is a system call: every second is enough for a message.
    if (const std::uint64_t now_ns = base::monotonic_ns(); now_ns - links_asked_ns_ >= base::kNanosPerSecond) {
      links_asked_ns_ = now_ns;
    } else {
      return;
    }
    std::uint64_t down = 0;
    for (std::size_t i = 0; i < link_.size(); ++i) {
      const port::LinkState state = plane_->ports()[i]->link_state();
      if (state != port::LinkState::kUp) down |= std::uint64_t{1} << i;
      if (state == std::exchange(link_[i], state)) continue;
      const PortConfig& port = plane_->config().ports[i];
      if (state == port::LinkState::kGone) {
        spdlog::error("port {}: interface {} is gone; bring it back and restart ringplane to use it again", port.name,
                      port.interface);
      } else {
        spdlog::warn("port {}: interface {} is {}", port.name, port.interface, port::name_of(state));
      }
    }
    for (const auto& worker : plane_->workers()) worker->set_ports_down(down);
  }

  Estate estate_;
  std::unique_ptr<DataPlane> plane_;
  Outputs outputs_;
  Taps taps_;
  std::string isolation_;
  TableDesk tables_;
  Rates rates_;
  Channel channel_;
  std::vector<port::LinkState> link_;
  std::uint64_t links_asked_ns_ = 0;
  bool busy_ = false;  ///< with records that wait
  bool stopping_ = false;
};

/// Builds everything from what came with kStart, and gives up all rights.
base::Result<std::unique_ptr<DataProcess>> begin(Message start) {
  auto order = StartOrder::parse(start.body);
  if (!order) return std::unexpected(std::move(order.error()));
  ConfigResult config = parse_config(order->config_text, order->config_path);
  if (!config.ok()) return base::fail(firewall::render(config.diagnostics.front()), base::ErrorKind::kBadConfiguration);
  Estate estate{.order = std::move(*order), .holdings = std::move(start.holdings)};
  auto policy = compile(config.config, estate.holdings);
  if (!policy) return std::unexpected(std::move(policy.error()));
  auto outputs = Outputs::create(config.config, estate);
  if (!outputs) return std::unexpected(std::move(outputs.error()));
  auto plane = DataPlane::create(config.config, estate, std::move(*policy));
  if (!plane) return std::unexpected(std::move(plane.error()));

  // DPDK starts threads, opens sockets for peers that come later and maps devices when it likes.
  const bool has_dpdk = std::ranges::any_of(config.config.ports, &PortConfig::is_dpdk);
  std::string isolation = "none, since a port is of DPDK";
  if (!has_dpdk) {
    auto missing = give_up_rights();
    if (!missing) return std::unexpected(std::move(missing.error()));
    isolation = "no capabilities, no files, few system calls" + (missing->empty() ? "" : "; but " + *missing);
  }
  (*plane)->start();
  if (!has_dpdk) {
    if (auto done = allow_few_system_calls(); !done) return std::unexpected(std::move(done.error()));
  }
  return std::make_unique<DataProcess>(std::move(estate), std::move(*plane), std::move(*outputs), std::move(isolation));
}

}  // namespace

int run_data_process(int descriptor) {
  base::keep_freed_memory();  // rules that are compiled beside the workers must not hold these up
  auto logger = std::make_shared<spdlog::logger>("ringplane", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("ringplane: %v");
  spdlog::set_default_logger(logger);
  spdlog::flush_on(spdlog::level::info);
  for (const int signal : {SIGINT, SIGHUP, SIGPIPE}) (void)::signal(signal, SIG_IGN);  // the control process's business

  Channel channel{base::FileDescriptor(descriptor)};
  auto start = channel.receive();
  if (!start || start->kind != MessageKind::kStart) return 1;
  auto process = begin(std::move(*start));
  if (!process) {
    (void)channel.send(failed(process.error()));
    return 1;
  }
  if (!channel.send({.kind = MessageKind::kDone, .body = {}, .holdings = {}})) return 1;
  for (pollfd waiting{.fd = channel.descriptor(), .events = POLLIN, .revents = 0};
       poll(&waiting, 1, kFollowTickMs) == 0;) {
    (*process)->follow();
  }
  auto go = channel.receive();
  if (!go || go->kind != MessageKind::kGo) return 0;  // nobody needs us
  if (auto taken = (*process)->take_over(std::move(go->holdings)); !taken) {
    (void)channel.send(failed(taken.error()));
    return 1;
  }
  if (!channel.send({.kind = MessageKind::kDone, .body = (*process)->ready_text(), .holdings = {}})) return 1;
  return (*process)->run(std::move(channel));
}

}  // namespace ringplane::control
