// Rule files on their way to a process that may not open any: the rules and all that they include, load or take tables
// from, as they were read once, in one memory file.
#pragma once

#include <expected>
#include <map>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "firewall/parser.h"

namespace ringplane::control {

/// Reads from disk, each file once, and remembers.
class RecordedFiles final : public firewall::TextFiles {
 public:
  [[nodiscard]] std::expected<std::string, std::string> read(const std::string& path) override;
  /// A memory file with all that was read.
  [[nodiscard]] base::Result<base::FileDescriptor> pack() const;

 private:
  firewall::DiskFiles disk_;
  std::map<std::string, std::string> texts_;
};

/// Reads from what was packed.
class PackedFiles final : public firewall::TextFiles {
 public:
  [[nodiscard]] static base::Result<PackedFiles> open(int memory_file);
  PackedFiles(PackedFiles&& other) noexcept : texts_(std::move(other.texts_)) {}
  [[nodiscard]] std::expected<std::string, std::string> read(const std::string& path) override;

 private:
  explicit PackedFiles(std::map<std::string, std::string> texts) : texts_(std::move(texts)) {}
  std::map<std::string, std::string> texts_;
};

}  // namespace ringplane::control
