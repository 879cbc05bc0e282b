// Rule files on their way to a process that may not open any, or into the history: the rules and all that they include,
// load or take tables from, as they were read once, in one text.
#pragma once

#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "firewall/parser.h"

namespace ringplane::control {

/// Reads from disk, each file once, and remembers.
class RecordedFiles final : public firewall::TextFiles {
 public:
  [[nodiscard]] std::expected<std::string, std::string> read(const std::string& path) override;
  /// All that was read, as one text; `first` is the path that reading began with.
  [[nodiscard]] std::string pack(const std::string& first) const;

 private:
  firewall::DiskFiles disk_;
  std::map<std::string, std::string> texts_;
};

/// Reads from what was packed.
class PackedFiles final : public firewall::TextFiles {
 public:
  [[nodiscard]] static base::Result<PackedFiles> open(int memory_file);
  [[nodiscard]] static base::Result<PackedFiles> unpack(std::string_view packed);
  PackedFiles(PackedFiles&& other) noexcept : first_(std::move(other.first_)), texts_(std::move(other.texts_)) {}
  /// The path to begin with.
  [[nodiscard]] const std::string& first() const noexcept { return first_; }
  [[nodiscard]] std::expected<std::string, std::string> read(const std::string& path) override;

 private:
  PackedFiles(std::string first, std::map<std::string, std::string> texts)
      : first_(std::move(first)), texts_(std::move(texts)) {}
  std::string first_;
  std::map<std::string, std::string> texts_;
};

}  // namespace ringplane::control
