#include "control/rule_files.h"

#include <cstdint>
#include <cstring>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/memory_file.h"
#include "base/result.h"

namespace ringplane::control {
namespace {

void put(std::string& packed, const std::string& text) {
  const std::uint64_t bytes = text.size();
  packed.append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  packed += text;
}

/// The next text of `rest`, which it is taken from; none: it ends too soon.
std::optional<std::string> take(std::string_view& rest) {
  std::uint64_t bytes = 0;
  if (rest.size() < sizeof bytes) return std::nullopt;
  std::memcpy(&bytes, rest.data(), sizeof bytes);
  rest.remove_prefix(sizeof bytes);
  if (bytes > rest.size()) return std::nullopt;
  std::string text(rest.substr(0, bytes));
  rest.remove_prefix(bytes);
  return text;
}

}  // namespace

std::expected<std::string, std::string> RecordedFiles::read(const std::string& path) {
  if (const auto known = texts_.find(path); known != texts_.end()) return known->second;
  auto text = disk_.read(path);
  if (text) texts_.emplace(path, *text);
  return text;
}

std::string RecordedFiles::pack(const std::string& first) const {
  std::string packed;
  put(packed, first);
  for (const auto& [path, text] : texts_) {
    put(packed, path);
    put(packed, text);
  }
  return packed;
}

base::Result<PackedFiles> PackedFiles::open(int memory_file) {
  const auto packed = base::read_memory_file(memory_file);
  if (!packed) return std::unexpected(packed.error());
  return unpack(*packed);
}

base::Result<PackedFiles> PackedFiles::unpack(std::string_view packed) {
  const auto too_short = [] { return base::fail("the packed rules end too soon"); };
  auto first = take(packed);
  if (!first) return too_short();
  std::map<std::string, std::string> texts;
  while (!packed.empty()) {
    auto path = take(packed);
    auto text = take(packed);
    if (!path || !text) return too_short();
    texts.emplace(std::move(*path), std::move(*text));
  }
  return PackedFiles(std::move(*first), std::move(texts));
}

std::expected<std::string, std::string> PackedFiles::read(const std::string& path) {
  const auto known = texts_.find(path);
  if (known == texts_.end()) return std::unexpected("it was not read when the rules were");
  return known->second;
}

}  // namespace ringplane::control
