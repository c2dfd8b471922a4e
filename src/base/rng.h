/* Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). A number is a pure function of (seed, stream, step,
 * index): nothing is stored, so dropout masks are regenerated, a resumed run draws the same
 * numbers, and any number of threads sees the same stream. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Streams, so that no two uses of one seed overlap. Add at the end. */
typedef enum rng_stream {
  RNG_INIT = 1,  /* weights */
  RNG_SHUFFLE,   /* order of mini-batches */
  RNG_DROPOUT,   /* + number of the node, see graph */
  RNG_BOOTSTRAP, /* resampling of rows */
  RNG_SIMULATE,  /* markets */
  RNG_SPLIT,     /* folds */
  RNG_AUDIT,     /* permutations in leak tests */
  RNG_TEST,
  RNG_ENSEMBLE,       /* seeds of members */
  RNG_FOREST,         /* rows and features of trees */
  RNG_ENV,            /* worlds: step is world << 32 | episode */
  RNG_EXPLORE,        /* noise of agents' actions */
  RNG_REPLAY,         /* which transitions are learnt from */
  RNG_OPPONENT,       /* which opponent is played */
  RNG_RUN,            /* seeds of the runs of an experiment, and of what judges them */
  RNG_NODE = 1 << 16, /* streams from here on are numbered by graph node */
} rng_stream;

/* Four 32-bit words for one counter. */
void rng_philox(uint32_t out[4], uint64_t seed, uint32_t stream, uint64_t step, uint32_t index);

/* A cursor over one stream, for code that draws in sequence. Its state is its position. */
typedef struct rng {
  uint64_t seed;
  uint32_t stream;
  uint64_t step;
  uint32_t index; /* of the next block */
  uint32_t block[4];
  uint32_t used; /* words of the block already taken; 4 means none left */
} rng;

void rng_init(rng *r, uint64_t seed, uint32_t stream, uint64_t step);
uint32_t rng_u32(rng *r);
uint64_t rng_u64(rng *r);
double rng_uniform(rng *r);                          /* [0, 1), 53 bits */
double rng_normal(rng *r);                           /* mean 0, deviation 1 (Box-Muller) */
uint64_t rng_below(rng *r, uint64_t bound);          /* [0, bound), without bias; bound > 0 */
void rng_shuffle(rng *r, uint32_t *items, size_t n); /* Fisher-Yates */

/* [0, 1) with 24 bits from one word. */
static inline float rng_unit_f32(uint32_t word) {
  return (float)(word >> 8) * 0x1p-24f;
}

#endif
