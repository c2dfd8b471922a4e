/* Matrix products: chooses who computes a shape, cuts long sums into fixed shards, and does what
 * the one who computes leaves undone (scale, bias, activation). */
#include "kernel/gemm.h"

#include "base/mem.h"
#include "base/thread.h"
#include "kernel/gemm_onednn.h"
#include "kernel/gemm_tiled.h"
#include "kernel/ref/shard.h"

#include <stdlib.h>
#include <string.h>
#include <threads.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { MAX_SHARDS = 16 };

struct gemm_plan {
  const char *backend;
  bool tiled; /* by our own kernels: only `product` is used */
  tiled_product product;
  gemm_shape shape; /* as asked, defaults filled in, a batch that is one product made one */
  gemm_shape inner; /* what a product computes: of one shard, without what `finish` does */
  const kernel_table *kernels;
  int n_shards;        /* 1: straight into C */
  int64_t shard_depth; /* k of each shard but the last */
  int64_t packed_ldb;  /* of b as it is given to gemm_pack */
  bool packed_transpose;
  bool finish; /* bias and activation remain to be done */
  int threads; /* that products[0] is prepared for; 0: our own loops */
  onednn_product *products[MAX_SHARDS];
  size_t part_bytes, part_scratch; /* of each shard */
};

/* Products with a small output and a long K do not fill the threads unless K is cut. oneDNN
 * cuts it by the number of threads; here the cut depends on the shape only. */
static int shards_of(const gemm_shape *s) {
  if (s->batch > 1 || s->k < 512) return 1;
  int64_t tiles = ((s->m + 47) / 48) * ((s->n + 63) / 64); /* of about what a thread takes */
  if (tiles >= 16 || s->k < 4 * (s->m > s->n ? s->m : s->n)) return 1;
  int64_t shards = s->k / 256;
  return (int)(shards < MAX_SHARDS ? shards : MAX_SHARDS);
}

static garam_status shape_complete(gemm_shape *s, garam_error *err) {
  if (s->real_size != sizeof(float) && s->real_size != sizeof(double))
    return fail(err, GARAM_INVALID, "product: real_size is %zu, expected 4 or 8", s->real_size);
  if (s->m < 1 || s->n < 1 || s->k < 1 || s->batch < 0)
    return fail(err, GARAM_INVALID, "product: %lld x %lld x %lld, expected sizes of at least 1",
                (long long)s->m, (long long)s->n, (long long)s->k);
  if (s->batch == 0) s->batch = 1;
  if (s->alpha == 0) s->alpha = 1;
  int64_t a_cols = s->transpose_a ? s->m : s->k, b_cols = s->transpose_b ? s->k : s->n;
  if (s->lda == 0) s->lda = a_cols;
  if (s->ldb == 0) s->ldb = b_cols;
  if (s->ldc == 0) s->ldc = s->n;
  if (s->lda < a_cols || s->ldb < b_cols || s->ldc < s->n)
    return fail(err, GARAM_INVALID, "product: rows of %lld, %lld, %lld items overlap",
                (long long)s->lda, (long long)s->ldb, (long long)s->ldc);
  if (s->format_a == GEMM_PACKED) return fail(err, GARAM_INVALID, "product: only b can be packed");
  if (s->real_size != sizeof(float) && (s->format_a == GEMM_BF16 || s->format_b == GEMM_BF16))
    return fail(err, GARAM_INVALID, "product: bf16 operands of a product of doubles");
  if (s->format_b == GEMM_PACKED && s->batch > 1 && s->stride_b != 0)
    return fail(err, GARAM_INVALID, "product: a packed b is one for the whole batch");
  if (s->batch > 1 && s->stride_c == 0)
    return fail(err, GARAM_INVALID, "product: a batch of %lld needs stride_c", (long long)s->batch);
  bool stacked = s->stride_b == 0 && !s->transpose_a && s->stride_a == s->m * s->lda &&
                 s->stride_c == s->m * s->ldc;
  if (s->batch > 1 && stacked) { /* the rows of all products are rows of one */
    s->m *= s->batch;
    s->batch = 1;
  }
  if (s->batch == 1) {
    s->stride_a = s->stride_b = 0;
    s->stride_c = s->m * s->ldc;
  }
  return GARAM_OK;
}

/* ---- who computes ---- */

enum { MAX_BACKENDS = 6 };

