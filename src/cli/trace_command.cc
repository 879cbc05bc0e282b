// `ringplane trace` and `ringplane capture`: packets as they pass, on the terminal or into a file.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <CLI/App.hpp>
#include <nlohmann/json.hpp>

#include "api/http_client.h"
#include "api/message.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "worker/packet_tap.h"

namespace ringplane::cli {
namespace {

struct TapWords {
  std::string filter;
  std::string file;
  std::uint64_t count = 0;
  std::uint32_t seconds = 0;
  std::uint32_t per_second = 0;
  std::uint32_t snap = worker::TapRecord::kBytes;
  bool json = false;
};

/// The filter, compiled here: names of hosts and services are looked up as this user would.
bool add_filter(std::string& path, const std::string& expression) {
  if (expression.empty()) return true;
  const auto filter = worker::PacketFilter::compile(expression);
  if (!filter) {
    std::fprintf(stderr, "ringplane: %s\n", filter.error().message.c_str());
    return false;
  }
  std::string program;
  for (const worker::FilterInstruction& each : filter->instructions()) {
    program += (program.empty() ? "" : ",") + std::to_string(each.code) + " " + std::to_string(each.jump_true) + " " +
               std::to_string(each.jump_false) + " " + std::to_string(each.operand);
  }
  path += "&program=" + api::encoded(program);
  return true;
}

/// Whether there is time left.
class Deadline {
 public:
  explicit Deadline(std::uint32_t seconds) : seconds_(seconds), begin_(std::chrono::steady_clock::now()) {}
  [[nodiscard]] bool passed() const {
    return seconds_ != 0 && std::chrono::steady_clock::now() - begin_ >= std::chrono::seconds(seconds_);
  }

 private:
  std::uint32_t seconds_;
  std::chrono::steady_clock::time_point begin_;
};

int follow(const Whom& whom, const std::string& path, const TapWords& words,
           const std::function<bool(std::string_view)>& take) {
  const auto client = client_of(whom);
  if (!client) return kExitBadConfiguration;
  const auto reply = client->follow(path, take, words.seconds);
  if (!reply) {
    std::fprintf(stderr, "ringplane: %s\n", reply.error().message.c_str());
    return kExitFailed;
  }
  return reply->status == api::status::kOk ? kExitFine : refused(*reply);
}

void print_trace(const nlohmann::ordered_json& line) {
  if (line.contains("missed")) {
    std::fprintf(stderr, "ringplane: %s packets more matched and are not shown\n", line["missed"].dump().c_str());
    return;
  }
  std::printf("%s %s, %s bytes, worker %s: %s%s%s\n", line.value("timestamp", "").c_str(),
              line.value("port", "").c_str(), line["length"].dump().c_str(), line["worker"].dump().c_str(),
              line.value("verdict", "").c_str(), line["reason"].is_string() ? ", " : "",
              line["reason"].is_string() ? line["reason"].get_ref<const std::string&>().c_str() : "");
  for (const auto& [stage, says] : line["stages"].items()) {
    std::printf("  %-8s %s\n", stage.c_str(), says.get_ref<const std::string&>().c_str());
  }
}

int trace(const Whom& whom, const TapWords& words) {
  std::string path = "/v1/trace?filter=";
  if (words.per_second != 0) path += "&per_second=" + std::to_string(words.per_second);
  if (!add_filter(path, words.filter)) return kExitUsage;
  const Deadline deadline(words.seconds);
  std::string waiting;
  std::uint64_t seen = 0;
  return follow(whom, path, words, [&](std::string_view bytes) {
    waiting += bytes;
    for (std::size_t end = 0; (end = waiting.find('\n')) != std::string::npos; waiting.erase(0, end + 1)) {
      if (words.json) {
        std::printf("%s\n", waiting.substr(0, end).c_str());
      } else if (const auto line = nlohmann::ordered_json::parse(waiting.substr(0, end), nullptr, false);
                 line.is_object()) {
        print_trace(line);
      }
      if (words.count != 0 && ++seen == words.count) return false;
    }
    std::fflush(stdout);
    return !deadline.passed() && std::ferror(stdout) == 0;
  });
}

struct CloseFile {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};

/// Counts the packets of a pcapng file that comes in pieces, and says where one more would begin.
class PacketCounter {
 public:
  /// How much of `bytes` belongs to the first `most` packets (0: all).
  std::size_t take(std::string_view bytes, std::uint64_t most) {
    std::size_t at = 0;
    while (at < bytes.size()) {
      if (left_ > 0) {
        const std::size_t step = std::min(left_, bytes.size() - at);
        left_ -= step;
        at += step;
        if (left_ == 0 && is_packet_ && ++packets_ == most) return at;
        continue;
      }
      head_ += bytes[at++];
      if (head_.size() < kHeadBytes) continue;
      std::uint32_t type = 0;
      std::uint32_t length = 0;
      std::memcpy(&type, head_.data(), sizeof type);
      std::memcpy(&length, head_.data() + sizeof type, sizeof length);
      head_.clear();
      is_packet_ = type == kEnhancedPacket;
      left_ = length > kHeadBytes ? length - kHeadBytes : 0;
    }
    return at;
  }
  [[nodiscard]] std::uint64_t packets() const noexcept { return packets_; }

