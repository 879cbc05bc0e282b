// Machine: everything that checks look at. Files lie below a root, so that a test can make up a machine in a folder;
// what is asked by calls goes through Kernel. Files may be missing, forbidden, huge or full of nonsense; nothing here
// trusts them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "doctor/kernel.h"

namespace ringplane::doctor {

struct KernelVersion {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;
};
[[nodiscard]] std::string text_of(const KernelVersion& version);

class Machine {
 public:
  /// `root`: "" for the real one. `kernel` outlives the Machine.
  Machine(std::string root, const Kernel& kernel);

  [[nodiscard]] const Kernel& kernel() const noexcept { return kernel_; }
  /// In front of a path for those who read by themselves.
  [[nodiscard]] const std::string& root() const noexcept { return root_; }

  /// The beginning of a file, up to some MiB, without newlines at its end; else errno.
  [[nodiscard]] Asked<std::string> read(const std::string& path) const;
  /// The one number that a file holds; EBADMSG if it holds something else.
  [[nodiscard]] Asked<std::uint64_t> number(const std::string& path) const;
  /// "0-3,8" of a file; EBADMSG if that is no list.
  [[nodiscard]] Asked<std::vector<std::uint32_t>> numbers(const std::string& path) const;
  /// Names in a folder, sorted; none if it cannot be read.
  [[nodiscard]] std::vector<std::string> names(const std::string& path) const;
  [[nodiscard]] bool exists(const std::string& path) const;
  /// Where a symbolic link points, its last part only; "" if there is none.
  [[nodiscard]] std::string link_target(const std::string& path) const;

  /// Whether one of the processes that we see has `text` in this file of its folder of /proc.
  [[nodiscard]] bool has_process(const char* file, std::string_view text) const;
  /// ringplane itself, which has taken then what it wants.
  [[nodiscard]] bool ringplane_runs() const;

  /// Of the kernel that runs; none if it does not say.
  [[nodiscard]] std::optional<KernelVersion> version() const noexcept { return version_; }
  /// "MemAvailable" of /proc/meminfo: kibibytes, or pages of HugePages_*.
  [[nodiscard]] std::optional<std::uint64_t> meminfo(std::string_view key) const;

 private:
  std::string root_;
  const Kernel& kernel_;
  std::optional<KernelVersion> version_;
};

/// "0-3,8".
[[nodiscard]] std::string list_text(std::vector<std::uint32_t> numbers);
/// The number that `text` begins with, behind spaces; none if there is none.
[[nodiscard]] std::optional<std::uint64_t> leading_number(std::string_view text) noexcept;

}  // namespace ringplane::doctor
