#include "base/memory_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/file_descriptor.h"
#include "base/mapped_memory.h"
#include "base/numa.h"
#include "base/result.h"

namespace ringplane::base {
namespace {

constexpr unsigned kHugePagesOf2Mib = 21U << 26;  // log2 of the size, where memfd_create(2) wants it
constexpr int kSizeSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/// Takes the pages of each share from its node. The kernel takes pages of a file by the policy of the thread that asks;
/// a policy of the file itself (mbind(2)) is not kept where it lies on huge pages. False: there are too few; errno.
bool take_shares(int file, std::span<const int> nodes, std::uint64_t share_bytes, std::uint64_t whole) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    // A page that two shares have in common goes with the first.
    const auto page_at = [whole](std::uint64_t at) {
      return std::min((at + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes, whole);
    };
    const std::uint64_t begin = page_at(i * share_bytes);
    const std::uint64_t end = page_at((i + 1) * share_bytes);
    const PreferNode prefer(nodes[i]);
    if (end > begin && fallocate(file, 0, static_cast<off_t>(begin), static_cast<off_t>(end - begin)) != 0)
      return false;
  }
  return true;
}

}  // namespace

Result<FileDescriptor> make_memory_file(std::uint64_t bytes, bool huge_pages, std::string_view what,
                                        std::string_view remedy, std::span<const int> nodes,
                                        std::uint64_t share_bytes) {
  const std::uint64_t whole = (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  if (huge_pages) {
    FileDescriptor file(memfd_create("ringplane", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | kHugePagesOf2Mib));
    // Reserves the pages: without enough of them a later touch would be a SIGBUS.
    if (file.valid() && take_shares(file.get(), nodes, share_bytes, whole) &&
        fallocate(file.get(), 0, 0, static_cast<off_t>(whole)) == 0) {
      fcntl(file.get(), F_ADD_SEALS, kSizeSeals);
      return file;
    }
  }
  FileDescriptor file(memfd_create("ringplane", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || ftruncate(file.get(), static_cast<off_t>(whole)) != 0 ||
      !take_shares(file.get(), nodes, share_bytes, whole)) {
    return fail("cannot make a memory file of " + std::to_string((bytes >> 20) + 1) + " MiB for " + std::string(what) +
                " (" + std::strerror(errno) + "): " + std::string(remedy) + " or free some memory");
  }
  fcntl(file.get(), F_ADD_SEALS, kSizeSeals);
  return file;
}

Result<FileDescriptor> make_text_file(std::string_view text, std::string_view what) {
  FileDescriptor file(memfd_create("ringplane-text", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const auto failed = [&] { return fail("cannot keep " + std::string(what) + " in memory: " + std::strerror(errno)); };
  if (!file.valid()) return failed();
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t count = write(file.get(), text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failed();
    written += static_cast<std::size_t>(count);
  }
  fcntl(file.get(), F_ADD_SEALS, kSizeSeals | F_SEAL_WRITE);
  return file;
}

Result<FileDescriptor> make_growing_file(std::string_view what) {
  FileDescriptor file(memfd_create("ringplane-growing", MFD_CLOEXEC));
  if (!file.valid()) return fail("cannot keep " + std::string(what) + " in memory: " + std::strerror(errno));
  return file;
}

Result<void> write_memory_file(int file, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count = pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(std::string("cannot write a memory file: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return {};
}

Result<std::string> read_memory_file(int file, std::uint64_t offset, std::uint64_t bytes) {
  std::string text(bytes, '\0');
  std::size_t got = 0;
  while (got < text.size()) {
    const ssize_t count = pread(file, text.data() + got, text.size() - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(std::string("cannot read a memory file: ") + std::strerror(errno));
    if (count == 0) break;
    got += static_cast<std::size_t>(count);
  }
  text.resize(got);
  return text;
}

Result<std::string> read_memory_file(int file) {
  struct stat about{};
  if (fstat(file, &about) != 0) return fail(std::string("cannot read a memory file: ") + std::strerror(errno));
  auto text = read_memory_file(file, 0, static_cast<std::uint64_t>(about.st_size));
  if (text && text->size() != static_cast<std::size_t>(about.st_size))
    return fail("a memory file is shorter than it says");
  return text;
}

bool is_on_huge_pages(int file) noexcept {
  struct statfs about{};
  return fstatfs(file, &about) == 0 && about.f_type == HUGETLBFS_MAGIC;
}

}  // namespace ringplane::base
