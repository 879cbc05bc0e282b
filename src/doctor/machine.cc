#include "doctor/machine.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file_descriptor.h"
#include "base/numa.h"
#include "doctor/kernel.h"

namespace ringplane::doctor {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 20U;
/// A page, which is all that sysfs gives; "0-65535," over and over would be a lot of numbers.
constexpr std::size_t kMostListBytes = 4096;
constexpr std::size_t kMostNames = 65536;

std::optional<KernelVersion> version_in(std::string_view release) {
  KernelVersion version;
  const char* const end = release.data() + release.size();
  const auto first = std::from_chars(release.data(), end, version.major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return std::nullopt;
  if (std::from_chars(first.ptr + 1, end, version.minor).ec != std::errc()) return std::nullopt;
  return version;
}

}  // namespace

std::string text_of(const KernelVersion& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

Machine::Machine(std::string root, const Kernel& kernel) : root_(std::move(root)), kernel_(kernel) {
  if (const auto release = read("/proc/sys/kernel/osrelease")) version_ = version_in(*release);
}

Asked<std::string> Machine::read(const std::string& path) const {
  // A FIFO in the way must not stop us.
  const base::FileDescriptor file(open((root_ + path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return std::unexpected(errno);
  std::string text;
  std::array<char, 65536> piece{};
  while (text.size() < kMostBytes) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::unexpected(errno);
    if (count == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}

Asked<std::uint64_t> Machine::number(const std::string& path) const {
  const auto text = read(path);
  if (!text) return std::unexpected(text.error());
  std::uint64_t value = 0;
  const auto end = text->data() + text->size();
  const auto read_to = std::from_chars(text->data(), end, value);
  if (read_to.ec != std::errc() || read_to.ptr != end) return std::unexpected(EBADMSG);
  return value;
}

Asked<std::vector<std::uint32_t>> Machine::numbers(const std::string& path) const {
  const auto text = read(path);
  if (!text) return std::unexpected(text.error());
  if (text->size() > kMostListBytes) return std::unexpected(EBADMSG);
  std::vector<std::uint32_t> list = base::numbers_of(*text);
  if (list.empty() && !text->empty()) return std::unexpected(EBADMSG);
  return list;
}

std::vector<std::string> Machine::names(const std::string& path) const {
  std::vector<std::string> found;
  std::error_code error;
  std::filesystem::directory_iterator each(root_ + path, error);
  for (; !error && each != std::filesystem::directory_iterator() && found.size() < kMostNames; each.increment(error)) {
    found.push_back(each->path().filename().string());
  }
  std::ranges::sort(found);
  return found;
}

bool Machine::exists(const std::string& path) const {
  return access((root_ + path).c_str(), F_OK) == 0;
}

std::string Machine::link_target(const std::string& path) const {
  std::error_code error;
  return std::filesystem::read_symlink(root_ + path, error).filename().string();
}

bool Machine::has_process(const char* file, std::string_view text) const {
  return std::ranges::any_of(names("/proc"), [&](const std::string& each) {
    if (each.find_first_not_of("0123456789") != std::string::npos) return false;
    return read("/proc/" + each + "/" + file).value_or("").find(text) != std::string::npos;
  });
}

bool Machine::ringplane_runs() const {
  // The second word of its data process, which is started by another name after an upgrade.
  return has_process("cmdline", std::string_view("\0data-process\0", 14));
}

std::optional<std::uint64_t> Machine::meminfo(std::string_view key) const {
  const auto text = read("/proc/meminfo");
  if (!text) return std::nullopt;
  const std::string wanted = "\n" + std::string(key) + ":";
  const std::string lines = "\n" + *text;
  const std::size_t at = lines.find(wanted);
  if (at == std::string::npos) return std::nullopt;
  return leading_number(std::string_view(lines).substr(at + wanted.size()));
}

std::string list_text(std::vector<std::uint32_t> numbers) {
  std::ranges::sort(numbers);
  numbers.erase(std::ranges::unique(numbers).begin(), numbers.end());
  std::string text;
  for (std::size_t i = 0; i < numbers.size();) {
    std::size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    text += (text.empty() ? "" : ",") + std::to_string(numbers[i]);
    if (last > i) text += (last == i + 1 ? "," : "-") + std::to_string(numbers[last]);
    i = last + 1;
  }
  return text;
}

std::optional<std::uint64_t> leading_number(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  if (std::from_chars(text.data() + begin, text.data() + text.size(), value).ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace ringplane::doctor
