#include "frame/arena.h"

#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <sys/mman.h>

namespace ringplane::frame {
namespace {

constexpr std::uint64_t kHugePageBytes = 2 * 1024 * 1024;

void* map_pages(std::uint64_t bytes, int extra_flags) {
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1, 0);
  return at == MAP_FAILED ? nullptr : at;
}

}  // namespace

std::string_view name_of(PageKind kind) noexcept {
  switch (kind) {
    case PageKind::kHuge: return "huge pages";
    case PageKind::kTransparentHuge: return "transparent huge pages";
    case PageKind::kPlain: return "plain pages";
  }
  return "";
}

base::Result<Arena> Arena::create(const ArenaOptions& options) {
  if (options.frame_count == 0)
    return base::fail("the arena needs at least one frame", base::ErrorKind::kBadConfiguration);
  if (options.frame_bytes != 2048 && options.frame_bytes != 4096) {
    return base::fail("frame_bytes must be 2048 or 4096, not " + std::to_string(options.frame_bytes),
                      base::ErrorKind::kBadConfiguration);
  }
  Arena arena;
  arena.frame_count_ = options.frame_count;
  arena.frame_bytes_ = options.frame_bytes;
  arena.mapped_bytes_ = (arena.bytes() + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  void* at = nullptr;
  if (options.huge_pages) {
    at = map_pages(arena.mapped_bytes_, MAP_HUGETLB | MAP_POPULATE);
    arena.pages_ = PageKind::kHuge;
  }
  if (at == nullptr) {
    at = map_pages(arena.mapped_bytes_, 0);
    if (at == nullptr) {
      return base::fail("cannot map " + std::to_string(arena.mapped_bytes_ >> 20) + " MiB for " +
                        std::to_string(options.frame_count) + " frames (" + std::strerror(errno) +
                        "): lower memory.frames or free some memory");
    }
    const bool transparent = options.huge_pages && madvise(at, arena.mapped_bytes_, MADV_HUGEPAGE) == 0;
    arena.pages_ = transparent ? PageKind::kTransparentHuge : PageKind::kPlain;
    // Touch every page now: a fault on the burst path would cost a packet its deadline.
    if (madvise(at, arena.mapped_bytes_, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM) {
      munmap(at, arena.mapped_bytes_);
      return base::fail("not enough memory for " + std::to_string(arena.mapped_bytes_ >> 20) +
                        " MiB of frames: lower memory.frames or free some memory");
    }
  }
  arena.base_ = static_cast<std::uint8_t*>(at);
  return arena;
}

Arena::Arena(Arena&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      mapped_bytes_(other.mapped_bytes_),
      frame_count_(other.frame_count_),
      frame_bytes_(other.frame_bytes_),
      pages_(other.pages_) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(frame_count_, other.frame_count_);
  std::swap(frame_bytes_, other.frame_bytes_);
  std::swap(pages_, other.pages_);
  return *this;
}

Arena::~Arena() {
  if (base_ != nullptr) munmap(base_, mapped_bytes_);
}

}  // namespace ringplane::frame