typedef struct backend {
  const char *name;
  const gemm_kernels *kernels; /* NULL: oneDNN */
} backend;

/* Of one precision: those of this machine, and the one that is used; -1: full precision instead. */
typedef struct backend_list {
  backend all[MAX_BACKENDS];
  int n, chosen;
  bool asked; /* for the one that is chosen */
} backend_list;

static backend_list backends[2]; /* by gemm_precision; the second may be empty */
static once_flag backends_once = ONCE_FLAG_INIT;

static void backend_add(backend_list *list, const char *name, const gemm_kernels *kernels) {
  list->all[list->n++] = (backend){name, kernels};
}

#if defined(__x86_64__)
/* Asked of the processor itself: not every compiler that we build with knows these by name. The
 * operating system keeps the registers wherever the level "avx512" is in use. */
static bool has_avx512_half(bool bf16) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, bf16, &a, &b, &c, &d)) return false;
  return bf16 ? a >> 5 & 1 : d >> 23 & 1;
}

static bool made_by_amd(void) {
  unsigned highest = 0, name[3] = {0};
  return __get_cpuid(0, &highest, &name[0], &name[2], &name[1]) &&
         memcmp(name, "AuthenticAMD", sizeof name) == 0;
}

/* Which instruction is fast is a matter of who made the processor: by the published rates vdpbf16ps
 * does twice the work of an fp32 multiply-add on AMD's (Zen 4 and 5); on an Intel with AVX512-FP16
 * it does half and fp16 twice, which we measured. By model, and not by a measurement at the start:
 * so the bits of a product are the same on every start. */
static void backends_find_half(backend_list *list) {
  if (has_avx512_half(true)) {
    if (made_by_amd()) list->chosen = list->n;
    backend_add(list, "avx512-bf16", gemm_kernels_avx512bf16());
  }
  if (has_avx512_half(false)) {
    if (list->chosen < 0) list->chosen = list->n;
    backend_add(list, "avx512-fp16", gemm_kernels_avx512fp16());
  }
}
#endif

#if defined(GARAM_HAVE_ONEDNN)
/* With AVX2 oneDNN is a few percent faster than ours where all is large, and slower where it is
 * small; it cuts sums of any length by the number of threads, so that the bits would hang on it,
 * and allocates in every call. Its products for AVX-512 are not of that kind. The processor
 * decides, since oneDNN knows nothing of GARAM_ISA. */
static bool onednn_pays(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512f");
#else
  return true;
#endif
}
#endif

static void backends_find(void) {
  backend_list *full = &backends[GEMM_FULL];
  backends[GEMM_HALF].chosen = -1;
  backend_add(full, "ref", gemm_kernels_ref());
#if defined(__x86_64__)
  const char *isa = kernel_isa();
  if (strcmp(isa, "ref") != 0) backend_add(full, "avx2", gemm_kernels_avx2());
  if (strcmp(isa, "avx512") == 0) {
    backend_add(full, "avx512", gemm_kernels_avx512());
    backends_find_half(&backends[GEMM_HALF]);
  }
#endif
  full->chosen = full->n - 1; /* ours, unless oneDNN is there and pays */
#if defined(GARAM_HAVE_ONEDNN)
  if (onednn_pays()) full->chosen = full->n;
  backend_add(full, "onednn", NULL);
#endif
  const char *asked = getenv("GARAM_GEMM");
  for (int p = 0; p < 2; p++)
    for (int i = 0; asked && i < backends[p].n; i++)
      if (strcmp(asked, backends[p].all[i].name) == 0) {
        backends[p].chosen = i;
        backends[p].asked = true;
      }
}

static const backend_list *backends_of(gemm_precision precision) {
  call_once(&backends_once, backends_find);
  return &backends[precision];
}

const char *gemm_backend_at(int index, gemm_precision precision) {
  const backend_list *list = backends_of(precision);
  return index >= 0 && index < list->n ? list->all[index].name : NULL;
}

const char *gemm_backend(gemm_precision precision) {
  const backend_list *list = backends_of(precision);
  if (list->chosen < 0) list = backends_of(GEMM_FULL);
  const backend *b = &list->all[list->chosen];
#if defined(GARAM_HAVE_ONEDNN)
  if (!b->kernels) return onednn_version();
#endif
  return b->name;
}

#if defined(GARAM_HAVE_ONEDNN)
/* The most threads that oneDNN may have for a product without dividing its K among them: each
 * then has output enough. Measured; the test of thread counts walks shapes on both sides. */
