/* Stable partitions of row numbers. See partition.h. */
#include "tree/partition.h"

#include "base/thread.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAVE_WIDE_PARTITION 1
#endif

/* To the left in place (never past what has been read), to the right into `right`. */
static size_t divide_plain(uint32_t *left, uint32_t *right, const uint32_t *rows, size_t n,
                           const uint8_t *column, const uint32_t *codes) {
  size_t nl = 0, nr = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t row = rows[i];
    uint8_t code = column[row];
    uint32_t goes_left = codes[code >> 5] >> (code & 31) & 1;
    left[nl] = row;
    right[nr] = row;
    nl += goes_left;
    nr += !goes_left;
  }
  return nl;
}

#ifdef HAVE_WIDE_PARTITION
/* Sixteen rows at a time: gather their codes, look up a bit each, compress to both sides. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq"))) static size_t
divide_wide(uint32_t *left, uint32_t *right, const uint32_t *rows, size_t n, const uint8_t *column,
            const uint32_t *codes) {
  const __m512i table = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)codes));
  const __m512i byte = _mm512_set1_epi32(255), bits = _mm512_set1_epi32(31);
  const __m512i one = _mm512_set1_epi32(1);
  size_t nl = 0, nr = 0, i = 0;
  for (; i + 16 <= n; i += 16) {
    __m512i row = _mm512_loadu_si512(rows + i);
    __m512i code = _mm512_and_si512(_mm512_i32gather_epi32(row, column, 1), byte);
    __m512i word = _mm512_permutexvar_epi32(_mm512_srli_epi32(code, 5), table);
    __mmask16 go =
        _mm512_test_epi32_mask(_mm512_srlv_epi32(word, _mm512_and_si512(code, bits)), one);
    unsigned n_left = (unsigned)__builtin_popcount(go);
    /* Whole registers: what is too much is written over, and never beyond what has been read. */
    _mm512_storeu_si512(left + nl, _mm512_maskz_compress_epi32(go, row));
    _mm512_storeu_si512(right + nr, _mm512_maskz_compress_epi32((__mmask16)~go, row));
    nl += n_left;
    nr += 16 - n_left;
  }
  return nl + divide_plain(left + nl, right + nr, rows + i, n - i, column, codes);
}

static bool has_wide(void) {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

typedef struct division {
  uint32_t *rows, *other;
  size_t n, n_parts;
  const uint8_t *column;
  const uint32_t *codes;
  size_t *n_left;
  bool wide;
} division;

static void divide_parts(void *context, size_t begin, size_t end) {
  const division *d = context;
  for (size_t p = begin; p < end; p++) {
    size_t from = d->n * p / d->n_parts, n = d->n * (p + 1) / d->n_parts - from;
    uint32_t *rows = d->rows + from, *other = d->other + from + p * PARTITION_MORE;
#ifdef HAVE_WIDE_PARTITION
    if (d->wide) {
      d->n_left[p] = divide_wide(rows, other, rows, n, d->column, d->codes);
      continue;
    }
#endif
    d->n_left[p] = divide_plain(rows, other, rows, n, d->column, d->codes);
  }
}

size_t partition_rows(uint32_t *rows, size_t n, const bins *b, size_t feature,
                      const uint32_t *left_codes, uint32_t *other) {
  enum { WORTH_A_THREAD = 16384, MOST = 64 };
  size_t n_left[MOST], parts = (size_t)thread_count();
  if (parts > n / WORTH_A_THREAD) parts = n / WORTH_A_THREAD;
  if (parts > MOST) parts = MOST;
  division d = {rows,       other,  n,    parts > 1 ? parts : 1, b->columns + feature * b->stride,
                left_codes, n_left, false};
#ifdef HAVE_WIDE_PARTITION
  d.wide = has_wide() && b->n_rows < INT32_MAX; /* gathers take signed indices */
#endif
  thread_for(d.n_parts, 1, divide_parts, &d);
  size_t left = n_left[0], right = 0;
  for (size_t p = 1; p < d.n_parts; p++) {
    memmove(rows + left, rows + n * p / d.n_parts, n_left[p] * sizeof *rows);
    left += n_left[p];
  }
  for (size_t p = 0; p < d.n_parts; p++) {
    size_t from = n * p / d.n_parts, m = n * (p + 1) / d.n_parts - from - n_left[p];
    memcpy(rows + left + right, other + from + p * PARTITION_MORE, m * sizeof *rows);
    right += m;
  }
  return left;
}
