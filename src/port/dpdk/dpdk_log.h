// DpdkLog: where DPDK's log goes instead of standard error and syslog. Warnings and errors are kept for the sentence of
// the call that failed, and handed to the owner's function; what is less is dropped. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace ringplane::port {

class DpdkLog {
 public:
  /// From now on DPDK writes here, for the rest of the process; before rte_eal_init().
  static DpdkLog& attach();
  /// `function` gets each line without its end; nullptr: nobody does.
  void set_listener(void (*function)(std::string_view line));
  /// Lines from now on are kept for take_lines() and not told to the listener.
  void collect();
  /// Ends collect(): its lines, joined by "; ". The last 8 at most, since those say what went wrong.
  [[nodiscard]] std::string take_lines();
  /// Ends collect() where all went well: the listener is told what was kept.
  void tell_lines();

  /// What DPDK's stream calls; `level` as in rte_log.h.
  void add(std::uint32_t level, std::string_view text);

 private:
  void tell(std::string_view line);

  std::mutex mutex_;
  void (*listener_)(std::string_view) = nullptr;
  bool collecting_ = false;
  std::vector<std::string> lines_;
  std::uint64_t second_ = 0;  // of the monotonic clock, in which told_ lines were told
  std::uint32_t told_ = 0;
};

}  // namespace ringplane::port
