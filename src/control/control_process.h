// ControlProcess: the running control process: waits for signals, requests and the data process's death, after which it
// lets another take over. Owns the estate and both ends of the talk: with people (routes of the API), and with the data
// process (DataLink). One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "api/http_server.h"
#include "api/message.h"
#include "api/router.h"
#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/holdings.h"
#include "base/result.h"
#include "control/config.h"
#include "control/data_link.h"
#include "control/estate.h"
#include "control/outlets.h"
#include "control/rule_version.h"
#include "control/rulebook.h"
#include "control/service_notice.h"
#include "control/tap_streams.h"

namespace ringplane::control {

/// This program as it was started, to be started again.
struct Program {
  std::string path;
  std::vector<std::string> words;

  [[nodiscard]] static Program running();
};

/// Deaths of data processes. Too many in too short a time are a loop that starting another one does not end.
class Deaths {
 public:
  static constexpr std::size_t kMost = 5;
  /// One more; true: it is a loop.
  [[nodiscard]] bool note(std::uint64_t now_ns);
  void forget() { recent_.clear(); }

 private:
  std::vector<std::uint64_t> recent_;
};

class ControlProcess final : private Rulebook::Doer {
 public:
  /// `signals` is a signalfd(2) of all that it listens to.
  ControlProcess(Config config, Estate estate, DataLink link, Rulebook book, base::FileDescriptor signals);
  ControlProcess(const ControlProcess&) = delete;
  ControlProcess& operator=(const ControlProcess&) = delete;
  ~ControlProcess() override = default;

  /// A way in for requests; fails with a sentence.
  [[nodiscard]] base::Result<void> serve_at(base::FileDescriptor listener, api::HttpOptions options);
  /// Asked by everybody, in spite of a token: the files of the dashboard, which asks its reader for it.
  [[nodiscard]] static bool is_public(const api::Request& request);
  /// Until somebody says stop. Returns the exit code.
  [[nodiscard]] int run();
  /// The data process was started with these rules.
  void start_with(RuleVersion version);
  /// The data process was found running: takes the rules on disk if they are others, and wanted (Rulebook::wants()).
  void come_with(const base::Result<RuleVersion>& on_disk);

 private:
  void turn();
  void take_signal();
  /// The data process is to write into `fresh` (outlets.h); one that takes its place will too.
  base::Result<void> hand_over(base::Holdings fresh);
  /// The log again by its name, for who has renamed it.
  [[nodiscard]] base::Result<nlohmann::ordered_json> reopen_log();
  /// None lives: another one does.
  [[nodiscard]] base::Result<std::string> go_over(base::Holdings rules) override;
  [[nodiscard]] base::Result<void> keep(base::Holdings known) override;
  [[nodiscard]] std::uint32_t flow_room() const noexcept override { return estate_.order.flow_limit; }
  /// The data process has died: start another on what it left, unless that is no use.
  void bury();
  /// The one that stands by goes to work, or one that is started now.
  base::Result<void> replace(std::uint64_t since_ns);
  /// Ready and waiting, a data process takes over in a few milliseconds, however many rules there are. Devices of DPDK
  /// can be opened by one process only.
  void prepare_standby();
  void dismiss_standby();
  static void announce_takeover(const std::string& ready, std::uint64_t since_ns);
  /// Gives up until somebody says SIGHUP: what becomes of packets is for the configuration to say.
  void fail(const std::string& why);
  [[nodiscard]] std::string bypass_text() const;
  /// After fail(): tries again.
  bool revive();
  /// The program on disk, which may be a new one, takes the place of both processes: first of the data process, at
  /// once, then, when the answer is sent, of this one (become_the_new_program()).
  [[nodiscard]] base::Result<nlohmann::ordered_json> upgrade();
  /// Same process, same words, new program: it comes to the data process as after a death.
  void become_the_new_program();
  int stop();

  // --- routes.cc: what the API answers
  void add_routes();
  /// Asks the data process (show.h); none lives: fails.
  [[nodiscard]] base::Result<nlohmann::ordered_json> ask(const nlohmann::json& question);
  [[nodiscard]] api::Response answer_of(const nlohmann::json& question);
  [[nodiscard]] api::Response status();
  [[nodiscard]] nlohmann::ordered_json processes() const;
  /// A trace or a capture: an answer that goes on.
  [[nodiscard]] api::Response tap(const api::Request& request, const char* form);

  // --- table_routes.cc
  [[nodiscard]] api::Response list_tables();
  [[nodiscard]] api::Response show_table(const api::Request& request);
  [[nodiscard]] api::Response test_table(const api::Request& request);
  /// Asks the data process (table_desk.h), with memory file `held`, if there is one, by the name `held_as`.
  [[nodiscard]] base::Result<nlohmann::ordered_json> ask_tables(const nlohmann::json& question,
                                                                const std::string& held_as = {}, int held = -1);
  [[nodiscard]] api::Response change_table(const api::Request& request, const std::string& op);
  [[nodiscard]] base::Result<void> save_table(const std::string& table, const std::string& path);

  Config config_;
  Outlets outlets_;
  Estate estate_;
  std::optional<DataLink> link_;     // none: it has died, and no other could be kept alive
  std::optional<DataLink> standby_;  // ready to take its place
  Rulebook book_;
  base::FileDescriptor signals_;
  TapStreams tap_streams_;
  api::Router router_;
  std::vector<api::HttpServer> servers_;
  std::uint64_t standby_tried_ns_ = 0;
  Program program_ = Program::running();
  ServiceNotice service_notice_ = ServiceNotice::from_environment();
  Deaths deaths_;
  std::uint64_t started_ns_ = base::monotonic_ns();
  bool becoming_new_ = false;
  bool stopping_ = false;
};

}  // namespace ringplane::control
