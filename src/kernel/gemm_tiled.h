/* Our own products of floats: packed operands and a kernel that keeps a tile of C in registers
 * (Goto & van de Geijn 2008; Van Zee & van de Geijn 2015). Used by gemm.c only.
 *
 * An element of C is a function of its row of A, its column of B and k alone: k is walked in blocks
 * of `depth`, each summed by itself in order, and the blocks are added in order. So the bits depend
 * neither on m and n, nor on the threads, nor on how the work is cut for them. */
#ifndef KERNEL_GEMM_TILED_H
#define KERNEL_GEMM_TILED_H

#include "kernel/gemm.h"

/* What is done with the sums of a tile on their way to C. */
typedef struct gemm_put {
  float alpha, beta; /* c = alpha sum + beta c; with beta 0 the old c is not read */
  const float *row_scale, *col_scale; /* of scaled sums; else NULL */
  const float *bias;                  /* of the tile's columns, or NULL */
  kernel_unary_op activation;
} gemm_put;

/* What will be packed next, and is asked for while tiles are summed: lines of `bytes` each. */
typedef struct gemm_ahead {
  const char *at;
  int64_t lines, apart, bytes; /* lines that are left; bytes from one to the next */
  int64_t done;                /* bytes of the line at `at` */
} gemm_ahead;

/* Rows of A and lines of B, one block of k. Where the step is 2, a pair is an item. */
typedef struct gemm_lines {
  const float *a, *b;
  int64_t a_across, a_along; /* items from a row to the next, and from one of k to the next */
  int64_t a_tile;            /* from the first row of a tile to that of the next */
  int64_t b_rows;            /* from a line to the next */
  int64_t depth;
  gemm_ahead *ahead; /* or NULL */
} gemm_lines;

/* How operands are packed and tiles computed: one record for each instruction set and precision.
 *
 * A strip of B is packed as lines of k: [depth][width]. With a step of 2, two lines that follow
 * each other are one of pairs, [depth / 2][width][2], and so are rows that stand beside each other.
 * A panel of A is packed in pieces of `block` of k, either so that an item's rows stand beside each
 * other, [block][rows], or as its rows lie in memory, [rows][block]; which of them is cheaper to
 * make depends on how A lies, and tiles take both. */
typedef struct gemm_kernels {
  const char *name;
  int rows, cols;        /* of a full tile */
  int lanes;             /* a strip of B is as wide as a multiple of this */
  int step;              /* k of a packed block is a multiple of this (zeros behind) */
  int block;             /* k of a piece of a strip of B that lies in the first cache */
  int depth;             /* k of a block that is summed by itself; a multiple of `block` */
  int panels;            /* of `rows` rows: their packed block of A lies in the second cache */
  size_t a_size, b_size; /* bytes of a packed item */
  bool scaled;           /* items are divided by a power of two for each row of A, column of B */

  /* n rows (columns) of `depth` items, `across` and `along` items apart, one of which is 1;
   * scale[0..n) when scaled. pack_a makes panels, panel_bytes apart, as rows lie where along is 1;
   * pack_b one strip, columns past n zeros. */
  void (*pack_a)(void *out, size_t panel_bytes, float *scale, const void *x, int64_t across,
                 int64_t along, gemm_format format, int64_t n, int64_t depth);
  void (*pack_b)(void *out, float *scale, const void *x, int64_t across, int64_t along,
                 gemm_format format, int64_t n, int64_t depth, int64_t width);
  /* t[rows][width] = or += the product of a piece of a panel and lines of B, b_rows items apart;
   * a_lies: the panel is packed as its rows lie */
  void (*tile)(float *t, const void *a, bool a_lies, const void *b, int64_t b_rows, int64_t depth,
               int rows, int width, bool first);
  void (*put)(float *c, int64_t ldc, const float *t, int64_t t_rows, int rows, int cols,
              const gemm_put *how);
  /* tile and put at once, for a whole block of k, from an A that may lie anywhere (pairs: packed),
   * as many tiles one below the other as `rows` are; NULL: those two are needed. Where it stands,
   * `block` is `depth`. */
  void (*straight)(float *c, int64_t ldc, const gemm_lines *o, int64_t rows, int cols, int width,
                   const gemm_put *how);
} gemm_kernels;

/* In a tile every loop over rows and columns disappears, and of the loop along k each second turn:
 * where two threads share a core, instructions are what is scarce. */
#if defined(__clang__)
#define UNROLL_TILE _Pragma("unroll")
#define UNROLL_DEPTH _Pragma("clang loop unroll_count(2)")
#else
#define UNROLL_TILE _Pragma("GCC unroll 16")
#define UNROLL_DEPTH _Pragma("GCC unroll 2")
#endif

const gemm_kernels *gemm_kernels_ref(void);
#if defined(__x86_64__)
const gemm_kernels *gemm_kernels_avx2(void);
const gemm_kernels *gemm_kernels_avx512(void);
const gemm_kernels *gemm_kernels_avx512bf16(void); /* in half precision, as is the next */
const gemm_kernels *gemm_kernels_avx512fp16(void);
#endif

typedef struct tiled_product {
  gemm_shape shape; /* defaults filled in */
  const gemm_kernels *kernels;
  bool in_place;    /* B is read where it lies */
  bool a_in_place;  /* and A */
  bool ahead;       /* all of B is packed first, in scratch, and then serves every task */
  int64_t padded;   /* n with the last strip's padding */
  int64_t n_blocks; /* of k */
  bool apart;       /* blocks of k are computed side by side and added afterwards */
  int64_t panels;   /* of a task at most */
  size_t lanes;     /* tasks that can run at a time */
  size_t a_bytes, tile_bytes, b_bytes, lane_bytes, sums_bytes, ahead_bytes; /* scratch */
} tiled_product;

void tiled_prepare(tiled_product *p, const gemm_shape *shape, const gemm_kernels *kernels);
size_t tiled_scratch(const tiled_product *p);
size_t tiled_pack_bytes(const tiled_product *p);
void tiled_pack(const tiled_product *p, void *packed, const void *b, gemm_format format);
void tiled_run(const tiled_product *p, float *c, const void *a, const void *b, const float *bias,
               void *scratch);

#endif