 private:
  static constexpr std::size_t kHeadBytes = 8;
  static constexpr std::uint32_t kEnhancedPacket = 6;
  std::string head_;
  std::size_t left_ = 0;
  bool is_packet_ = false;
  std::uint64_t packets_ = 0;
};

int capture(const Whom& whom, const TapWords& words) {
  std::string path = "/v1/capture?snap=" + std::to_string(words.snap);
  if (words.per_second != 0) path += "&per_second=" + std::to_string(words.per_second);
  if (!add_filter(path, words.filter)) return kExitUsage;
  const std::unique_ptr<std::FILE, CloseFile> opened(words.file == "-" ? nullptr
                                                                       : std::fopen(words.file.c_str(), "wb"));
  std::FILE* const file = words.file == "-" ? stdout : opened.get();
  if (file == nullptr) {
    std::fprintf(stderr, "ringplane: cannot write %s (%s)\n", words.file.c_str(), std::strerror(errno));
    return kExitFailed;
  }
  const Deadline deadline(words.seconds);
  PacketCounter counter;
  bool written = true;
  const int code = follow(whom, path, words, [&](std::string_view bytes) {
    const std::size_t wanted = counter.take(bytes, words.count);
    written = std::fwrite(bytes.data(), 1, wanted, file) == wanted && std::fflush(file) == 0;
    return written && !deadline.passed() && (words.count == 0 || counter.packets() < words.count);
  });
  if (!written) {
    std::fprintf(stderr, "ringplane: cannot write %s (%s); what it holds so far is whole packets\n", words.file.c_str(),
                 std::strerror(errno));
    return kExitFailed;
  }
  if (code == kExitFine) std::fprintf(stderr, "%llu packets\n", static_cast<unsigned long long>(counter.packets()));
  return code;
}

}  // namespace

void add_trace(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<TapWords>();
  CLI::App* command = app.add_subcommand("trace", "prints packets as they pass, with what each stage decides");
  command->add_option("filter", words->filter, "which, in libpcap's words: 'host 10.0.0.5 and port 80'");
  const auto whom = Whom::add_options(*command);
  command->add_option("--count", words->count, "ends after so many");
  command->add_option("--seconds", words->seconds, "ends after so long");
  command->add_option("--per-second", words->per_second, "most packets of each worker; 1,000 if nobody says");
  command->add_flag("--json", words->json, "a JSON object a line");
  command->callback([&chosen, whom, words] { chosen = [whom, words] { return trace(*whom, *words); }; });
}

void add_capture(CLI::App& app, Command& chosen) {
  auto words = std::make_shared<TapWords>();
  CLI::App* command =
      app.add_subcommand("capture", "writes packets to a pcapng file, each with verdict and rule as its comment");
  command->add_option("filter", words->filter, "which, in libpcap's words: 'host 10.0.0.5 and port 80'");
  command->add_option("-w,--write", words->file, "the file; -: standard output")->required();
  const auto whom = Whom::add_options(*command);
  command->add_option("--count", words->count, "ends after so many");
  command->add_option("--seconds", words->seconds, "ends after so long");
  command->add_option("--per-second", words->per_second, "most packets of each worker; all if nobody says");
  command->add_option("--snap", words->snap, "bytes of each packet at most")->capture_default_str();
  command->callback([&chosen, whom, words] { chosen = [whom, words] { return capture(*whom, *words); }; });
}

}  // namespace ringplane::cli
