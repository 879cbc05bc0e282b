// A memory file: memory with a descriptor instead of a process (memfd_create(2)). Whoever holds the descriptor can map
// it, so what lies in it outlives the process that wrote it and can be handed on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::base {

/// A file of `bytes` zero bytes, on reserved huge pages if `huge_pages` and there are enough. Its size is fixed for
/// good. Fails with a sentence that names `what` it is for and ends with `remedy` (mapped_memory.h).
///
/// `nodes`: the NUMA nodes that the pages of its shares come from, the i-th `share_bytes` from the i-th (kAnyNode: from
/// anywhere), as far as these have memory. Then every page of the shares is taken at once; else the first touch does
/// it.
[[nodiscard]] Result<FileDescriptor> make_memory_file(std::uint64_t bytes, bool huge_pages, std::string_view what,
                                                      std::string_view remedy, std::span<const int> nodes = {},
                                                      std::uint64_t share_bytes = 0);
/// A small one that holds `text`, sealed: its readers need not fear that it changes.
[[nodiscard]] Result<FileDescriptor> make_text_file(std::string_view text, std::string_view what);
/// An empty one that grows as it is written to.
[[nodiscard]] Result<FileDescriptor> make_growing_file(std::string_view what);
/// Writes all of `bytes` at `offset` of such a one; fails with a sentence when there is no memory.
[[nodiscard]] Result<void> write_memory_file(int file, std::string_view bytes, std::uint64_t offset);
/// `bytes` of one from `offset` on, fewer where it ends.
[[nodiscard]] Result<std::string> read_memory_file(int file, std::uint64_t offset, std::uint64_t bytes);
/// The whole of one.
[[nodiscard]] Result<std::string> read_memory_file(int file);
/// Whether it lies on reserved huge pages.
[[nodiscard]] bool is_on_huge_pages(int file) noexcept;

}  // namespace ringplane::base
