/* Walks with gathers, for x86-64 with AVX-512 or AVX2. On other processors there are none. */
#include "tree/predict_inner.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#define AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")))
#define AVX2 __attribute__((target("avx2,fma")))

/* ---- AVX-512: 16 walks in lanes ----------------------------------------------------------------
 */

/* The nodes at index `at` from `nodes`: thresholds, and links. Two gathers of eight nodes. */
AVX512 static inline void gather_nodes(__m512 *threshold, __m512i *link, const flat_node *nodes,
                                       __m512i at) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  __m512i low = _mm512_i32gather_epi64(_mm512_castsi512_si256(at), (const void *)nodes, 8);
  __m512i high = _mm512_i32gather_epi64(_mm512_extracti64x4_epi64(at, 1), (const void *)nodes, 8);
  *threshold = _mm512_castsi512_ps(_mm512_permutex2var_epi32(low, even, high));
  *link = _mm512_permutex2var_epi32(low, odd, high);
}

AVX512 static inline __m512i next_nodes(__m512 threshold, __m512i link, __m512 x) {
  __mmask16 right = _mm512_cmp_ps_mask(x, threshold, _CMP_GT_OQ);
  __mmask16 is_nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  right |= is_nan & _mm512_movepi32_mask(link); /* the top bit */
  __m512i child = _mm512_and_si512(link, _mm512_set1_epi32(LINK_CHILD));
  return _mm512_mask_add_epi32(child, right, child, _mm512_set1_epi32(1));
}

AVX512 static inline __m512i slots_of(__m512i link) {
  return _mm512_and_si512(_mm512_srli_epi32(link, LINK_CHILD_BITS),
                          _mm512_set1_epi32(LINK_FEATURE));
}

/* Four vectors of 16 rows: each waits for its gathers while the others go on. */
AVX512 static void walk_rows_avx512(uint32_t *at, const flat_trees *f, size_t tree, const float *x,
                                    size_t n) {
  const flat_node *nodes = f->node + f->begin[tree];
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i width = _mm512_set1_epi32((int)f->n_slots);
  const __m512i last = _mm512_set1_epi32((int)n - 1);
  __m512i row[4], a[4];
  for (int v = 0; v < 4; v++) {
    __m512i i = _mm512_min_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(16 * v)), last);
    row[v] = _mm512_mullo_epi32(i, width);
    a[v] = _mm512_setzero_si512();
  }
  size_t vectors = (n + 15) / 16;
  for (size_t d = f->depth[tree]; d > 0; d--) {
    __mmask16 moved = 0;
    for (size_t v = 0; v < 4; v++) {
      if (v >= vectors) break;
      __m512 threshold;
      __m512i link;
      gather_nodes(&threshold, &link, nodes, a[v]);
      __m512 value = _mm512_i32gather_ps(_mm512_add_epi32(row[v], slots_of(link)), x, 4);
      __m512i next = next_nodes(threshold, link, value);
      moved |= _mm512_cmpneq_epi32_mask(next, a[v]);
      a[v] = next;
    }
    if (!moved) break;
  }
  __m512i begin = _mm512_set1_epi32((int)f->begin[tree]);
  uint32_t all[PREDICT_BLOCK];
  for (size_t v = 0; v < vectors; v++)
    _mm512_storeu_si512(all + 16 * v, _mm512_add_epi32(a[v], begin));
  memcpy(at, all, n * sizeof *at);
}

/* Groups of 16 trees, up to four at once. */
AVX512 static void walk_trees_avx512(uint32_t *at, const flat_trees *f, size_t first, size_t n,
                                     const float *x) {
  for (size_t done = 0; done < n; done += 64) {
    size_t groups = (n - done) / 16 < 4 ? (n - done) / 16 : 4;
    __m512i a[4], base[4];
    for (size_t v = 0; v < 4; v++) {
      size_t tree = first + done + 16 * (v < groups ? v : 0);
      base[v] = _mm512_loadu_si512(f->begin + tree);
      a[v] = base[v];
    }
    for (;;) {
      __mmask16 moved = 0;
      for (size_t v = 0; v < 4; v++) {
        if (v >= groups) break;
        __m512 threshold;
        __m512i link;
        gather_nodes(&threshold, &link, f->node, a[v]);
        __m512 value = _mm512_i32gather_ps(slots_of(link), x, 4);
        __m512i next = _mm512_add_epi32(next_nodes(threshold, link, value), base[v]);
        moved |= _mm512_cmpneq_epi32_mask(next, a[v]);
        a[v] = next;
      }
      if (!moved) break;
    }
    for (size_t v = 0; v < groups; v++) _mm512_storeu_si512(at + done + 16 * v, a[v]);
  }
}

