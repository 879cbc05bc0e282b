#include "port/dpdk/dpdk_log.h"

#include <rte_log.h>
#include <stdio.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/clock.h"

namespace ringplane::port {
namespace {

constexpr std::size_t kKeptLines = 8;
/// A device that complains for every packet must not fill a disk.
constexpr std::uint32_t kLinesPerSecond = 100;

/// What follows from starting DPDK alone (--no-shconf) and troubles nobody.
constexpr std::string_view kAboutOtherProcesses = "Failed to register mp action callback";

ssize_t write_line(void* log, const char* text, std::size_t bytes) {
  static_cast<DpdkLog*>(log)->add(static_cast<std::uint32_t>(rte_log_cur_msg_loglevel()), {text, bytes});
  return static_cast<ssize_t>(bytes);
}

}  // namespace

DpdkLog& DpdkLog::attach() {
  // Never freed: DPDK's threads write to it until the process ends.
  static auto* const log = [] {
    auto* made = new DpdkLog;
    std::FILE* stream =
        fopencookie(made, "w", {.read = nullptr, .write = write_line, .seek = nullptr, .close = nullptr});
    if (stream != nullptr) {
      std::setvbuf(stream, nullptr, _IOLBF, BUFSIZ);
      rte_openlog_stream(stream);
    }
    return made;
  }();
  return *log;
}

void DpdkLog::set_listener(void (*function)(std::string_view line)) {
  const std::lock_guard lock(mutex_);
  listener_ = function;
}

void DpdkLog::collect() {
  const std::lock_guard lock(mutex_);
  collecting_ = true;
  lines_.clear();
}

std::string DpdkLog::take_lines() {
  const std::lock_guard lock(mutex_);
  std::string all;
  for (const std::string& line : lines_) all += (all.empty() ? "" : "; ") + line;
  lines_.clear();
  collecting_ = false;
  return all;
}

void DpdkLog::tell_lines() {
  const std::lock_guard lock(mutex_);
  for (const std::string& line : lines_) tell(line);
  lines_.clear();
  collecting_ = false;
}

void DpdkLog::add(std::uint32_t level, std::string_view text) {
  if (level > RTE_LOG_WARNING) return;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (text.empty() || text.find(kAboutOtherProcesses) != std::string_view::npos) return;
  const std::lock_guard lock(mutex_);
  if (!collecting_) {
    tell(text);
    return;
  }
  if (lines_.size() == kKeptLines) lines_.erase(lines_.begin());
  lines_.emplace_back(text);
}

void DpdkLog::tell(std::string_view line) {
  if (listener_ == nullptr) return;
  const std::uint64_t second = base::monotonic_ns() / base::kNanosPerSecond;
  if (second != second_) told_ = 0;
  second_ = second;
  if (told_++ < kLinesPerSecond) listener_(line);
}

}  // namespace ringplane::port
