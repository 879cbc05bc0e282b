// The heap of a process whose other threads must not be held up. When memory goes back to the kernel, every processor
// that runs a thread of the process is interrupted to forget its translations; a policy that is compiled and dropped
// beside the workers would do that hundreds of times.
#pragma once

namespace ringplane::base {

/// From now on freed memory stays with the process and is used again; its size is that of the largest need. Before
/// threads start. Does nothing where malloc cannot be told (not glibc).
void keep_freed_memory() noexcept;

}  // namespace ringplane::base
