#include "base/vector_width.h"

namespace ringplane::base {

VectorWidth widest_vectors() noexcept {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
      __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
      __builtin_cpu_supports("avx512cd") != 0) {
    return VectorWidth::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("bmi2") != 0) return VectorWidth::kAvx2;
#endif
  return VectorWidth::kPlain;
}

}  // namespace ringplane::base
