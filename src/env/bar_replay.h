/* Replay of real bars: what a file becomes, and the world that walks it. For bar_replay.c,
 * bar_data.c and their tests. */
#ifndef ENV_BAR_REPLAY_H
#define ENV_BAR_REPLAY_H

#include "env/ledger.h"
#include "market/market.h"
#include "rl/env.h"

enum { BAR_MAX_ASSETS = 64, BAR_PATH = 160 };

typedef enum bar_part { BAR_TRAIN, BAR_TEST } bar_part;

typedef struct bar_config {
  char data[512], assets[256], features[128];
  char train_range[64], test_range[64];
  int part; /* bar_part */
  int window, length;
  double low, high, band, unit;
  cost_config costs;
} bar_config;

/* ---- bar_data.c: a file as arrays ------------------------------------------------------------ */

typedef struct bar_data {
  size_t n_rows, n_assets, n_features; /* features: of all assets together */
  char (*names)[64];                   /* (n_assets) */
  double *fill, *close;                /* (n_rows, n_assets): where a decision of the row before
                                          is filled; where wealth is marked */
  double *half, *half_end;             /* half a spread as a share, at the fill and at the close */
  float *x;                            /* (n_rows, n_features): known at the row's end, standardised
                                          by the training rows, within -5 and 5 */
  size_t begin[2], end[2];             /* of each bar_part: rows that may be used */
} bar_data;

/* Reads config->data (empty: a simulated market whose regimes can be learnt). */
garam_status bar_data_open(bar_data *out, const bar_config *config, garam_error *err);
void bar_data_close(bar_data *d);

/* ---- bar_replay.c -----------------------------------------------------------------------------
 */

typedef struct bar_model {
  bar_config c;
  bar_data data;
  int bits, steps; /* steps: of an episode */
  float low[BAR_MAX_ASSETS], high[BAR_MAX_ASSETS];
  float *observation_low, *observation_high;
  env_agent agent;
} bar_model;

typedef struct bar_world {
  ledger ledger;
  uint64_t start; /* row of the first decision */
  double cash, units[BAR_MAX_ASSETS];
  double wealth, costs, traded; /* of 1 at the start */
  int32_t step;
  float path_wealth[BAR_PATH + 1], path_held[BAR_PATH + 1], path_price[BAR_PATH + 1];
} bar_world;

/* Shares of wealth in each asset at the close of the row that the next decision is made on. */
void bar_weights(double *out, const bar_model *m, const bar_world *w);

#endif