/* ---- AVX2: 8 walks in lanes --------------------------------------------------------------------
 */

AVX2 static inline __m256i step_avx2(const flat_node *nodes, __m256i at, const float *x,
                                     __m256i offset) {
  const float *words = &nodes->threshold;
  __m256i twice = _mm256_add_epi32(at, at);
  __m256 threshold = _mm256_i32gather_ps(words, twice, 4);
  __m256i link = _mm256_castps_si256(
      _mm256_i32gather_ps(words, _mm256_add_epi32(twice, _mm256_set1_epi32(1)), 4));
  __m256i slot =
      _mm256_and_si256(_mm256_srli_epi32(link, LINK_CHILD_BITS), _mm256_set1_epi32(LINK_FEATURE));
  __m256 value = _mm256_i32gather_ps(x, _mm256_add_epi32(offset, slot), 4);
  __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  __m256i right = _mm256_castps_si256(_mm256_cmp_ps(value, threshold, _CMP_GT_OQ));
  right = _mm256_or_si256(right, _mm256_and_si256(is_nan, _mm256_srai_epi32(link, 31)));
  __m256i child = _mm256_and_si256(link, _mm256_set1_epi32(LINK_CHILD));
  return _mm256_sub_epi32(child, right);
}

AVX2 static inline bool same_avx2(__m256i a, __m256i b) {
  return _mm256_movemask_epi8(_mm256_cmpeq_epi32(a, b)) == -1;
}

AVX2 static void walk_rows_avx2(uint32_t *at, const flat_trees *f, size_t tree, const float *x,
                                size_t n) {
  const flat_node *nodes = f->node + f->begin[tree];
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i width = _mm256_set1_epi32((int)f->n_slots);
  const __m256i last = _mm256_set1_epi32((int)n - 1);
  const __m256i begin = _mm256_set1_epi32((int)f->begin[tree]);
  uint32_t all[PREDICT_BLOCK];
  for (size_t i = 0; i < n; i += 32) {
    __m256i row[4], a[4];
    for (int v = 0; v < 4; v++) {
      __m256i r = _mm256_add_epi32(lane, _mm256_set1_epi32((int)i + 8 * v));
      row[v] = _mm256_mullo_epi32(_mm256_min_epi32(r, last), width);
      a[v] = _mm256_setzero_si256();
    }
    for (size_t d = f->depth[tree]; d > 0; d--) {
      bool same = true;
      for (int v = 0; v < 4; v++) {
        __m256i next = step_avx2(nodes, a[v], x, row[v]);
        same &= same_avx2(next, a[v]);
        a[v] = next;
      }
      if (same) break;
    }
    for (size_t v = 0; v < 4; v++)
      _mm256_storeu_si256((__m256i *)(void *)(all + i + 8 * v), _mm256_add_epi32(a[v], begin));
  }
  memcpy(at, all, n * sizeof *at);
}

AVX2 static void walk_trees_avx2(uint32_t *at, const flat_trees *f, size_t first, size_t n,
                                 const float *x) {
  const __m256i zero = _mm256_setzero_si256();
  for (size_t done = 0; done < n; done += 16) {
    const uint32_t *begin = f->begin + first + done;
    __m256i base[2], a[2];
    for (int v = 0; v < 2; v++)
      a[v] = base[v] = _mm256_loadu_si256((const __m256i *)(const void *)(begin + 8 * v));
    for (bool same = false; !same;) {
      same = true;
      for (int v = 0; v < 2; v++) {
        __m256i next = _mm256_add_epi32(step_avx2(f->node, a[v], x, zero), base[v]);
        same &= same_avx2(next, a[v]);
        a[v] = next;
      }
    }
    for (int v = 0; v < 2; v++) _mm256_storeu_si256((__m256i *)(void *)(at + done + 8 * v), a[v]);
  }
}

static bool has_avx2(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

bool walk_x86(walk_rows_fn *rows, walk_trees_fn *one_row, const char *isa) {
  if (strcmp(isa, "avx512") == 0 && has_avx512()) {
    *rows = walk_rows_avx512;
    *one_row = walk_trees_avx512;
    return true;
  }
  if (strcmp(isa, "avx2") == 0 && has_avx2()) {
    *rows = walk_rows_avx2;
    *one_row = walk_trees_avx2;
    return true;
  }
  return false;
}

#else

bool walk_x86(walk_rows_fn *rows, walk_trees_fn *one_row, const char *isa) {
  (void)rows;
  (void)one_row;
  (void)isa;
  return false;
}

#endif
