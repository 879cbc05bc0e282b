#include "control/rule_history.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "control/rule_version.h"

namespace ringplane::control {
namespace {

constexpr std::string_view kVersionFile = "rules-";
constexpr const char* kWaitingFile = "/waiting";
constexpr std::string_view kUnfinished = "rules.new";  // a version being written

struct StoredVersion {
  VersionFacts facts;
  std::string packed;
};

std::string to_stored(const VersionFacts& facts, const std::string& packed) {
  nlohmann::ordered_json header = to_json(facts);
  header["left"] = facts.left;
  header["digest"] = facts.digest;
  header["bytes"] = packed.size();
  return header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" + packed;
}

/// None: it is damaged.
std::optional<StoredVersion> from_stored(const std::string& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) return std::nullopt;
  const auto header = nlohmann::json::parse(std::string_view(text).substr(0, end), nullptr, false);
  if (!header.is_object()) return std::nullopt;
  StoredVersion stored{.facts = {}, .packed = text.substr(end + 1)};
  VersionFacts& facts = stored.facts;
  try {
    facts.number = header.at("version");
    facts.time_s = header.at("time");
    facts.by = header.at("by");
    facts.same_as = header.value("same_as", 0U);
    facts.left = header.at("left");
    facts.rules = header.at("rules");
    facts.added = header.at("added");
    facts.removed = header.at("removed");
    facts.changed = header.at("changed");
    facts.moved = header.at("moved");
    facts.tests = header.at("tests");
    facts.digest = header.at("digest");
    if (header.at("bytes") != stored.packed.size()) return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
  if (digest_of(stored.packed) != facts.digest) return std::nullopt;
  return stored;
}

std::optional<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) return std::nullopt;
  return std::move(text).str();
}

/// Whole or not at all, and there after a power failure: written beside, synced, renamed. False: errno.
bool write_whole(const std::string& folder, const std::string& path, const std::string& text) {
  const std::string unfinished = folder + "/" + std::string(kUnfinished);
  const auto give_up = [&unfinished] {
    const int why = errno;
    unlink(unfinished.c_str());
    errno = why;
    return false;
  };
  {
    const base::FileDescriptor file(open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.valid()) return false;
    for (std::size_t written = 0; written < text.size();) {
      const ssize_t count = write(file.get(), text.data() + written, text.size() - written);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return give_up();
      written += static_cast<std::size_t>(count);
    }
    if (fsync(file.get()) != 0) return give_up();
  }
  if (std::rename(unfinished.c_str(), path.c_str()) != 0) return give_up();
  const base::FileDescriptor opened(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.valid()) fsync(opened.get());
  return true;
}

/// None: it is no number of a version.
std::optional<std::uint32_t> version_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number == 0) return std::nullopt;
  return number;
}

}  // namespace

nlohmann::ordered_json to_json(const VersionFacts& facts) {
  nlohmann::ordered_json json{{"version", facts.number},  {"time", facts.time_s}, {"by", facts.by},
                              {"rules", facts.rules},     {"added", facts.added}, {"removed", facts.removed},
                              {"changed", facts.changed}, {"moved", facts.moved}, {"tests", facts.tests}};
  if (facts.same_as != 0) json["same_as"] = facts.same_as;
  return json;
}

RuleHistory RuleHistory::open(std::string folder, std::size_t most) {
  RuleHistory history(std::move(folder), most);
  if (!history.folder_.empty()) history.load();
  return history;
}

std::string RuleHistory::path_of(std::uint32_t number) const {
  return folder_ + "/" + std::string(kVersionFile) + std::to_string(number);
}

void RuleHistory::load() {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  std::filesystem::directory_iterator files(folder_, error);
  if (error) {
    trouble_.push_back("cannot keep versions of the rules in " + folder_ + " (" + error.message() +
                       "), so that none can be gone back to after a restart: make the folder, or name another one as "
                       "control.state");
    return;
  }
  for (const std::filesystem::directory_entry& file : files) {
    const std::string name = file.path().filename().string();
    if (!name.starts_with(kVersionFile)) continue;
    const auto number = version_number(std::string_view(name).substr(kVersionFile.size()));
    if (!number) continue;
    begin_numbers_at(*number + 1);
    const auto text = read_whole(file.path());
    auto stored = text ? from_stored(*text) : std::nullopt;
    if (!stored || stored->facts.number != *number) {
      trouble_.push_back(file.path().string() + " is damaged or cannot be read: delete it");
      continue;
    }
    versions_.push_back(std::move(stored->facts));
  }
  std::ranges::sort(versions_, {}, &VersionFacts::number);
  waiting_ = version_number(read_whole(folder_ + kWaitingFile).value_or("")).value_or(0);
  while (versions_.size() > most_) forget_oldest();
}

void RuleHistory::forget_oldest() {
  const std::uint32_t number = versions_.front().number;
  versions_.erase(versions_.begin());
  if (!folder_.empty()) unlink(path_of(number).c_str());
  std::erase_if(in_memory_, [number](const auto& kept) { return kept.first == number; });
}

const VersionFacts* RuleHistory::find(std::uint32_t number) const noexcept {
  const auto found = std::ranges::find(versions_, number, &VersionFacts::number);
  return found == versions_.end() ? nullptr : &*found;
}

base::Result<std::string> RuleHistory::packed_of(std::uint32_t number) const {
  if (find(number) == nullptr) {
    const std::string kept = versions_.empty() ? "none is kept"
                                               : "kept are " + std::to_string(versions_.front().number) + " to " +
                                                     std::to_string(versions_.back().number);
    return base::fail("there is no version " + std::to_string(number) + " of the rules: " + kept);
  }
  const auto in_memory = std::ranges::find(in_memory_, number, &std::pair<std::uint32_t, std::string>::first);
  if (in_memory != in_memory_.end()) return in_memory->second;
  const auto text = read_whole(path_of(number));
  auto stored = text ? from_stored(*text) : std::nullopt;
  if (!stored)
    return base::fail(path_of(number) + " is damaged or cannot be read, so version " + std::to_string(number) +
                      " of the rules is lost");
  return std::move(stored->packed);
}

base::Result<void> RuleHistory::add(VersionFacts& facts, const std::string& packed) {
  facts.number = next_number_++;
  facts.digest = digest_of(packed);
  const bool written = !folder_.empty() && write_whole(folder_, path_of(facts.number), to_stored(facts, packed));
  const int why = errno;
  versions_.push_back(facts);
  if (!written) in_memory_.emplace_back(facts.number, packed);
  while (versions_.size() > most_) forget_oldest();
  if (written || folder_.empty()) return {};
  return base::fail("version " + std::to_string(facts.number) + " of the rules cannot be written to " + folder_ + " (" +
                    std::strerror(why) + "): it can be gone back to only until ringplane is restarted");
}

base::Result<void> RuleHistory::set_waiting(std::uint32_t number) {
  if (number == waiting_) return {};
  waiting_ = number;
  if (folder_.empty()) return {};
  const std::string path = folder_ + kWaitingFile;
  if (number == 0 ? unlink(path.c_str()) == 0 || errno == ENOENT : write_whole(folder_, path, std::to_string(number)))
    return {};
  return base::fail("cannot write down in " + folder_ + " that rules wait for a confirmation, or do not any more (" +
                    std::strerror(errno) + "): if ringplane is stopped and started meanwhile it goes by the files");
}

}  // namespace ringplane::control
