/* oneDNN behind gemm.h. The only file that knows its C API, 2.x and 3.x. */
#include "kernel/gemm_onednn.h"

#if defined(GARAM_HAVE_ONEDNN)
#include "base/mem.h"

#include <oneapi/dnnl/dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <threads.h>

struct onednn_product {
  dnnl_primitive_t primitive;
  dnnl_memory_t a, b, bias, c, scratch;
  dnnl_exec_arg_t args[5];
  int n_args, threads;
  size_t scratch_bytes;
};

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_status_t engine_status;
static once_flag once = ONCE_FLAG_INIT;
static char version[48];

static void engine_open(void) {
  const dnnl_version_t *v = dnnl_version();
  snprintf(version, sizeof version, "onednn %d.%d.%d", v->major, v->minor, v->patch);
  engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
  if (engine_status == dnnl_success)
    engine_status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
}

/* ---- what differs between the two APIs ---- */

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t onednn_desc;

static dnnl_status_t desc_init(onednn_desc *d, int rank, const dnnl_dim_t *dims,
                               const dnnl_dim_t *strides) {
  return dnnl_memory_desc_create_with_strides(d, rank, dims, dnnl_f32, strides);
}
static void desc_deinit(onednn_desc *d) {
  if (*d) dnnl_memory_desc_destroy(*d);
}
static dnnl_status_t memory_new(dnnl_memory_t *m, const onednn_desc *d) {
  return dnnl_memory_create(m, *d, engine, DNNL_MEMORY_NONE);
}
static dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
  return dnnl_post_ops_append_eltwise(ops, kind, alpha, 0);
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops, float beta) {
  return dnnl_post_ops_append_sum(ops, beta, 0, dnnl_data_type_undef);
}
static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *out, const onednn_desc *a,
                                 const onednn_desc *b, const onednn_desc *bias,
                                 const onednn_desc *c, dnnl_primitive_attr_t attr) {
  return dnnl_matmul_primitive_desc_create(out, engine, *a, *b, bias ? *bias : NULL, *c, attr);
}
static dnnl_status_t scratch_new(onednn_product *p, const_dnnl_primitive_desc_t desc) {
  const_dnnl_memory_desc_t d = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
  p->scratch_bytes = dnnl_memory_desc_get_size(d);
  return dnnl_memory_create(&p->scratch, d, engine, DNNL_MEMORY_NONE);
}
#else
typedef dnnl_memory_desc_t onednn_desc;

static dnnl_status_t desc_init(onednn_desc *d, int rank, const dnnl_dim_t *dims,
                               const dnnl_dim_t *strides) {
  return dnnl_memory_desc_init_by_strides(d, rank, dims, dnnl_f32, strides);
}
static void desc_deinit(onednn_desc *d) {
  (void)d;
}
static dnnl_status_t memory_new(dnnl_memory_t *m, const onednn_desc *d) {
  return dnnl_memory_create(m, d, engine, DNNL_MEMORY_NONE);
}
static dnnl_status_t append_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float alpha) {
  return dnnl_post_ops_append_eltwise(ops, 1, kind, alpha, 0);
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops, float beta) {
  return dnnl_post_ops_append_sum(ops, beta);
}
static dnnl_status_t matmul_desc(dnnl_primitive_desc_t *out, const onednn_desc *a,
                                 const onednn_desc *b, const onednn_desc *bias,
                                 const onednn_desc *c, dnnl_primitive_attr_t attr) {
  dnnl_matmul_desc_t desc;
  dnnl_status_t status = dnnl_matmul_desc_init(&desc, a, b, bias, c);
  if (status != dnnl_success) return status;
  return dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
}
static dnnl_status_t scratch_new(onednn_product *p, const_dnnl_primitive_desc_t desc) {
  const dnnl_memory_desc_t *d = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
  p->scratch_bytes = dnnl_memory_desc_get_size(d);
  return dnnl_memory_create(&p->scratch, d, engine, DNNL_MEMORY_NONE);
}
#endif

/* ---- one product ---- */

static dnnl_status_t append_activation(dnnl_post_ops_t ops, kernel_unary_op op) {
  switch (op) {
  case KERNEL_RELU: return append_eltwise(ops, dnnl_eltwise_relu, 0);
  case KERNEL_GELU: return append_eltwise(ops, dnnl_eltwise_gelu_erf, 0);
  case KERNEL_SILU: return append_eltwise(ops, dnnl_eltwise_swish, 1);
  case KERNEL_TANH: return append_eltwise(ops, dnnl_eltwise_tanh, 0);
  case KERNEL_SIGMOID: return append_eltwise(ops, dnnl_eltwise_logistic, 0);
  default: return dnnl_success;
  }
}

/* C = activation(alpha (A B + bias) + beta C): the caller keeps bias apart when alpha is not 1. */
static dnnl_status_t attributes(dnnl_primitive_attr_t *out, const gemm_shape *s) {
  dnnl_post_ops_t ops = NULL;
  dnnl_status_t status = dnnl_primitive_attr_create(out);
  if (status == dnnl_success)
    status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
  if (status == dnnl_success) status = dnnl_post_ops_create(&ops);
  if (status == dnnl_success && s->alpha != 1)
    status = append_eltwise(ops, dnnl_eltwise_linear, (float)s->alpha);
  if (status == dnnl_success && s->beta != 0) status = append_sum(ops, (float)s->beta);
  if (status == dnnl_success) status = append_activation(ops, s->activation);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*out, ops);
  if (ops) dnnl_post_ops_destroy(ops);
  return status;
}