static int threads_of(const gemm_shape *s) {
  int threads = thread_count();
  if (s->k < 512) return threads;
  int64_t most = s->m * s->n * s->batch / (128 * 256);
  return most < 1 ? 1 : most < threads ? (int)most : threads;
}

/* Prepares shape.k cut into n_shards; without oneDNN's help nothing is prepared. */
static garam_status prepare_onednn(gemm_plan *p, garam_error *err) {
  if (p->shape.real_size != sizeof(float)) return GARAM_OK;
  int threads = p->n_shards > 1 ? 1 : threads_of(&p->shape);
  for (int i = 0; i < p->n_shards; i++) {
    gemm_shape part = p->inner;
    if (i == p->n_shards - 1) part.k = p->shape.k - i * p->shard_depth;
    garam_status status = onednn_product_new(&p->products[i], &part, threads, err);
    if (status == GARAM_UNSUPPORTED) return GARAM_OK; /* our own loops do it */
    if (status != GARAM_OK) return status;
    size_t bytes = round_up(onednn_product_scratch(p->products[i]), 64);
    if (bytes > p->part_scratch) p->part_scratch = bytes;
  }
  p->threads = threads;
  return GARAM_OK;
}
#else
static garam_status prepare_onednn(gemm_plan *p, garam_error *err) {
  (void)p, (void)err;
  return GARAM_OK;
}
#endif

/* Strips of half precision are wide, and every operand has to be converted. By n and k only, so
 * that one packed operand serves every m. */
static bool half_pays(const gemm_shape *s) {
  return s->n >= 32 && s->k >= 32;
}

/* A product of floats by our own kernels: nothing more to prepare. */
static garam_status plan_tiled(gemm_plan **out, const gemm_shape *s, const gemm_kernels *kernels,
                               garam_error *err) {
  gemm_plan *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  p->backend = kernels->name;
  p->shape = *s;
  p->tiled = true;
  tiled_prepare(&p->product, s, kernels);
  *out = p;
  return GARAM_OK;
}

/* A product by oneDNN, or of doubles by the reference: cut into shards of k where it is long. */
static garam_status plan_whole(gemm_plan **out, gemm_shape s, garam_error *err) {
  if (s.format_a == GEMM_BF16 || s.format_b == GEMM_BF16)
    return fail(err, GARAM_UNSUPPORTED, "product: operands stored as bf16");
  gemm_plan *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  p->backend = s.real_size == sizeof(float) ? "onednn" : "double";
  p->packed_ldb = s.ldb;
  p->packed_transpose = s.transpose_b;
  if (s.format_b == GEMM_PACKED) { /* dense rows */
    s.transpose_b = false;
    s.ldb = s.n;
  }
  p->shape = p->inner = s;
  p->kernels = s.real_size == sizeof(float) ? kernel_table_f32() : kernel_table_f64();
  p->n_shards = shards_of(&s);
  p->shard_depth = s.k / p->n_shards;
  bool epilogue = s.bias || s.activation != KERNEL_IDENTITY;
  if (p->n_shards > 1) {
    p->inner.k = p->shard_depth;
    p->inner.ldc = s.n;
    p->inner.stride_c = s.m * s.n;
    p->inner.alpha = 1;
    p->inner.beta = 0;
    p->part_bytes = round_up((size_t)(s.m * s.n) * s.real_size, 64);
  }
  if (p->n_shards > 1 || (s.bias && s.alpha != 1)) {
    p->inner.bias = false;
    p->inner.activation = KERNEL_IDENTITY;
    p->finish = epilogue;
  }
  garam_status status = prepare_onednn(p, err);
  if (status != GARAM_OK) {
    gemm_plan_free(p);
    return status;
  }
  if (p->threads == 0 && s.real_size == sizeof(float)) {
    gemm_plan_free(p);
    return fail(err, GARAM_UNSUPPORTED, "product: oneDNN cannot do this one");
  }
  if (p->threads == 0) {
    p->finish = epilogue;
    p->part_scratch = round_up(p->kernels->product_scratch(s.m, s.n, s.batch), 64);
  }
  *out = p;
  return GARAM_OK;
}

static garam_status plan_by(gemm_plan **out, const gemm_shape *s, const backend *b,
                            garam_error *err) {
  return b->kernels ? plan_tiled(out, s, b->kernels, err) : plan_whole(out, *s, err);
}

