/* The map of this room: every numeric kernel, as one table of functions for float and one for
 * double. Raw pointers and strides only; nothing here knows of tensors.
 *
 *   const kernel_table *k = kernel_table_f32();
 *   k->layer_norm(y, x, gain, bias, mean, rstd, rows, cols, 1e-5);
 *
 * Arrays of the table's real type are passed as void pointers (float * for kernel_table_f32,
 * double * for kernel_table_f64), so that one walk over a program serves both; scalars are
 * double. Matrices are row-major and dense unless a stride is named; counts are in items.
 *
 * Promises that hold for every kernel:
 *   - no allocation and no error: shapes are checked by the caller when a program is built;
 *   - the same bits for any number of threads; kernels thread inside, small work stays on one
 *     thread, and inside a parallel region they run serially;
 *   - an output does not overlap an input unless "in place" is said;
 *   - outputs are overwritten, never added to;
 *   - `scratch` is 64-byte aligned memory of the size that the *_scratch function gives (0: it may
 *     be NULL); its content means nothing before or after.
 * Different instruction sets agree within rounding; masks of dropout agree to the bit.
 *
 * Products are in gemm.h, convolution in conv.h, recurrent nets in rnn.h. */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_MAX_RANK 5

/* ---- the words of the table ---- */

typedef enum kernel_binary_op {
  KERNEL_ADD,
  KERNEL_SUB,
  KERNEL_MUL,
  KERNEL_DIV,
  KERNEL_MAXIMUM,
  KERNEL_MINIMUM,
  KERNEL_GREATER,       /* a > b ? 1 : 0 */
  KERNEL_GREATER_EQUAL, /* a >= b ? 1 : 0 */
  KERNEL_N_BINARY
} kernel_binary_op;

typedef enum kernel_unary_op {
  KERNEL_IDENTITY,
  KERNEL_NEG,
  KERNEL_EXP,
  KERNEL_LOG,
  KERNEL_SQRT,
  KERNEL_SQUARE,
  KERNEL_ABS,
  KERNEL_RELU,
  KERNEL_GELU, /* x Phi(x), by erf (Hendrycks & Gimpel 2016) */
  KERNEL_SILU,
  KERNEL_TANH,
  KERNEL_SIGMOID,
  KERNEL_SOFTPLUS,
  KERNEL_CLAMP, /* to [p0, p1] */
  KERNEL_SCALE, /* x * p0 + p1 */
  KERNEL_N_UNARY
} kernel_unary_op;

/* What unary_backward reads of an op: an array that is not needed may be NULL. */
enum { KERNEL_NEEDS_X = 1, KERNEL_NEEDS_Y = 2 };
int kernel_unary_needs(kernel_unary_op op);

typedef enum kernel_reduce_op { KERNEL_SUM, KERNEL_MEAN, KERNEL_MAX } kernel_reduce_op;

typedef enum kernel_loss_op {
  KERNEL_MSE,   /* (p - t)^2 */
  KERNEL_HUBER, /* |d| <= delta: d^2/2; else delta (|d| - delta/2) */
  KERNEL_BCE,   /* with logits: max(p,0) - p t + log(1 + exp(-|p|)) */
} kernel_loss_op;

/* Strides in items of an operand over the output's dims; 0 where it is broadcast. */
typedef struct kernel_broadcast {
  int rank;
  int64_t dims[KERNEL_MAX_RANK];
  int64_t a[KERNEL_MAX_RANK], b[KERNEL_MAX_RANK];
} kernel_broadcast;

/* Which elements are dropped is a pure function of this key and the element's index. A block of
 * rng_philox(seed, stream, step, first + index / 8) serves eight elements with 16 bits each, the
 * low half of word 0, its high half, the low half of word 1 and so on. Dropped is what has less
 * than d = round(rate * 2^16), kept values are multiplied by 1 / (1 - d / 2^16): the rate is held
 * to 1 / 131072, and the mean exactly. rate in [0, 1). */
enum { KERNEL_MASK_BLOCK = 8 };
typedef struct kernel_dropout {
  double rate;
  uint64_t seed;
  uint32_t stream;
  uint64_t step;
  uint64_t first; /* where a part of a larger array begins in it */
} kernel_dropout;
static inline uint64_t kernel_mask_blocks(uint64_t n) { /* that n elements take, from a whole one */
  return (n + KERNEL_MASK_BLOCK - 1) / KERNEL_MASK_BLOCK;
}