static dnnl_status_t arg_new(onednn_product *p, dnnl_memory_t *m, int arg, const onednn_desc *d) {
  dnnl_status_t status = memory_new(m, d);
  p->args[p->n_args++] = (dnnl_exec_arg_t){arg, *m};
  return status;
}

/* A matrix (rows, cols), one of a batch where the product has one; `across`: it lies transposed. */
static dnnl_status_t matrix_init(onednn_desc *d, const gemm_shape *s, int64_t batch, int64_t rows,
                                 int64_t cols, int64_t stride, int64_t ld, bool across) {
  dnnl_dims_t dims = {0}, strides = {0};
  int rank = 0;
  if (s->batch > 1) {
    dims[rank] = batch;
    strides[rank++] = stride ? stride : rows * cols;
  }
  dims[rank] = rows;
  strides[rank++] = across ? 1 : ld;
  dims[rank] = cols;
  strides[rank++] = across ? ld : 1;
  return desc_init(d, rank, dims, strides);
}

#define STEP(call)                                                                                 \
  if (status == dnnl_success) status = (call)

static dnnl_status_t build(onednn_product *p, const gemm_shape *s) {
  dnnl_primitive_attr_t attr = NULL;
  dnnl_primitive_desc_t desc = NULL;
  onednn_desc a = {0}, b = {0}, c = {0}, bias = {0};
  dnnl_status_t status = matrix_init(&a, s, s->stride_a ? s->batch : 1, s->m, s->k, s->stride_a,
                                     s->lda, s->transpose_a);
  STEP(matrix_init(&b, s, s->stride_b ? s->batch : 1, s->k, s->n, s->stride_b, s->ldb,
                   s->transpose_b));
  STEP(matrix_init(&c, s, s->batch, s->m, s->n, s->stride_c, s->ldc, false));
  STEP(matrix_init(&bias, s, 1, 1, s->n, 0, s->n, false));
  STEP(attributes(&attr, s));
  STEP(matmul_desc(&desc, &a, &b, s->bias ? &bias : NULL, &c, attr));
  STEP(dnnl_primitive_create(&p->primitive, desc));
  STEP(arg_new(p, &p->a, DNNL_ARG_SRC, &a));
  STEP(arg_new(p, &p->b, DNNL_ARG_WEIGHTS, &b));
  STEP(arg_new(p, &p->c, DNNL_ARG_DST, &c));
  if (s->bias) STEP(arg_new(p, &p->bias, DNNL_ARG_BIAS, &bias));
  STEP(scratch_new(p, desc));
  if (status == dnnl_success && p->scratch_bytes)
    p->args[p->n_args++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->scratch};
  if (desc) dnnl_primitive_desc_destroy(desc);
  if (attr) dnnl_primitive_attr_destroy(attr);
  desc_deinit(&a);
  desc_deinit(&b);
  desc_deinit(&c);
  desc_deinit(&bias);
  return status;
}

garam_status onednn_product_new(onednn_product **out, const gemm_shape *s, int threads,
                                garam_error *err) {
  *out = NULL;
  call_once(&once, engine_open);
  if (engine_status != dnnl_success)
    return fail(err, GARAM_UNSUPPORTED, "oneDNN has no engine for this processor (status %d)",
                (int)engine_status);
  onednn_product *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  p->threads = threads;
  int before = omp_get_max_threads();
  omp_set_num_threads(threads); /* oneDNN plans for the count that it finds */
  dnnl_status_t status = build(p, s);
  omp_set_num_threads(before);
  if (status != dnnl_success) {
    onednn_product_free(p);
    if (status == dnnl_out_of_memory) return fail_memory(err, 0);
    return fail(err, GARAM_UNSUPPORTED,
                "oneDNN refused a product of %lld x %lld x %lld (status %d)", (long long)s->m,
                (long long)s->n, (long long)s->k, (int)status);
  }
  *out = p;
  return GARAM_OK;
}

void onednn_product_free(onednn_product *p) {
  if (!p) return;
  dnnl_memory_t all[] = {p->a, p->b, p->bias, p->c, p->scratch};
  for (size_t i = 0; i < COUNT_OF(all); i++)
    if (all[i]) dnnl_memory_destroy(all[i]);
  if (p->primitive) dnnl_primitive_destroy(p->primitive);
  mem_free(p);
}

size_t onednn_product_scratch(const onednn_product *p) {
  return p->scratch_bytes;
}

void onednn_product_run(onednn_product *p, float *c, const float *a, const float *b,
                        const float *bias, void *scratch) {
  union { /* oneDNN takes inputs without const */
    const float *in;
    void *out;
  } src = {a}, weights = {b}, row = {bias};
  dnnl_status_t status = dnnl_memory_set_data_handle(p->a, src.out);
  STEP(dnnl_memory_set_data_handle(p->b, weights.out));
  STEP(dnnl_memory_set_data_handle(p->c, c));
  if (p->bias) STEP(dnnl_memory_set_data_handle(p->bias, row.out));
  if (p->scratch_bytes) STEP(dnnl_memory_set_data_handle(p->scratch, scratch));
  int before = omp_get_max_threads();
  if (before > p->threads) omp_set_num_threads(p->threads);
  STEP(dnnl_primitive_execute(p->primitive, stream, p->n_args, p->args));
  if (before > p->threads) omp_set_num_threads(before);
  REQUIRE(status == dnnl_success, "oneDNN could not run a product that it had prepared (status %d)",
          (int)status);
}

const char *onednn_version(void) {
  call_once(&once, engine_open);
  return version;
}

#endif