garam_status gemm_plan_new_by(gemm_plan **out, const gemm_shape *shape, const char *name,
                              garam_error *err) {
  *out = NULL;
  gemm_shape s = *shape;
  TRY(shape_complete(&s, err));
  if (s.real_size == sizeof(double)) return plan_whole(out, s, err);
  const backend_list *list = backends_of(s.precision);
  for (int i = 0; i < list->n; i++)
    if (strcmp(name, list->all[i].name) == 0) return plan_by(out, &s, &list->all[i], err);
  return fail(err, GARAM_UNSUPPORTED, "product: there is no backend '%s' here", name);
}

/* The strongest of our own kernels, which do every shape. */
static const backend *backend_own(const backend_list *list) {
  int best = list->n - 1;
  while (!list->all[best].kernels) best--;
  return &list->all[best];
}

/* Measured with AVX-512: oneDNN is a few percent ahead where both operands are large, and takes up
 * to three times as long for a few rows, which it does not take in one go. A packed operand is ours
 * for every m, so that one buffer serves all. */
static bool own_pays(const gemm_shape *s) {
  return s->format_b == GEMM_PACKED || (s->m <= 14 && !s->transpose_a && !s->transpose_b);
}

garam_status gemm_plan_new(gemm_plan **out, const gemm_shape *shape, garam_error *err) {
  *out = NULL;
  gemm_shape s = *shape;
  TRY(shape_complete(&s, err));
  if (s.real_size == sizeof(double)) return plan_whole(out, s, err);
  const backend_list *list = backends_of(s.precision);
  if (list->chosen < 0 || (s.precision == GEMM_HALF && !half_pays(&s)))
    list = backends_of(GEMM_FULL);
  const backend *by = &list->all[list->chosen];
  if (!by->kernels && !list->asked && own_pays(&s)) by = backend_own(list);
  garam_status status = plan_by(out, &s, by, err);
  if (status == GARAM_UNSUPPORTED && !by->kernels)
    status = plan_by(out, &s, backend_own(list), err); /* what oneDNN refuses */
  return status;
}

const char *gemm_plan_backend(const gemm_plan *p) {
  return p->backend;
}

void gemm_plan_free(gemm_plan *p) {
  if (!p) return;
#if defined(GARAM_HAVE_ONEDNN)
  for (int i = 0; i < MAX_SHARDS; i++) onednn_product_free(p->products[i]);
#endif
  mem_free(p);
}

size_t gemm_scratch(const gemm_plan *p) {
  if (p->tiled) return tiled_scratch(&p->product);
  size_t n = (size_t)p->n_shards;
  return n * p->part_scratch + (n > 1 ? (n + 1) * p->part_bytes : 0);
}

size_t gemm_pack_bytes(const gemm_plan *p) {
  const gemm_shape *s = &p->shape;
  if (s->format_b != GEMM_PACKED) return 0;
  if (p->tiled) return tiled_pack_bytes(&p->product);
  return round_up((size_t)(s->k * s->n) * s->real_size, 64);
}

void gemm_pack(const gemm_plan *p, void *packed, const void *b, gemm_format format) {
  const gemm_shape *s = &p->shape;
  REQUIRE(s->format_b == GEMM_PACKED, "gemm_pack: the plan's b is not packed");
  if (p->tiled) {
    tiled_pack(&p->product, packed, b, format);
    return;
  }
  REQUIRE(format == GEMM_REAL, "gemm_pack: b is not of the real type");
  if (p->packed_transpose) {
    int64_t dims[] = {s->n, p->packed_ldb};
    int axes[] = {1, 0};
    REQUIRE(p->packed_ldb == s->k, "gemm_pack: rows of a transposed b are not dense");
    p->kernels->permute(packed, b, 2, dims, axes);
  } else {
    p->kernels->copy_rows(packed, s->n, b, p->packed_ldb, (size_t)s->k, (size_t)s->n);
  }
}

double gemm_flops(const gemm_plan *p) {
  const gemm_shape *s = &p->shape;
  return 2.0 * (double)s->m * (double)s->n * (double)s->k * (double)s->batch;
}

static const char *at(const void *base, int64_t items, size_t size) {
  return (const char *)base + items * (int64_t)size;
}

