#include "base/heap.h"

#if defined(__GLIBC__) || __has_include(<malloc.h>)
#include <malloc.h>
#endif

namespace ringplane::base {

void keep_freed_memory() noexcept {
#if defined(M_MMAP_MAX) && defined(M_TRIM_THRESHOLD)
  mallopt(M_MMAP_MAX, 0);         // no block has a mapping of its own that goes with it
  mallopt(M_TRIM_THRESHOLD, -1);  // the end of the heap stays
#endif
}

}  // namespace ringplane::base
