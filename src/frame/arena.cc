#include "frame/arena.h"

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

#include "base/mapped_memory.h"
#include "base/result.h"

namespace ringplane::frame {

base::Result<Arena> Arena::create(const ArenaOptions& options) {
  if (options.frame_count == 0) {
    return base::fail("the arena needs at least one frame", base::ErrorKind::kBadConfiguration);
  }
  if (options.frame_bytes != 2048 && options.frame_bytes != 4096) {
    return base::fail("frame_bytes must be 2048 or 4096, not " + std::to_string(options.frame_bytes),
                      base::ErrorKind::kBadConfiguration);
  }
  // Every page is touched now: a fault on the burst path would cost a packet its deadline.
  constexpr const char* kWhat = "the frames";
  constexpr const char* kRemedy = "lower memory.frames";
  auto memory =
      options.memory_file < 0
          ? base::MappedMemory::map(options.bytes(), options.huge_pages, true, kWhat, kRemedy)
          : base::MappedMemory::map_file(options.memory_file, options.bytes(), options.huge_pages, kWhat, kRemedy);
  if (!memory) return std::unexpected(std::move(memory.error()));
  return Arena(std::move(*memory), options);
}

Arena::Arena(base::MappedMemory memory, const ArenaOptions& options) noexcept
    : memory_(std::move(memory)),
      base_(reinterpret_cast<std::uint8_t*>(memory_.data())),
      frame_count_(options.frame_count),
      frame_bytes_(options.frame_bytes) {}

}  // namespace ringplane::frame
