/* Baselines: scripted policies that learnt ones are measured against. Each is a row with the
 * environment that it plays, its name, and one function that writes the actions of some worlds.
 *
 *   const baseline *b = baseline_find("execution", "twap", err);
 *   baseline_check(b, e, err);
 *   b->act(e, 0, e->batch.n);
 *   env_step(e, err);
 *
 * They keep no state of their own: what they need is in the world, in the model that open made or
 * in the clock of the batch, so several threads may call act with ranges of their own, and a run
 * that is resumed goes on with the same actions. Some know more than an agent is shown: `optimal`
 * the parameters of the process, `oracle` the prices to come.
 *
 * To add one: a row in the table of its environment's file; to add an environment: the name of its
 * table in BASELINE_LIST. */
#ifndef ENV_BASELINE_H
#define ENV_BASELINE_H

#include "rl/env.h"

typedef struct baseline {
  const char *env; /* name of the environment; NULL: any */
  const char *name, *summary;
  /* Writes e->batch.action of worlds [begin, end) for the states that they are in. */
  void (*act)(const env *e, size_t begin, size_t end);
  /* Can it play this env as it is configured? NULL: always. The message says what it lacks. */
  garam_status (*check)(const env *e, garam_error *err);
} baseline;

/* Tables end with a row without a name. `any` are those that play every environment. */
/* clang-format off */
#define BASELINE_LIST(X)                                                                           \
  X(any)                                                                                           \
  X(simple_spread)                                                                                 \
  X(simple_tag)                                                                                    \
  X(simple_adversary)                                                                              \
  X(simple_speaker_listener)                                                                       \
  X(predator_prey)                                                                                 \
  X(execution)                                                                                     \
  X(market_making)                                                                                 \
  X(portfolio)                                                                                     \
  X(order_book)                                                                                    \
  X(bars)                                                                                          \
  X(book_replay)
/* clang-format on */

#define X(name) extern const baseline baselines_##name[];
BASELINE_LIST(X)
#undef X

/* Those of this environment, and of any. The message lists them. */
const baseline *baseline_find(const char *world, const char *name, garam_error *err);
garam_status baseline_check(const baseline *b, const env *e, garam_error *err);
/* Is it a function of what is observed? Not `random`, which draws, nor what is named an oracle,
 * which knows what is to come: their exact value (exact.h) would say nothing. */
bool baseline_is_policy(const baseline *b);
/* The i-th that plays this environment; NULL after the last. */
const baseline *baseline_at(const char *world, size_t i);

#endif
