/* Matrix products, through kernel/gemm.h. Products are prepared once, when a plan is made. */
#include "graph/op_inner.h"

#include <inttypes.h>
#include <string.h>

/* ---- what both ops share: a gemm_plan as state ---- */

static void product_release(void *state) {
  gemm_plan_free(state);
}

static size_t product_scratch(const node *n, const void *state) {
  (void)n;
  return gemm_scratch(state);
}

static const void *product_b(const op_run *r) {
  return r->packed ? r->packed : r->in[1];
}

static void product_run(const op_run *r) {
  gemm_run(r->state, r->out[0], r->in[0], product_b(r), r->node->n_inputs > 2 ? r->in[2] : NULL,
           r->scratch);
}

/* Operand 1 of a half product is packed when it hangs on parameters alone: it is rounded once for
 * each version of them. In full precision a second copy of the weights does not pay. */
static garam_status product_prepare(void **state, const node *n, gemm_shape s, garam_error *err) {
  gemm_plan *p = NULL;
  s.precision = n->graph->precision == PLAN_BF16 ? GEMM_HALF : GEMM_FULL;
  if (s.precision == GEMM_HALF && s.stride_b == 0 && n->inputs[1]->node->fixed && !n->fixed)
    s.format_b = GEMM_PACKED;
  garam_status status = gemm_plan_new(&p, &s, err);
  *state = p;
  return status;
}

static size_t product_packed(const node *n, const void *state) {
  (void)n;
  return gemm_pack_bytes(state);
}

static void product_pack(const op_run *r) {
  gemm_pack(r->state, r->packed, r->in[1], GEMM_REAL);
}

/* ---- matmul ---- */

static gemm_shape matmul_gemm(const node *n) {
  const matmul_attr *attr = n->attr;
  const tensor *a = n->inputs[0], *b = n->inputs[1];
  const int64_t *end_a = a->dims + a->rank, *end_b = b->dims + b->rank;
  gemm_shape s = {.real_size = dtype_size(a->type),
                  .transpose_a = attr->transpose_a,
                  .transpose_b = attr->transpose_b};
  s.m = attr->transpose_a ? end_a[-1] : end_a[-2];
  s.k = attr->transpose_a ? end_a[-2] : end_a[-1];
  s.n = attr->transpose_b ? end_b[-2] : end_b[-1];
  int64_t lead_a = shape_product(a->dims, 0, a->rank - 2);
  int64_t lead_b = shape_product(b->dims, 0, b->rank - 2);
  if (lead_b == 1 && !s.transpose_a) { /* one tall product instead of a batch */
    s.m *= lead_a;
    return s;
  }
  s.batch = lead_a > lead_b ? lead_a : lead_b;
  s.stride_a = lead_a > 1 ? s.m * s.k : 0;
  s.stride_b = lead_b > 1 ? s.k * s.n : 0;
  s.stride_c = s.m * s.n;
  return s;
}

static bool matmul_shape(node *n) {
  const matmul_attr *attr = n->attr;
  const tensor *a = n->inputs[0], *b = n->inputs[1];
  if (a->type == DTYPE_I32 || b->type == DTYPE_I32) return node_fail(n, "an operand holds int32");
  if (a->rank < 2 || b->rank < 2) return node_fail(n, "both operands need two axes at least");
  bool both = a->rank > 2 && b->rank > 2;
  bool fits = !both || (a->rank == b->rank &&
                        memcmp(a->dims, b->dims, (size_t)(a->rank - 2) * sizeof *a->dims) == 0);
  if (!fits) return node_fail(n, "the leading axes differ");
  const int64_t *end_a = a->dims + a->rank, *end_b = b->dims + b->rank;
  int64_t inner_a = attr->transpose_a ? end_a[-2] : end_a[-1];
  int64_t inner_b = attr->transpose_b ? end_b[-1] : end_b[-2];
  if (inner_a != inner_b)
    return node_fail(n, "the inner sizes %" PRId64 " and %" PRId64 " differ", inner_a, inner_b);
  const tensor *lead = a->rank > 2 ? a : b;
  int64_t dims[TENSOR_MAX_RANK];
  memcpy(dims, lead->dims, sizeof dims);
  dims[lead->rank - 2] = attr->transpose_a ? end_a[-1] : end_a[-2];
  dims[lead->rank - 1] = attr->transpose_b ? end_b[-2] : end_b[-1];
  return node_output(n, a->type, lead->rank, dims);
}

/* (..., rows, cols) as one matrix. */
static tensor *flatten(tensor *t) {
  return op_reshape(t, 2, (int64_t[]){-1, tensor_dim(t, -1)});
}

static tensor *sum_lead(tensor *t, const tensor *like) {
  if (t->rank == like->rank || node_poisoned(t)) return t;
  return op_sum_axes(t, 0, t->rank - like->rank, false);
}

static void matmul_grad(const node *n, tensor *const *dy) {
  const matmul_attr *attr = n->attr;
  tensor *a = n->inputs[0], *b = n->inputs[1], *dc = dy[0];
  bool ta = attr->transpose_a, tb = attr->transpose_b;
  if (grad_wanted(a))
    grad_add(a, sum_lead(ta ? op_matmul(b, dc, tb, true) : op_matmul(dc, b, false, !tb), a));
  if (!grad_wanted(b)) return;
  if (b->rank == 2 && !ta) { /* the batch is part of the sum: one product with a long inner axis */
    tensor *rows = flatten(a), *d = flatten(dc);
    grad_add(b, tb ? op_matmul(d, rows, true, false) : op_matmul(rows, d, true, false));
    return;
  }
  grad_add(b, sum_lead(tb ? op_matmul(dc, a, true, ta) : op_matmul(a, dc, !ta, false), b));
}

