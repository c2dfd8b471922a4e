/* The execution world, for its tests and for exact.c. */
#ifndef ENV_EXECUTION_H
#define ENV_EXECUTION_H

#include "env/closed_form.h"
#include "env/ledger.h"
#include "rl/env.h"

enum { EXECUTION_MAX_PERIODS = 64 };

typedef struct execution_config {
  almgren_chriss market;
  double price, unit;
  int reward; /* market_reward */
  bool observe_price;
} execution_config;

typedef struct execution_model {
  execution_config c;
  double tau, held[EXECUTION_MAX_PERIODS + 1];
  int bits; /* of its ledgers */
} execution_model;

/* Prices and cash in ticks of 2^-20 of the currency, shares whole: the books are integers. */
typedef struct execution_world {
  ledger ledger;
  rng r;
  int64_t cash, held, price, penalty, luck;
  int32_t sold;
  float path_held[EXECUTION_MAX_PERIODS + 1], path_price[EXECUTION_MAX_PERIODS + 1];
} execution_world;

#endif
