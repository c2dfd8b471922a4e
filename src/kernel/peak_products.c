/* How near products come to what the processor can do: the shapes of one layer of a transformer of
 * width 512 with 32 sequences of 64 steps, by every backend that there is. */
#include "base/clock.h"
#include "base/mem.h"
#include "kernel/gemm.h"

#include <string.h>

static const kernel_peak_product layer[] = {
    {.name = "q k v forward", .m = 2048, .n = 1536, .k = 512},
    {.name = "out forward", .m = 2048, .n = 512, .k = 512},
    {.name = "up forward", .m = 2048, .n = 2048, .k = 512},
    {.name = "down forward", .m = 2048, .n = 512, .k = 2048},
    {.name = "q k v dx", .m = 2048, .n = 512, .k = 1536, .transpose_b = true},
    {.name = "out dx", .m = 2048, .n = 512, .k = 512, .transpose_b = true},
    {.name = "up dx", .m = 2048, .n = 512, .k = 2048, .transpose_b = true},
    {.name = "down dx", .m = 2048, .n = 2048, .k = 512, .transpose_b = true},
    {.name = "q k v dw", .m = 512, .n = 1536, .k = 2048, .transpose_a = true},
    {.name = "out dw", .m = 512, .n = 512, .k = 2048, .transpose_a = true},
    {.name = "up dw", .m = 512, .n = 2048, .k = 2048, .transpose_a = true},
    {.name = "down dw", .m = 2048, .n = 512, .k = 2048, .transpose_a = true},
};

typedef struct candidate {
  gemm_plan *plan;
  void *packed, *scratch;
  double *best; /* seconds, in the row */
} candidate;

enum { CANDIDATES = 3, TRIALS = 8 };

static void candidate_add(candidate *c, const kernel_peak_product *row, const char *backend,
                          gemm_precision precision, const float *b, double *best) {
  gemm_shape shape = {.real_size = sizeof(float),
                      .m = row->m,
                      .n = row->n,
                      .k = row->k,
                      .transpose_a = row->transpose_a,
                      .transpose_b = row->transpose_b,
                      .precision = precision};
  bool ours = strcmp(backend, "onednn") != 0; /* weights of oneDNN are not packed: not by us */
  if (ours && !row->transpose_a) shape.format_b = GEMM_PACKED;
  if (gemm_plan_new_by(&c->plan, &shape, backend, NULL) != GARAM_OK) return;
  c->scratch = mem_alloc_aligned(gemm_scratch(c->plan) + 64, 64);
  if (gemm_pack_bytes(c->plan)) {
    c->packed = mem_alloc_aligned(gemm_pack_bytes(c->plan), 64);
    if (c->packed) gemm_pack(c->plan, c->packed, b, GEMM_REAL);
  }
  if (c->scratch && (c->packed || !gemm_pack_bytes(c->plan))) c->best = best;
}

static void candidate_free(candidate *c) {
  gemm_plan_free(c->plan);
  mem_free_aligned(c->packed);
  mem_free_aligned(c->scratch);
}

static const char *strongest_own(gemm_precision precision) {
  const char *name = NULL;
  for (int i = 0; gemm_backend_at(i, precision); i++)
    if (strcmp(gemm_backend_at(i, precision), "onednn") != 0) name = gemm_backend_at(i, precision);
  return name;
}

/* In turns, so that all of them meet the same moods of the machine. */
static void row_measure(kernel_peak_product *row, float *c, const float *a, const float *b) {
  double seconds[CANDIDATES] = {0};
  candidate all[CANDIDATES] = {{0}};
  const char *full = strongest_own(GEMM_FULL), *half = strongest_own(GEMM_HALF);
  candidate_add(&all[0], row, full, GEMM_FULL, b, &seconds[0]);
  if (half) candidate_add(&all[1], row, half, GEMM_HALF, b, &seconds[1]);
  candidate_add(&all[2], row, "onednn", GEMM_FULL, b, &seconds[2]);
  for (int t = 0; t <= TRIALS; t++)
    for (int i = 0; i < CANDIDATES; i++) {
      if (!all[i].best) continue;
      int64_t start = clock_monotonic_ns();
      gemm_run(all[i].plan, c, a, all[i].packed ? all[i].packed : b, NULL, all[i].scratch);
      double took = (double)(clock_monotonic_ns() - start) * 1e-9;
      if (t == 1 || (t > 1 && took < seconds[i])) seconds[i] = took; /* the first one warms */
    }
  double flops = 2.0 * (double)row->m * (double)row->n * (double)row->k;
  row->full = seconds[0] > 0 ? flops / seconds[0] : 0;
  row->half = seconds[1] > 0 ? flops / seconds[1] : 0;
  row->onednn = seconds[2] > 0 ? flops / seconds[2] : 0;
  for (int i = 0; i < CANDIDATES; i++) candidate_free(&all[i]);
}

int kernel_peak_products(kernel_peak_product *rows, int most) {
  enum { ITEMS = 2048 * 2048 };
  const kernel_table *k = kernel_table_f32();
  float *a = mem_alloc_aligned(ITEMS * sizeof *a, 64),
        *b = mem_alloc_aligned(ITEMS * sizeof *b, 64),
        *c = mem_alloc_aligned(ITEMS * sizeof *c, 64);
  int n = 0;
  if (a && b && c) {
    k->fill(a, 0.5, ITEMS);
    k->fill(b, 0.25, ITEMS);
    for (; n < most && (size_t)n < COUNT_OF(layer); n++) {
      rows[n] = layer[n];
      row_measure(&rows[n], c, a, b);
    }
  }
  mem_free_aligned(a);
  mem_free_aligned(b);
  mem_free_aligned(c);
  return n;
}