/* Shard i of the sum over k, into c. */
static void part_run(gemm_plan *p, int i, void *c, const void *a, const void *b, const void *bias,
                     void *scratch) {
  const gemm_shape *s = &p->inner;
  int64_t from = i * p->shard_depth, depth = p->shard_depth;
  if (i == p->n_shards - 1) depth = p->shape.k - from;
  const void *ai = at(a, s->transpose_a ? from * s->lda : from, s->real_size);
  const void *bi = at(b, s->transpose_b ? from : from * s->ldb, s->real_size);
#if defined(GARAM_HAVE_ONEDNN)
  if (p->threads > 0) {
    onednn_product_run(p->products[i], c, ai, bi, bias, scratch);
    return;
  }
#endif
  (void)bias;
  kernel_product whole = {
      .m = s->m,
      .n = s->n,
      .k = depth,
      .batch = s->batch,
      .a_rows = s->transpose_a ? 1 : s->lda,
      .a_cols = s->transpose_a ? s->lda : 1,
      .a_batch = s->stride_a,
      .b_rows = s->transpose_b ? 1 : s->ldb,
      .b_cols = s->transpose_b ? s->ldb : 1,
      .b_batch = s->stride_b,
      .c_rows = s->ldc,
      .c_batch = s->stride_c,
      .alpha = s->alpha,
      .beta = s->beta,
  };
  p->kernels->product(c, ai, bi, &whole, scratch);
}

/* C = alpha sum of parts + beta C */
static void parts_add(const gemm_plan *p, void *c, void *sum, const void *parts) {
  const kernel_table *k = p->kernels;
  const gemm_shape *s = &p->shape;
  size_t items = (size_t)(s->m * s->n), apart = p->part_bytes / s->real_size;
  bool straight = s->ldc == s->n && s->beta == 0 && s->alpha == 1;
  /* parts lie a whole number of cache lines apart: their padding is summed with them */
  if (straight && apart == items) {
    k->reduce(KERNEL_SUM, c, parts, 1, (size_t)p->n_shards, apart);
    return;
  }
  k->reduce(KERNEL_SUM, sum, parts, 1, (size_t)p->n_shards, apart);
  for (int64_t r = 0; r < s->m; r++) {
    char *row = (char *)c + r * s->ldc * (int64_t)s->real_size;
    const void *from = at(sum, r * s->n, s->real_size);
    if (s->beta == 0) {
      k->unary(KERNEL_SCALE, row, from, (size_t)s->n, s->alpha, 0);
    } else {
      if (s->beta != 1) k->unary(KERNEL_SCALE, row, row, (size_t)s->n, s->beta, 0);
      k->add_scaled(row, from, s->alpha, (size_t)s->n);
    }
  }
}

static void finish(const gemm_plan *p, void *c, const void *bias) {
  const gemm_shape *s = &p->shape;
  bool dense = s->ldc == s->n, stacked = dense && s->stride_c == s->m * s->n;
  size_t rows = stacked ? (size_t)(s->m * s->batch) : dense ? (size_t)s->m : 1;
  int64_t products = stacked ? 1 : s->batch, strips = dense ? 1 : s->m;
  for (int64_t i = 0; i < products; i++)
    for (int64_t r = 0; r < strips; r++) {
      char *from = (char *)c + (i * s->stride_c + r * s->ldc) * (int64_t)s->real_size;
      p->kernels->activation(s->activation, from, from, s->bias ? bias : NULL, rows, (size_t)s->n,
                             NULL);
    }
}

void gemm_run(gemm_plan *p, void *c, const void *a, const void *b, const void *bias,
              void *scratch) {
  if (p->tiled) {
    tiled_run(&p->product, c, a, b, bias, scratch);
    return;
  }
  if (p->n_shards == 1) {
    part_run(p, 0, c, a, b, bias, scratch);
  } else {
    char *sum = scratch, *parts = sum + p->part_bytes,
         *rest = parts + (size_t)p->n_shards * p->part_bytes;
    const gemm_shape *s = &p->shape;
    size_t items = (size_t)(s->m * s->n);
    THREADS(items * (size_t)s->k / 8, for (int i = 0; i < p->n_shards; i++), {
      char *part = parts + (size_t)i * p->part_bytes;
      part_run(p, i, part, a, b, NULL, rest + (size_t)i * p->part_scratch);
      for (size_t pad = items * s->real_size; pad < p->part_bytes; pad++) part[pad] = 0;
    });
    parts_add(p, c, sum, parts);
  }
  if (p->finish) finish(p, c, bias);
}
