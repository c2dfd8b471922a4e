/* Convolution as a product with gathered patches: patches (B T', K I) times w (K I, O). */
#include "kernel/conv.h"

#include "base/mem.h"
#include "kernel/ref/shard.h"

#include <string.h>

struct conv1d_plan {
  conv1d_shape shape;
  int64_t steps; /* T' */
  const kernel_table *kernels;
  gemm_plan *forward, *dw, *dpatches; /* the last two only for training */
  size_t patches_bytes, product_bytes;
};

int64_t conv1d_steps(const conv1d_shape *s) {
  int64_t room = s->steps + s->pad_left + s->pad_right - s->dilation * (s->taps - 1) - 1;
  return room < 0 ? 0 : room / s->stride + 1;
}

static size_t scratch_most(const conv1d_plan *p) {
  size_t most = gemm_scratch(p->forward);
  if (p->dw && gemm_scratch(p->dw) > most) most = gemm_scratch(p->dw);
  if (p->dpatches && gemm_scratch(p->dpatches) > most) most = gemm_scratch(p->dpatches);
  return most;
}

garam_status conv1d_plan_new(conv1d_plan **out, const conv1d_shape *s, bool training,
                             garam_error *err) {
  *out = NULL;
  if (s->batch < 1 || s->steps < 1 || s->inputs < 1 || s->taps < 1 || s->outputs < 1 ||
      s->stride < 1 || s->dilation < 1 || s->pad_left < 0 || s->pad_right < 0)
    return fail(err, GARAM_INVALID, "conv1d: sizes, stride and dilation must be at least 1");
  int64_t steps = conv1d_steps(s);
  if (steps < 1)
    return fail(err, GARAM_INVALID, "conv1d: %lld taps do not fit into %lld steps",
                (long long)s->taps, (long long)s->steps);
  garam_status status = GARAM_OK;
  conv1d_plan *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  p->shape = *s;
  p->steps = steps;
  p->kernels = s->real_size == sizeof(float) ? kernel_table_f32() : kernel_table_f64();
  int64_t rows = s->batch * steps, width = s->taps * s->inputs;
  p->patches_bytes = round_up((size_t)(rows * width) * s->real_size, 64);
  gemm_shape y = {
      .real_size = s->real_size, .m = rows, .n = s->outputs, .k = width, .bias = s->bias};
  TRY_GOTO(failed, gemm_plan_new(&p->forward, &y, err));
  if (training) {
    gemm_shape dw = {
        .real_size = s->real_size, .m = width, .n = s->outputs, .k = rows, .transpose_a = true};
    TRY_GOTO(failed, gemm_plan_new(&p->dw, &dw, err));
    gemm_shape dpatches = {
        .real_size = s->real_size, .m = rows, .n = width, .k = s->outputs, .transpose_b = true};
    TRY_GOTO(failed, gemm_plan_new(&p->dpatches, &dpatches, err));
  }
  p->product_bytes = scratch_most(p);
  *out = p;
  return GARAM_OK;
failed:
  conv1d_plan_free(p);
  return status;
}

void conv1d_plan_free(conv1d_plan *p) {
  if (!p) return;
  gemm_plan_free(p->forward);
  gemm_plan_free(p->dw);
  gemm_plan_free(p->dpatches);
  mem_free(p);
}

size_t conv1d_scratch(const conv1d_plan *p) {
  return p->patches_bytes + p->product_bytes;
}

double conv1d_flops(const conv1d_plan *p) {
  return gemm_flops(p->forward);
}

static void gather_patches(const conv1d_plan *p, char *patches, const char *x) {
  const conv1d_shape *s = &p->shape;
  size_t row = (size_t)s->inputs * s->real_size;
  int64_t rows = s->batch * p->steps;
  THREADS(rows * s->taps * s->inputs, for (int64_t r = 0; r < rows; r++), {
    int64_t b = r / p->steps, from = r % p->steps * s->stride - s->pad_left;
    for (int64_t k = 0; k < s->taps; k++) {
      int64_t t = from + k * s->dilation;
      char *to = patches + (size_t)(r * s->taps + k) * row;
      if (t >= 0 && t < s->steps) memcpy(to, x + (size_t)(b * s->steps + t) * row, row);
      else memset(to, 0, row);
    }
  });
}

/* Each step of x gathers from the patches that it stands in, taps in order. */
static void scatter_patches(const conv1d_plan *p, char *dx, const char *dpatches) {
  const conv1d_shape *s = &p->shape;
  size_t row = (size_t)s->inputs * s->real_size;
  int64_t rows = s->batch * s->steps;
  THREADS(rows * s->taps * s->inputs, for (int64_t r = 0; r < rows; r++), {
    char *to = dx + (size_t)r * row;
    memset(to, 0, row);
    for (int64_t k = 0; k < s->taps; k++) {
      int64_t lead = r % s->steps + s->pad_left - k * s->dilation;
      if (lead < 0 || lead % s->stride != 0 || lead / s->stride >= p->steps) continue;
      int64_t patch = r / s->steps * p->steps + lead / s->stride;
      p->kernels->add_scaled(to, dpatches + (size_t)(patch * s->taps + k) * row, 1,
                             (size_t)s->inputs);
    }
  });
}

void conv1d_forward(conv1d_plan *p, void *y, const void *x, const void *w, const void *b,
                    void *scratch) {
  char *patches = scratch;
  gather_patches(p, patches, x);
  gemm_run(p->forward, y, patches, w, b, patches + p->patches_bytes);
}

void conv1d_backward(conv1d_plan *p, void *dx, void *dw, void *db, const void *dy, const void *x,
                     const void *w, void *scratch) {
  char *patches = scratch, *rest = patches + p->patches_bytes;
  const conv1d_shape *s = &p->shape;
  if (dw) {
    gather_patches(p, patches, x);
    gemm_run(p->dw, dw, patches, dy, NULL, rest);
  }
  if (db) p->kernels->column_sum(db, dy, (size_t)(s->batch * p->steps), (size_t)s->outputs);
  if (dx) {
    gemm_run(p->dpatches, patches, dy, w, NULL, rest);
    scatter_patches(p, dx, patches);
  }
}
