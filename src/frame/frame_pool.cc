#include "frame/frame_pool.h"

#include <cassert>
#include <cstdint>
#include <memory>

#include "frame/arena.h"

namespace ringplane::frame {

FramePool::FramePool(const Arena& arena, std::uint32_t first, std::uint32_t count)
    : arena_(&arena),
      free_(std::make_unique<std::uint64_t[]>(count)),
      range_start_(std::uint64_t{first} * arena.frame_bytes()),
      range_bytes_(std::uint64_t{count} * arena.frame_bytes()),
      total_(count) {
  assert(first + count <= arena.frame_count());
  for (std::uint32_t i = 0; i < count; ++i)
    free_[i] = range_start_ + std::uint64_t{count - 1 - i} * arena.frame_bytes();
  free_count_ = count;
}

std::uint32_t FramePool::take(std::uint64_t* out, std::uint32_t wanted) noexcept {
  const std::uint32_t count = wanted < free_count_ ? wanted : free_count_;
  for (std::uint32_t i = 0; i < count; ++i) out[i] = take();
  return count;
}

void FramePool::give(std::uint64_t address) noexcept {
  assert(owns(address) && free_count_ < total_);
  free_[free_count_++] = arena_->buffer_start(address);
}

}  // namespace ringplane::frame