/* Scaled dot-product attention, all heads (Vaswani et al. 2017, eq. 1). Query i of batch b reads
 * key j where j >= key_begin[b], and, with p = i + offset:
 *   causal: j <= p, and with a window also j > p - window;
 *   not causal, with a window: |p - j| < window.
 * Head h is the columns [h*head, (h+1)*head) of a row. Row strides allow q, k, v to be parts of
 * one projection: row t of batch b lies at q + (b*T + t) * q_stride. A query without keys gives
 * zeros. Dropout's index is ((b*H + h)*T + i) * round_up(S, KERNEL_MASK_BLOCK) + j, on the weights.
 */
typedef struct kernel_attention {
  int64_t batch, queries, keys, heads, head; /* B, T, S, H, columns of a head */
  int64_t q_stride, k_stride, v_stride;      /* 0: heads * head */
  int64_t out_stride;                        /* of out and its gradient */
  int64_t dq_stride, dk_stride, dv_stride;   /* of the gradients */
  double scale;
  bool causal;
  int64_t window;           /* 0: none */
  int64_t offset;           /* position of query 0 among the keys; 0 in training */
  const int32_t *key_begin; /* (B) or NULL */
  kernel_dropout dropout;   /* rate 0: none */
} kernel_attention;

/* C = alpha A B + beta C over a batch; A (m,k) and B (k,n) with any strides in items, so that a
 * transpose is a matter of strides; rows of C are dense. With beta 0 the old C is not read. */
typedef struct kernel_product {
  int64_t m, n, k, batch;
  int64_t a_rows, a_cols, a_batch; /* from a row, a column, a product to the next */
  int64_t b_rows, b_cols, b_batch;
  int64_t c_rows, c_batch;
  double alpha, beta;
} kernel_product;

typedef struct kernel_range {
  size_t begin, end; /* items of the flat block, half open */
} kernel_range;

/* AdamW (Loshchilov & Hutter 2019, algorithm 2, PyTorch's form):
 *   g = clip * grad; m = beta1 m + (1-beta1) g; v = beta2 v + (1-beta2) g^2
 *   p -= lr * (m / (1-beta1^t) / (sqrt(v / (1-beta2^t)) + epsilon) + decay p) */
typedef struct kernel_adamw {
  double lr, beta1, beta2, epsilon, decay;
  double clip;                 /* factor for every gradient (clipping, mean of parts); 1: none */
  uint64_t t;                  /* number of this step, from 1 */
  const kernel_range *decayed; /* ascending, apart; where decay applies */
  size_t n_decayed;
} kernel_adamw;

/* Numbers in 8 bits and one scale for each KERNEL_BLOCK8 of them, by dynamic exponents: decades,
 * and in each, twice as many steps as in the one below (Dettmers, Lewis, Shleifer & Zettlemoyer
 * 2022, "8-bit optimizers via block-wise quantization", section 1.3). The largest of a block is
 * exact. All bytes zero: zeros. */
enum { KERNEL_BLOCK8 = 256 };
typedef enum kernel_map8 {
  KERNEL_SIGNED8,   /* 7 decades, an error of at most 0.36 % of the block's largest */
  KERNEL_UNSIGNED8, /* 8 decades, 0.18 %; what is above zero stays so */
} kernel_map8;
typedef struct kernel_numbers8 {
  uint8_t *codes; /* (n) */
  float *scales;  /* (kernel_scales8(n)) */
} kernel_numbers8;
static inline size_t kernel_scales8(size_t n) {
  return (n + KERNEL_BLOCK8 - 1) / KERNEL_BLOCK8;
}

/* v = momentum v + clip grad + decay p; p -= lr v. */
typedef struct kernel_sgd {
  double lr, momentum, decay, clip;
  const kernel_range *decayed;
  size_t n_decayed;
} kernel_sgd;

/* ---- the table ---- */

