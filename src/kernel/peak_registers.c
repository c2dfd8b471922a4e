/* What the processor can do at most: multiply-adds between registers, nothing else. The yardstick
 * of every product, by the precision of the operands. */
#include "base/clock.h"
#include "base/thread.h"
#include "kernel/kernel.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <string.h>

enum { LOOPS = 200000, SUMS = 12, TRIALS = 8 };

/* Sums enough that none waits for another: twelve with AVX2, and with the registers of AVX-512
 * twelve more (two units times a latency of six, as dot products of bf16 have it, are twelve, and
 * the least delay would show). */
#define EACH(op, r)                                                                                \
  op r "0\n" op r "1\n" op r "2\n" op r "3\n" op r "4\n" op r "5\n" op r "6\n" op r "7\n" op r     \
       "8\n" op r "9\n" op r "10\n" op r "11\n"
#define EACH_MORE(op, r)                                                                           \
  op r "16\n" op r "17\n" op r "18\n" op r "19\n" op r "20\n" op r "21\n" op r "22\n" op r         \
       "23\n" op r "24\n" op r "25\n" op r "26\n" op r "27\n"
#define CLOBBERED                                                                                  \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",         \
      "xmm11", "xmm12", "xmm13"
#define CLOBBERED_MORE                                                                             \
  "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",        \
      "xmm26", "xmm27"
#define PEAK(name, isa, instructions, ...)                                                         \
  __attribute__((target(isa))) static void name(void) {                                            \
    long n = LOOPS;                                                                                \
    __asm__ volatile(                                                                              \
        "vpxor %%xmm12, %%xmm12, %%xmm12\nvpxor %%xmm13, %%xmm13, %%xmm13\n1:\n" instructions      \
        "dec %0\njnz 1b\n"                                                                         \
        : "+r"(n)                                                                                  \
        :                                                                                          \
        : "cc", __VA_ARGS__);                                                                      \
  }
#define FACTORS(op, r) op " %%" r "12, %%" r "13, %%"
#define WIDE(name, isa, op)                                                                        \
  PEAK(name, isa, EACH(FACTORS(op, "zmm"), "zmm") EACH_MORE(FACTORS(op, "zmm"), "zmm"), CLOBBERED, \
       CLOBBERED_MORE)
PEAK(fma_avx2, "avx2,fma", EACH(FACTORS("vfmadd231ps", "ymm"), "ymm"), CLOBBERED)
WIDE(fma_avx512, "avx512f", "vfmadd231ps")
WIDE(fma_fp16, "avx512fp16", "vfmadd231ph")
WIDE(dot_bf16, "avx512bf16", "vdpbf16ps")
WIDE(dot_int8, "avx512vnni", "vpdpbusd")

/* bit of register `which` (eax, ebx, ecx, edx) of leaf 7 */
static bool has(unsigned leaf, int which, int bit) {
  unsigned r[4] = {0};
  return __get_cpuid_count(7, leaf, &r[0], &r[1], &r[2], &r[3]) && (r[which] >> bit & 1);
}

/* operations: of an instruction; sums: instructions of a turn */
static double rate(void (*run)(void), double operations, int sums) {
  int threads = thread_count();
  double best = 1e30;
  for (int i = 0; i < TRIALS; i++) {
    int64_t start = clock_monotonic_ns();
#pragma omp parallel num_threads(threads)
    run();
    double seconds = (double)(clock_monotonic_ns() - start) * 1e-9;
    if (seconds < best) best = seconds;
  }
  return operations * sums * LOOPS * threads / best;
}

double kernel_peak_registers(kernel_peak_kind kind) {
  const char *isa = kernel_isa(); /* also says that the system keeps the registers */
  bool wide = strcmp(isa, "avx512") == 0;
  switch (kind) {
  case KERNEL_PEAK_FP32:
    return wide                       ? rate(fma_avx512, 32, 2 * SUMS)
           : strcmp(isa, "avx2") == 0 ? rate(fma_avx2, 16, SUMS)
                                      : 0;
  case KERNEL_PEAK_FP16: return wide && has(0, 3, 23) ? rate(fma_fp16, 64, 2 * SUMS) : 0;
  case KERNEL_PEAK_BF16: return wide && has(1, 0, 5) ? rate(dot_bf16, 64, 2 * SUMS) : 0;
  case KERNEL_PEAK_INT8: return wide && has(0, 2, 11) ? rate(dot_int8, 128, 2 * SUMS) : 0;
  }
  return 0;
}
#else
double kernel_peak_registers(kernel_peak_kind kind) {
  (void)kind;
  return 0;
}
#endif
