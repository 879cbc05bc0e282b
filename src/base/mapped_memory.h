// MappedMemory: a large piece of memory in one mapping, taken at start, zeroed by the kernel, handed out as arrays that
// begin on cache lines. On huge pages when some are reserved, else on transparent huge pages, else on plain ones:
// millions of records touched at random miss the TLB on every packet unless the pages are huge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace ringplane::base {

enum class PageKind : std::uint8_t { kHuge, kTransparentHuge, kPlain };
[[nodiscard]] std::string_view name_of(PageKind kind) noexcept;

inline constexpr std::uint64_t kHugePageBytes = std::uint64_t{2} << 20;

class MappedMemory {
 public:
  static constexpr std::size_t kAlignment = 64;
  /// What an array of `count` Ts takes of the mapping.
  template <class T>
  [[nodiscard]] static constexpr std::uint64_t bytes_for(std::uint64_t count) noexcept {
    return (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }

  /// Maps `bytes` for `what` ("the flow table"). Fails with a sentence that names it and ends with `remedy` ("lower
  /// flows.limit") if there is not that much memory. With `prefault` every page is touched.
  [[nodiscard]] static Result<MappedMemory> map(std::uint64_t bytes, bool huge_pages, bool prefault,
                                                std::string_view what, std::string_view remedy);
  /// Maps `bytes` of a memory file (memory_file.h), which may be closed afterwards; what lies in it stays as it is.
  [[nodiscard]] static Result<MappedMemory> map_file(int file, std::uint64_t bytes, bool huge_pages,
                                                     std::string_view what, std::string_view remedy);
  MappedMemory(MappedMemory&& other) noexcept;
  MappedMemory& operator=(MappedMemory&& other) noexcept;
  ~MappedMemory();

  /// The next array; zero bytes are a valid T. The sum of all must not exceed what was mapped.
  template <class T>
  [[nodiscard]] std::span<T> take(std::uint64_t count) noexcept {
    static_assert(alignof(T) <= kAlignment);
    auto* at = reinterpret_cast<T*>(base_ + used_bytes_);
    used_bytes_ += bytes_for<T>(count);
    return {at, count};
  }
  [[nodiscard]] std::byte* data() const noexcept { return base_; }
  /// What take() has handed out so far.
  [[nodiscard]] std::span<const std::byte> used() const noexcept { return {base_, used_bytes_}; }
  [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_bytes_; }
  [[nodiscard]] PageKind pages() const noexcept { return pages_; }

 private:
  MappedMemory() = default;
  std::byte* base_ = nullptr;  ///< aligned to a huge page
  void* mapped_ = nullptr;
  std::uint64_t mapped_bytes_ = 0;
  std::uint64_t used_bytes_ = 0;
  PageKind pages_ = PageKind::kPlain;
};

}  // namespace ringplane::base