typedef struct kernel_table {
  const char *isa;  /* "ref", "avx2", "avx512", "neon" */
  size_t real_size; /* sizeof(float) or sizeof(double) */

  /* memory */
  void (*fill)(void *y, double value, size_t n);
  void (*copy)(void *y, const void *x, size_t n);
  /* rows of `cols` items between strided places: slice, concat and their gradients */
  void (*copy_rows)(void *y, int64_t y_stride, const void *x, int64_t x_stride, size_t rows,
                    size_t cols);
  /* y is x with its axes permuted: y.dims[i] = x dims[axes[i]] */
  void (*permute)(void *y, const void *x, int rank, const int64_t *dims, const int *axes);

  /* arithmetic. binary: out is dense over dims; in place on an operand that is not broadcast. */
  void (*binary)(kernel_binary_op op, void *out, const void *a, const void *b,
                 const kernel_broadcast *shape);
  void (*add_scaled)(void *y, const void *x, double alpha, size_t n); /* y += alpha x */
  /* in place: y may be x; dx may be dy */
  void (*unary)(kernel_unary_op op, void *y, const void *x, size_t n, double p0, double p1);
  void (*unary_backward)(kernel_unary_op op, void *dx, const void *dy, const void *x, const void *y,
                         size_t n, double p0, double p1);

  /* reductions of (outer, n, inner) over n, to (outer, inner). The gradient of a sum is
   * expand with factor 1, of a mean with 1/n; of a maximum it goes to the first one. */
  void (*reduce)(kernel_reduce_op op, void *y, const void *x, size_t outer, size_t n, size_t inner);
  void (*expand)(void *y, const void *x, double factor, size_t outer, size_t n, size_t inner);
  void (*max_backward)(void *dx, const void *dy, const void *x, size_t outer, size_t n,
                       size_t inner);
  void (*column_sum)(void *y, const void *x, size_t rows, size_t cols); /* bias gradient */
  double (*sum_squares)(const void *x, size_t n); /* in double; NaN or Inf show through */

  /* rows of a table. An index outside [0, n_rows) gives zeros and receives no gradient. */
  void (*gather)(void *y, const void *table, const int32_t *index, size_t n, size_t n_rows,
                 size_t cols);
  void (*scatter)(void *dtable, const void *dy, const int32_t *index, size_t n, size_t n_rows,
                  size_t cols);

  /* norms of rows. mean and rstd (rows) are kept for the gradient; both may be NULL. gain and
   * bias (cols) may be NULL, and dgain and dbias; dx may be dy. */
  void (*layer_norm)(void *y, const void *x, const void *gain, const void *bias, void *mean,
                     void *rstd, size_t rows, size_t cols, double epsilon);
  size_t (*layer_norm_scratch)(size_t rows, size_t cols); /* of either backward */
  void (*layer_norm_backward)(void *dx, void *dgain, void *dbias, const void *dy, const void *x,
                              const void *gain, const void *mean, const void *rstd, size_t rows,
                              size_t cols, void *scratch);
  /* a residual and its norm in one pass: sum = residual + dropout(x), y = layer_norm(sum); key
   * NULL: no dropout. sum may be x or residual. Backward, from dy of y: dsum = add + the norm's
   * gradient (add NULL: zero), dx = dropout(dsum), dxbias the column sums of dx; without a key dx
   * is dsum, and not written. dgain, dbias and dxbias may be NULL; dsum may be dy or add. */
  void (*residual_norm)(void *sum, void *y, const void *x, const void *residual, const void *gain,
                        const void *bias, void *mean, void *rstd, size_t rows, size_t cols,
                        double epsilon, const kernel_dropout *key);
  size_t (*residual_norm_scratch)(size_t rows, size_t cols); /* of backward */
  void (*residual_norm_backward)(void *dsum, void *dx, void *dgain, void *dbias, void *dxbias,
                                 const void *dy, const void *add, const void *sum, const void *gain,
                                 const void *mean, const void *rstd, size_t rows, size_t cols,
                                 const kernel_dropout *key, void *scratch);
  void (*rms_norm)(void *y, const void *x, const void *gain, void *rstd, size_t rows, size_t cols,
                   double epsilon);
  void (*rms_norm_backward)(void *dx, void *dgain, const void *dy, const void *x, const void *gain,
                            const void *rstd, size_t rows, size_t cols, void *scratch);

  /* softmax of rows; in place everywhere. Backward takes the output y. */
  void (*softmax)(void *y, const void *x, size_t rows, size_t cols);
  void (*softmax_backward)(void *dx, const void *dy, const void *y, size_t rows, size_t cols);
  void (*log_softmax)(void *y, const void *x, size_t rows, size_t cols);
  void (*log_softmax_backward)(void *dx, const void *dy, const void *y, size_t rows, size_t cols);

  /* dropout; its gradient is dropout of dy with the same key. dropout_add: y = residual +
   * dropout(x). In place on any operand. */
  void (*dropout)(void *y, const void *x, size_t n, const kernel_dropout *key);
  void (*dropout_add)(void *y, const void *x, const void *residual, size_t n,
                      const kernel_dropout *key);

  /* y = dropout(op(x + bias)) in one pass, x (rows, cols); bias (cols) and key may be NULL.
   * Backward: dx = op'(x + bias) * dropout(dy), dbias = its column sums or NULL. In place: y may
   * be x, dx may be dy. For relu x may be the output y as well (pass bias NULL then). */
  void (*activation)(kernel_unary_op op, void *y, const void *x, const void *bias, size_t rows,
                     size_t cols, const kernel_dropout *key);
  size_t (*activation_scratch)(size_t rows, size_t cols);
  void (*activation_backward)(kernel_unary_op op, void *dx, void *dbias, const void *dy,
                              const void *x, const void *bias, size_t rows, size_t cols,
                              const kernel_dropout *key, void *scratch);

  /* The same for y = dropout(relu(.)) from y alone: what was dropped is zero there, so no mask is
   * drawn. key NULL: no dropout. scratch: activation_scratch. In place: dx may be dy. */
  void (*relu_backward)(void *dx, void *dbias, const void *dy, const void *y, size_t rows,
                        size_t cols, const kernel_dropout *key, void *scratch);

  /* attention as one kernel. lse (B,H,T) is kept for the gradient, -inf for a query without
   * keys; no (T,S) tensor is made. Blocks that masks leave out cost nothing. */
  size_t (*attention_scratch)(const kernel_attention *a); /* forward */
  void (*attention)(void *out, void *lse, const void *q, const void *k, const void *v,
                    const kernel_attention *a, void *scratch);
  size_t (*attention_backward_scratch)(const kernel_attention *a);
  void (*attention_backward)(void *dq, void *dk, void *dv, const void *dout, const void *q,
                             const void *k, const void *v, const void *out, const void *lse,
                             const kernel_attention *a, void *scratch);

  /* y (B,C) = mean over steps begin[b] <= t < T of x (B,T,C); begin NULL: all; none left: 0. */
  void (*masked_mean)(void *y, const void *x, const int32_t *begin, size_t batch, size_t steps,
                      size_t cols);
  void (*masked_mean_backward)(void *dx, const void *dy, const int32_t *begin, size_t batch,
                               size_t steps, size_t cols);
  /* y (B,C) = x[b][index[b]]; index NULL: the last step; outside [0, T): zeros. */
  void (*take_step)(void *y, const void *x, const int32_t *index, size_t batch, size_t steps,
                    size_t cols);
  void (*take_step_backward)(void *dx, const void *dy, const int32_t *index, size_t batch,
                             size_t steps, size_t cols);

  /* losses: means over rows weighted by weight (rows) or NULL; a total weight of 0 gives 0.
   * Backward multiplies by dloss, one item. dlogits may be logits, dprediction prediction.
   * cross_entropy keeps stat (rows + 1): log-sum-exp of each row, then the total weight. A target
   * outside [0, cols) leaves the row out. */
  void (*cross_entropy)(void *loss, void *stat, const void *logits, const int32_t *target,
                        const void *weight, size_t rows, size_t cols, double smoothing);
  void (*cross_entropy_backward)(void *dlogits, const void *dloss, const void *stat,
                                 const void *logits, const int32_t *target, const void *weight,
                                 size_t rows, size_t cols, double smoothing);
  /* weight is one a row; each row's loss is the mean over its columns. */
  void (*loss)(kernel_loss_op op, void *loss, const void *prediction, const void *target,
               const void *weight, size_t rows, size_t cols, double delta);
  void (*loss_backward)(kernel_loss_op op, void *dprediction, const void *dloss,
                        const void *prediction, const void *target, const void *weight, size_t rows,
                        size_t cols, double delta);

  /* products without oneDNN; gemm.h is the door to both */
  size_t (*product_scratch)(int64_t m, int64_t n, int64_t batch);
  void (*product)(void *c, const void *a, const void *b, const kernel_product *p, void *scratch);

  /* gates of recurrent nets, one step of `batch` rows; rnn.h drives them. Strides are between
   * rows. lstm: gates (4H: i f g o) hold sums on entry and activated gates on return. */
  void (*lstm_step)(void *h, int64_t h_stride, void *c, int64_t c_stride, void *gates,
                    int64_t gates_stride, const void *c_before, int64_t c_before_stride,
                    size_t batch, size_t hidden);
  /* dgates from dh and dc (batch,hidden; dc is updated to the step before). */
  void (*lstm_step_backward)(void *dgates, int64_t gates_stride, void *dc, const void *dh,
                             const void *gates, const void *c, int64_t c_stride,
                             const void *c_before, int64_t c_before_stride, size_t batch,
                             size_t hidden);
  /* gru: gates (3H: r z n) hold x W + b on entry, activated gates on return; hu (batch, 3H dense)
   * holds h U + bu; its n part is kept in hn (H wide) for the gradient. */
  void (*gru_step)(void *h, int64_t h_stride, void *gates, int64_t gates_stride, void *hn,
                   int64_t hn_stride, const void *hu, const void *h_before, int64_t h_before_stride,
                   size_t batch, size_t hidden);
  /* dgates: for x W + b; dhu (batch, 3H; stride gates_stride): for h U + bu; dh (batch,hidden)
   * becomes the direct part dh * z of the step before. */
  void (*gru_step_backward)(void *dgates, void *dhu, int64_t gates_stride, void *dh,
                            const void *gates, const void *hn, int64_t hn_stride,
                            const void *h_before, int64_t h_before_stride, size_t batch,
                            size_t hidden);

  /* optimisers: one pass over flat blocks. velocity may be NULL when momentum is 0. */
  void (*adamw)(void *p, void *m, void *v, const void *grad, size_t n, const kernel_adamw *c);
  void (*sgd)(void *p, void *velocity, const void *grad, size_t n, const kernel_sgd *c);
  /* the same step with moments of 2 bytes an item instead of 8; m KERNEL_SIGNED8, v
   * KERNEL_UNSIGNED8. The same bits at every level of a real type. */
  void (*adamw8)(void *p, const kernel_numbers8 *m, const kernel_numbers8 *v, const void *grad,
                 size_t n, const kernel_adamw *c);
  void (*encode8)(const kernel_numbers8 *y, const void *x, size_t n, kernel_map8 map);
  void (*decode8)(void *y, const kernel_numbers8 *x, size_t n, kernel_map8 map);
  void (*blend)(void *y, const void *x, double tau, size_t n); /* y += tau (x - y): soft targets */
} kernel_table;

