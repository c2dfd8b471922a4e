/* Which kernels this machine runs: the levels it has, weakest first, and the one in use. */
#include "kernel/gemm.h"
#include "kernel/levels.h"

#include <stdlib.h>
#include <string.h>
#include <threads.h>

enum { MAX_LEVELS = 3 };

static kernel_table level_f32[MAX_LEVELS], level_f64[MAX_LEVELS];
static int n_levels, chosen;
static once_flag once = ONCE_FLAG_INIT;

#if defined(__x86_64__)
/* Also asks whether the operating system keeps the wide registers (XCR0), as gcc and clang do in
 * __builtin_cpu_supports. */
static bool has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}
#endif

static void choose(void) {
  kernel_ref_f32(&level_f32[0]);
  kernel_ref_f64(&level_f64[0]);
  n_levels = 1;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (has_avx2()) {
    kernel_avx2_f32(&level_f32[n_levels]);
    kernel_avx2_f64(&level_f64[n_levels++]);
  }
  if (has_avx512()) {
    kernel_avx512_f32(&level_f32[n_levels]);
    kernel_avx512_f64(&level_f64[n_levels++]);
  }
#elif defined(__aarch64__) /* Advanced SIMD is part of every AArch64 */
  kernel_neon_f32(&level_f32[n_levels]);
  kernel_neon_f64(&level_f64[n_levels++]);
#endif
  chosen = n_levels - 1;
  const char *asked = getenv("GARAM_ISA");
  for (int i = 0; asked && i < n_levels; i++)
    if (strcmp(asked, level_f32[i].isa) == 0) chosen = i;
}

const kernel_table *kernel_table_f32(void) {
  call_once(&once, choose);
  return &level_f32[chosen];
}

const kernel_table *kernel_table_f64(void) {
  call_once(&once, choose);
  return &level_f64[chosen];
}

static kernel_table half;
static once_flag half_once = ONCE_FLAG_INIT;

static void choose_half(void) {
  half = *kernel_table_f32();
#if defined(__x86_64__) /* attention follows the products, by whatever they were chosen */
  if (strcmp(gemm_backend(GEMM_HALF), "avx512-bf16") == 0) kernel_avx512bf16_attention(&half);
#endif
}

const kernel_table *kernel_table_half(void) {
  call_once(&half_once, choose_half);
  return &half;
}

const kernel_table *kernel_table_level(int level, size_t real_size) {
  call_once(&once, choose);
  if (level < 0 || level >= n_levels) return NULL;
  return real_size == sizeof(float) ? &level_f32[level] : &level_f64[level];
}

const char *kernel_isa(void) {
  return kernel_table_f32()->isa;
}

int kernel_unary_needs(kernel_unary_op op) {
  switch (op) {
  case KERNEL_EXP:
  case KERNEL_SQRT:
  case KERNEL_RELU:
  case KERNEL_TANH:
  case KERNEL_SIGMOID: return KERNEL_NEEDS_Y;
  case KERNEL_LOG:
  case KERNEL_SQUARE:
  case KERNEL_ABS:
  case KERNEL_GELU:
  case KERNEL_SILU:
  case KERNEL_SOFTPLUS:
  case KERNEL_CLAMP: return KERNEL_NEEDS_X;
  case KERNEL_IDENTITY:
  case KERNEL_NEG:
  case KERNEL_SCALE:
  case KERNEL_N_UNARY: break;
  }
  return 0;
}
