/* The investor's world, for its tests and for exact.c. */
#ifndef ENV_PORTFOLIO_H
#define ENV_PORTFOLIO_H

#include "env/closed_form.h"
#include "env/ledger.h"
#include "rl/env.h"

enum { PORTFOLIO_MAX_ASSETS = 16, PORTFOLIO_PATH = 128 };

typedef struct portfolio_config {
  merton market;
  double years, low, high, fee, unit;
  int periods; /* a year */
  int reward;  /* market_reward */
} portfolio_config;

typedef struct portfolio_model {
  portfolio_config c;
  int steps, bits; /* bits: of its ledgers */
  double dt;
  float low[PORTFOLIO_MAX_ASSETS], high[PORTFOLIO_MAX_ASSETS];
  float observation_low[1 + PORTFOLIO_MAX_ASSETS], observation_high[1 + PORTFOLIO_MAX_ASSETS];
  env_agent agent;
} portfolio_model;

typedef struct portfolio_world {
  ledger ledger;
  rng r;
  double wealth;                        /* net, of 1 at the start */
  double weights[PORTFOLIO_MAX_ASSETS]; /* of wealth, after they drifted */
  double luck, costs;                   /* of log wealth; of wealth */
  int32_t step;
  float path_wealth[PORTFOLIO_PATH + 1], path_risky[PORTFOLIO_PATH + 1];
} portfolio_world;

#endif