static garam_status matmul_prepare(void **state, const node *n, garam_error *err) {
  return product_prepare(state, n, matmul_gemm(n), err);
}

static double matmul_flops(const node *n) {
  gemm_shape s = matmul_gemm(n);
  return 2.0 * (double)s.m * (double)s.n * (double)s.k * (double)(s.batch > 1 ? s.batch : 1);
}

const op_record record_matmul = {.name = "matmul",
                                 .onnx = "MatMul",
                                 .shape = matmul_shape,
                                 .grad = matmul_grad,
                                 .prepare = matmul_prepare,
                                 .release = product_release,
                                 .scratch = product_scratch,
                                 .packed = product_packed,
                                 .pack = product_pack,
                                 .run = product_run,
                                 .flops = matmul_flops};

tensor *op_matmul(tensor *a, tensor *b, bool transpose_a, bool transpose_b) {
  return node_emit(&record_matmul, TENSORS(a, b), &(matmul_attr){transpose_a, transpose_b},
                   sizeof(matmul_attr));
}

/* ---- matmul_add: a, b, c -> c + a b, of c's shape; made by rewriting ---- */

static bool matmul_add_shape(node *n) {
  const tensor *c = n->inputs[2];
  return node_output(n, c->type, c->rank, c->dims);
}

static garam_status matmul_add_prepare(void **state, const node *n, garam_error *err) {
  gemm_shape s = matmul_gemm(n);
  s.beta = 1;
  return product_prepare(state, n, s, err);
}

static void matmul_add_run(const op_run *r) {
  if (r->out[0] != r->in[2])
    op_kernel(r)->copy(r->out[0], r->in[2], (size_t)r->node->outputs[0]->count);
  gemm_run(r->state, r->out[0], r->in[0], product_b(r), NULL, r->scratch);
}

const op_record record_matmul_add = {.name = "matmul_add",
                                     .in_place = 4,
                                     .shape = matmul_add_shape,
                                     .prepare = matmul_add_prepare,
                                     .release = product_release,
                                     .scratch = product_scratch,
                                     .packed = product_packed,
                                     .pack = product_pack,
                                     .run = matmul_add_run,
                                     .flops = matmul_flops};

/* ---- linear ---- */

static bool linear_shape(node *n) {
  const tensor *x = n->inputs[0], *w = n->inputs[1], *b = n->inputs[2];
  if (x->type == DTYPE_I32 || w->type == DTYPE_I32) return node_fail(n, "an operand holds int32");
  if (x->rank < 1 || w->rank != 2 || x->dims[x->rank - 1] != w->dims[0])
    return node_fail(n, "expected (...,I) (I,O)");
  if (b && (b->rank != 1 || b->dims[0] != w->dims[1]))
    return node_fail(n, "the bias is not of size (O)");
  int64_t dims[TENSOR_MAX_RANK];
  memcpy(dims, x->dims, sizeof dims);
  dims[x->rank - 1] = w->dims[1];
  return node_output(n, x->type, x->rank, dims);
}

static void linear_grad(const node *n, tensor *const *dy) {
  tensor *x = n->inputs[0], *w = n->inputs[1], *b = n->inputs[2];
  REQUIRE(((const linear_attr *)n->attr)->activation == KERNEL_IDENTITY,
          "op linear: gradient of a fused node");
  tensor *d = flatten(dy[0]);
  if (grad_wanted(x)) grad_add(x, op_reshape(op_matmul(d, w, false, true), x->rank, x->dims));
  if (grad_wanted(w)) grad_add(w, op_matmul(flatten(x), d, true, false));
  if (grad_wanted(b)) grad_add(b, op_sum(d, 0, false));
}

static gemm_shape linear_gemm(const node *n) {
  const tensor *x = n->inputs[0], *w = n->inputs[1];
  const linear_attr *a = n->attr;
  return (gemm_shape){.real_size = dtype_size(x->type),
                      .m = shape_product(x->dims, 0, x->rank - 1),
                      .n = w->dims[1],
                      .k = w->dims[0],
                      .bias = n->inputs[2] != NULL,
                      .activation = a->activation};
}

static garam_status linear_prepare(void **state, const node *n, garam_error *err) {
  return product_prepare(state, n, linear_gemm(n), err);
}

static double linear_flops(const node *n) {
  gemm_shape s = linear_gemm(n);
  return 2.0 * (double)s.m * (double)s.n * (double)s.k + (s.bias ? (double)(s.m * s.n) : 0.0);
}

const op_record record_linear = {.name = "linear",
                                 .onnx = "Gemm",
                                 .optional = 4,
                                 .shape = linear_shape,
                                 .grad = linear_grad,
                                 .prepare = linear_prepare,
                                 .release = product_release,
                                 .scratch = product_scratch,
                                 .packed = product_packed,
                                 .pack = product_pack,
                                 .run = product_run,
                                 .flops = linear_flops};

tensor *op_linear(tensor *x, tensor *w, tensor *b) {
  return node_emit(&record_linear, TENSORS(x, w, b), &(linear_attr){KERNEL_IDENTITY},
                   sizeof(linear_attr));
}
