/* The market maker's world, for its tests and for exact.c. */
#ifndef ENV_MARKET_MAKING_H
#define ENV_MARKET_MAKING_H

#include "env/closed_form.h"
#include "env/ledger.h"
#include "rl/env.h"

enum { MARKET_MAKING_PATH = 200 };

typedef struct market_making_config {
  cartea_jaimungal market;
  int steps;
  double price, depth, aversion;
  int reward; /* market_reward */
} market_making_config;

typedef struct market_making_model {
  market_making_config c;
  double dt;
  int bits;              /* of its ledgers */
  float low[2], high[2]; /* of depths */
  env_agent agent;
  double *h; /* (steps + 1, 2 Q + 1) */
} market_making_model;

/* Prices in ticks of 2^-20, shares whole: the books are integers. */
typedef struct market_making_world {
  ledger ledger;
  rng r;
  int64_t cash, mid, luck;
  int64_t squares; /* sum of q^2 over steps */
  int32_t inventory, step, sold, bought;
  float path_mid[MARKET_MAKING_PATH + 1], path_inventory[MARKET_MAKING_PATH + 1],
      path_ask[MARKET_MAKING_PATH + 1], path_bid[MARKET_MAKING_PATH + 1];
} market_making_world;

/* The probability that one step fills a quote at this depth. */
double market_making_fill(const market_making_model *m, double depth);
/* Puts world i at a step with an inventory, and shows it: for evaluation state by state. */
void market_making_place(env *e, size_t i, int step, int inventory);

#endif