/* The best that this machine has, chosen once; the environment's GARAM_ISA=ref|avx2|avx512|neon
 * asks for a lower one. */
const kernel_table *kernel_table_f32(void);
const kernel_table *kernel_table_f64(void);
/* The floats' table for half precision (gemm.h): where products are rounded to bf16 because this
 * processor is faster so, attention's are too; all else, and all elsewhere, is kernel_table_f32's.
 * What forward kept is for the same table's backward. */
const kernel_table *kernel_table_half(void);

/* Every level of this machine, for tests: NULL past the last. Level 0 is ref. */
const kernel_table *kernel_table_level(int level, size_t real_size);
const char *kernel_isa(void);

/* What this machine can do, by measuring (each takes about a second): the best of several fp32
 * products of 1024 cubed, in FLOP/s; and reading plus writing of large arrays, in bytes/s. */
double kernel_peak_flops(void);
double kernel_peak_bandwidth(void);

/* Operations a second of multiply-adds between registers, on all threads, by what the operands are;
 * 0 where the processor (or its level in use) has none. */
typedef enum kernel_peak_kind {
  KERNEL_PEAK_FP32,
  KERNEL_PEAK_FP16,
  KERNEL_PEAK_BF16,
  KERNEL_PEAK_INT8
} kernel_peak_kind;
double kernel_peak_registers(kernel_peak_kind kind);

/* What products of one layer of a transformer reach, in FLOP/s: ours in full and in half precision
 * with packed weights, and oneDNN's in full; 0 where there is none. Fills up to `most` rows (there
 * are KERNEL_PEAK_PRODUCTS) and says how many; takes a few seconds. */
typedef struct kernel_peak_product {
  const char *name;
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  double full, half, onednn;
} kernel_peak_product;
enum { KERNEL_PEAK_PRODUCTS = 12 };
int kernel_peak_products(kernel_peak_product *rows, int most);

#endif
