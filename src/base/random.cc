#include "base/random.h"

#include <cstdint>
#include <cstdlib>

#include <sys/random.h>

namespace ringplane::base {

std::uint64_t os_random_seed() {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) std::abort();  // cannot fail for 8 bytes on Linux >= 3.17
  return seed;
}

}  // namespace ringplane::base
