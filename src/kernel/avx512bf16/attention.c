/* Attention whose products are of bf16 with sums in float, for AVX512-BF16; masks, maxima, sums and
 * exponentials stay in float. */
#include "kernel/levels.h"

#if defined(__x86_64__)
#include "kernel/avx512bf16/pairs.h"
#include "kernel/ref/shard.h"

#include <math.h>
#include <string.h>

#define TILE_STEP 2
#define TILE_FMA(a, b, c) pairs_fma(a, b, c)
#define TILE_PACKS "kernel/avx512bf16/tile_pairs.inc"

#include "kernel/simd/functions.inc"
#include "kernel/simd/mask.inc"
#include "kernel/simd/attention.inc"

void kernel_avx512bf16_attention(kernel_table *t) {
  t->attention_scratch = attention_scratch;
  t->attention = attention;
  t->attention_backward_scratch = attention_backward_scratch;
  t->attention_backward = attention_backward;
}
#endif
