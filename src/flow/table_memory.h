// TableMemory: all memory of a flow table in one mapping, taken at start, zeroed by the kernel, handed out as arrays
// that begin on cache lines. Ten million flows touched at random miss the TLB on every packet unless the pages are
// huge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace ringplane::flow {

enum class PageKind : std::uint8_t { kHuge, kTransparentHuge, kPlain };
[[nodiscard]] std::string_view name_of(PageKind kind) noexcept;

class TableMemory {
 public:
  static constexpr std::size_t kAlignment = 64;
  /// What an array of `count` Ts takes of the mapping.
  template <class T>
  [[nodiscard]] static constexpr std::uint64_t bytes_for(std::uint64_t count) noexcept {
    return (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }

  /// Maps `bytes`. Fails with a sentence if there is not that much memory. With `prefault` every page is touched.
  [[nodiscard]] static base::Result<TableMemory> map(std::uint64_t bytes, bool huge_pages, bool prefault);
  TableMemory(TableMemory&& other) noexcept;
  TableMemory& operator=(TableMemory&& other) = delete;
  ~TableMemory();

  /// The next array; zero bytes are a valid T. The sum of all must not exceed what was mapped.
  template <class T>
  [[nodiscard]] std::span<T> take(std::uint64_t count) noexcept {
    static_assert(alignof(T) <= kAlignment);
    auto* at = reinterpret_cast<T*>(base_ + used_bytes_);
    used_bytes_ += bytes_for<T>(count);
    return {at, count};
  }
  [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_bytes_; }
  [[nodiscard]] PageKind pages() const noexcept { return pages_; }

 private:
  TableMemory() = default;
  std::byte* base_ = nullptr;  ///< aligned to a huge page
  void* mapped_ = nullptr;
  std::uint64_t mapped_bytes_ = 0;
  std::uint64_t used_bytes_ = 0;
  PageKind pages_ = PageKind::kPlain;
};

}  // namespace ringplane::flow
