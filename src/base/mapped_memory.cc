#include "base/mapped_memory.h"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>

#include "base/memory_file.h"
#include "base/result.h"

namespace ringplane::base {
namespace {

constexpr int kCollapse = 25;  // MADV_COLLAPSE, which the C library of Debian 12 does not know yet

std::uint64_t round_up_to_huge(std::uint64_t bytes) noexcept {
  return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

/// What the kernel could still give without swapping, in bytes; all there is if it does not say.
std::uint64_t available_bytes() noexcept {
  std::uint64_t kibibytes = UINT64_MAX >> 10;
  std::FILE* file = std::fopen("/proc/meminfo", "re");
  if (file == nullptr) return kibibytes << 10;
  char line[128];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    unsigned long long value = 0;
    if (std::sscanf(line, "MemAvailable: %llu kB", &value) == 1) {  // NOLINT(cert-err34-c): a wrong line does not match
      kibibytes = value;
      break;
    }
  }
  std::fclose(file);
  return kibibytes << 10;
}

std::string too_little(std::string_view what, std::uint64_t bytes, const std::string& why, std::string_view remedy) {
  return std::string(what) + " needs " + std::to_string((bytes >> 20) + 1) + " MiB, " + why + ": " +
         std::string(remedy) + " or free some memory";
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

Result<MappedMemory> MappedMemory::map(std::uint64_t bytes, bool huge_pages, bool prefault, std::string_view what,
                                       std::string_view remedy) {
  MappedMemory memory;
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  if (huge_pages) {
    memory.mapped_bytes_ = round_up_to_huge(bytes);
    void* at = mmap(nullptr, memory.mapped_bytes_, kProtection, kFlags | MAP_HUGETLB, -1, 0);
    if (at != MAP_FAILED) {
      memory.mapped_ = at;
      memory.base_ = static_cast<std::byte*>(at);
      memory.pages_ = PageKind::kHuge;
    }
  }
  if (memory.mapped_ == nullptr) {
    const std::uint64_t available = available_bytes();
    if (bytes > available) {
      return fail(
          too_little(what, bytes, "and only " + std::to_string(available >> 20) + " MiB are available", remedy));
    }
    memory.mapped_bytes_ = round_up_to_huge(bytes) + kHugePageBytes;  // room to begin on a huge page
    void* at = mmap(nullptr, memory.mapped_bytes_, kProtection, kFlags | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) {
      return fail(
          too_little(what, bytes, std::string("and the kernel refuses it (") + std::strerror(errno) + ")", remedy));
    }
    memory.mapped_ = at;
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    memory.base_ = static_cast<std::byte*>(at) + (round_up_to_huge(address) - address);
    const bool transparent = huge_pages && madvise(memory.base_, round_up_to_huge(bytes), MADV_HUGEPAGE) == 0;
    memory.pages_ = transparent ? PageKind::kTransparentHuge : PageKind::kPlain;
  }
  if (prefault && madvise(memory.base_, bytes, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM) {
    return fail(too_little(what, bytes, "and they are not there to be touched", remedy));
  }
  return memory;
}

Result<MappedMemory> MappedMemory::map_file(int file, std::uint64_t bytes, bool huge_pages, std::string_view what,
                                            std::string_view remedy) {
  MappedMemory memory;
  const std::uint64_t whole = round_up_to_huge(bytes);
  struct stat about{};
  const std::uint64_t present = fstat(file, &about) == 0 ? static_cast<std::uint64_t>(about.st_blocks) * 512 : 0;
  const std::uint64_t available = available_bytes();
  if (!is_on_huge_pages(file) && bytes > present + available) {
    return fail(too_little(what, bytes - present, "and only " + std::to_string(available >> 20) + " MiB are available",
                           remedy));
  }
  memory.mapped_bytes_ = whole + kHugePageBytes;  // room to begin on a huge page
  void* at = mmap(nullptr, memory.mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return fail("cannot map " + std::string(what) + ": " + std::strerror(errno));
  memory.mapped_ = at;
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  memory.base_ = static_cast<std::byte*>(at) + (round_up_to_huge(address) - address);
  if (mmap(memory.base_, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED) {
    return fail("cannot map the memory file of " + std::string(what) + ": " + std::strerror(errno));
  }
  memory.pages_ = is_on_huge_pages(file) ? PageKind::kHuge : PageKind::kPlain;
  const bool wants_transparent = huge_pages && memory.pages_ == PageKind::kPlain;
  if (wants_transparent) (void)madvise(memory.base_, whole, MADV_HUGEPAGE);
  if (madvise(memory.base_, whole, MADV_POPULATE_WRITE) != 0 && errno == ENOMEM) {
    return fail(too_little(what, bytes, "and they are not there to be touched", remedy));
  }
  // Files of memory get transparent huge pages by themselves only where the administrator said so
  // (transparent_hugepage/shmem_enabled); asking for each range works everywhere since Linux 6.1.
  if (wants_transparent && madvise(memory.base_, whole, kCollapse) == 0) memory.pages_ = PageKind::kTransparentHuge;
  return memory;
}

MappedMemory::MappedMemory(MappedMemory&& other) noexcept
    : base_(other.base_),
      mapped_(std::exchange(other.mapped_, nullptr)),
      mapped_bytes_(other.mapped_bytes_),
      used_bytes_(other.used_bytes_),
      pages_(other.pages_) {}

MappedMemory& MappedMemory::operator=(MappedMemory&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(mapped_, other.mapped_);
  std::swap(mapped_bytes_, other.mapped_bytes_);
  std::swap(used_bytes_, other.used_bytes_);
  std::swap(pages_, other.pages_);
  return *this;
}

MappedMemory::~MappedMemory() {
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
}

}  // namespace ringplane::base
