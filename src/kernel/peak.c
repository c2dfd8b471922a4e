/* What the machine can do, measured: the yardsticks beside which the bench puts our figures. */
#include "base/clock.h"
#include "base/mem.h"
#include "kernel/gemm.h"

enum { SIDE = 1024, TRIALS = 12 };

static double best_seconds(void (*run)(void *context), void *context, int trials) {
  double best = 1e30;
  for (int i = 0; i < trials; i++) {
    int64_t start = clock_monotonic_ns();
    run(context);
    double seconds = (double)(clock_monotonic_ns() - start) * 1e-9;
    if (seconds < best) best = seconds;
  }
  return best;
}

typedef struct peak_product {
  gemm_plan *plan;
  float *a, *b, *c;
  void *scratch;
} peak_product;

static void run_product(void *context) {
  peak_product *p = context;
  gemm_run(p->plan, p->c, p->a, p->b, NULL, p->scratch);
}

double kernel_peak_flops(void) {
  const kernel_table *k = kernel_table_f32();
  size_t items = (size_t)SIDE * SIDE, bytes = items * sizeof(float);
  peak_product p = {0};
  double flops = 0;
  gemm_shape shape = {.real_size = sizeof(float), .m = SIDE, .n = SIDE, .k = SIDE};
  if (gemm_plan_new(&p.plan, &shape, NULL) != GARAM_OK) return 0;
  p.a = mem_alloc_aligned(bytes, 64);
  p.b = mem_alloc_aligned(bytes, 64);
  p.c = mem_alloc_aligned(bytes, 64);
  p.scratch = mem_alloc_aligned(gemm_scratch(p.plan) + 64, 64);
  if (p.a && p.b && p.c && p.scratch) {
    k->fill(p.a, 0.5, items);
    k->fill(p.b, 0.25, items);
    run_product(&p); /* wakes the threads */
    flops = gemm_flops(p.plan) / best_seconds(run_product, &p, TRIALS);
  }
  mem_free_aligned(p.a);
  mem_free_aligned(p.b);
  mem_free_aligned(p.c);
  mem_free_aligned(p.scratch);
  gemm_plan_free(p.plan);
  return flops;
}

typedef struct peak_copy {
  float *from, *to;
  size_t items;
} peak_copy;

static void run_copy(void *context) {
  peak_copy *c = context;
  kernel_table_f32()->unary(KERNEL_SCALE, c->to, c->from, c->items, 2.0, 1.0);
}

double kernel_peak_bandwidth(void) {
  peak_copy c = {.items = (size_t)64 << 20}; /* 256 MiB each: past every cache */
  double rate = 0;
  c.from = mem_alloc_aligned(c.items * sizeof(float), 64);
  c.to = mem_alloc_aligned(c.items * sizeof(float), 64);
  if (c.from && c.to) {
    kernel_table_f32()->fill(c.from, 1.0, c.items);
    run_copy(&c); /* maps the pages */
    rate = 2.0 * (double)(c.items * sizeof(float)) / best_seconds(run_copy, &c, 5);
  }
  mem_free_aligned(c.from);
  mem_free_aligned(c.to);
  return rate;
}
