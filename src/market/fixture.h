/* Shared by this room's tests: small tables, the real data's folder, memory that runs out. */
#ifndef MARKET_FIXTURE_H
#define MARKET_FIXTURE_H

#include "base/mem.h"
#include "base/rng.h"
#include "market/market.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h> /* last: its macro fail() is not our function */

#define FIXTURE __attribute__((unused)) static

FIXTURE void expect_ok(garam_status status, const garam_error *err) {
  if (status != GARAM_OK) fail_msg("%s: %s", garam_status_name(status), err->message);
}

/* A table named "t.csv" with these numeric columns ("time" is a time column, one a second). */
FIXTURE table *fixture_table(const char *const *names, size_t n_columns, size_t n_rows,
                             const double *values /* (n_rows, n_columns), times in seconds */) {
  garam_error err;
  table *t;
  expect_ok(table_new(&t, "t.csv", n_rows, &err), &err);
  t->first_line = 2;
  for (size_t i = 0; i < n_columns; i++) {
    bool time = strcmp(names[i], "time") == 0;
    column *c;
    expect_ok(table_add_column(&c, t, names[i], time ? COLUMN_TIME : COLUMN_F64, &err), &err);
    for (size_t r = 0; r < n_rows; r++) {
      double v = values[r * n_columns + i];
      if (time) c->i64[r] = (int64_t)(v * 1e9);
      else c->f64[r] = v;
    }
    if (time) t->time_column = (int)i;
  }
  return t;
}

FIXTURE double *fixture_column(table *t, const char *name) {
  garam_error err;
  int at = table_find(t, name);
  if (at >= 0) return t->columns[at].f64;
  column *c;
  expect_ok(table_add_column(&c, t, name, COLUMN_F64, &err), &err);
  return c->f64;
}

FIXTURE bars *fixture_bars(const table *t) {
  garam_error err;
  bars *b;
  expect_ok(bars_open(&b, t, NULL, &err), &err);
  return b;
}

/* A simulated market; momentum 0 with one regime is a random walk. */
FIXTURE table *fixture_market(int64_t rows, int64_t seed, int regimes, double momentum,
                              double *bayes, double *band) {
  garam_error err;
  simulate_config c;
  memset(&c, 0, sizeof c);
  opt_defaults(simulate_options, simulate_n_options, &c);
  c.rows = rows;
  c.seed = seed;
  c.regimes = regimes;
  c.momentum = momentum;
  c.posterior = true;
  double ignored[2];
  table *t;
  expect_ok(simulate(&t, &c, bayes ? bayes : &ignored[0], band ? band : &ignored[1], &err), &err);
  return t;
}

/* A book of five levels that wanders: prices on a grid of ticks, sizes at random. */
FIXTURE table *fixture_book(size_t n_rows, uint64_t seed) {
  garam_error err;
  table *t;
  column *c;
  rng r;
  rng_init(&r, seed, RNG_TEST, 1);
  expect_ok(table_new(&t, "book.csv", n_rows, &err), &err);
  t->first_line = 2;
  expect_ok(table_add_column(&c, t, "time", COLUMN_TIME, &err), &err);
  for (size_t i = 0; i < n_rows; i++)
    c->i64[i] = (int64_t)i * 500000000 + (int64_t)rng_below(&r, 9);
  t->time_column = 0;
  double *x[20];
  for (int k = 0; k < 20; k++) {
    static const char *const kinds[] = {"bid", "ask", "bidSize", "askSize"};
    char name[32];
    snprintf(name, sizeof name, "%s%d", kinds[k / 5], k % 5 + 1);
    x[k] = fixture_column(t, name);
  }
  double mid = 3000;
  for (size_t i = 0; i < n_rows; i++) {
    double wide = rng_uniform(&r) < 0.1 ? 1 : 0;
    mid += rng_uniform(&r) < 0.2 ? (rng_uniform(&r) < 0.5 ? -1 : 1) : 0;
    for (int k = 0; k < 5; k++) {
      x[k][i] = mid - k;
      x[5 + k][i] = mid + 1 + wide + k;
      x[10 + k][i] = 1 + (double)rng_below(&r, 500);
      x[15 + k][i] = 1 + (double)rng_below(&r, 500);
    }
  }
  return t;
}

/* The real data, or NULL (after saying why) where it is not. */
FIXTURE table *fixture_real(const char *name) {
  char path[4096];
  const char *folder = getenv("GARAM_DATA"), *source = getenv("GARAM_SOURCE");
  if (folder) snprintf(path, sizeof path, "%s/%s", folder, name);
  else snprintf(path, sizeof path, "%s/../shared/data/%s", source ? source : ".", name);
  FILE *file = fopen(path, "rb");
  if (!file) {
    print_message("skipped: no %s; the real data's folder is named by GARAM_DATA\n", path);
    return NULL;
  }
  fclose(file);
  table_read_config read;
  garam_error err;
  table *t;
  memset(&read, 0, sizeof read);
  opt_defaults(table_read_options, table_read_n_options, &read);
  expect_ok(table_open(&t, path, &read, NULL, NULL, &err), &err);
  return t;
}

/* ---- memory that runs out ---------------------------------------------------------------- */

/* Calls fn with the first, second, ... allocation failing, until it succeeds. fn frees what it
 * made and returns the status. */
FIXTURE void fixture_fail_each(garam_status (*fn)(void *context, garam_error *err), void *context) {
  for (size_t n = 0; n < 5000; n++) {
    failing_allocator memory = {.fail_after = n};
    garam_error err = {0};
    failing_allocator_use(&memory);
    garam_status status = fn(context, &err);
    garam_set_allocator(NULL);
    if (status == GARAM_OK) {
      assert_true(n > 0);
      return;
    }
    assert_int_equal(status, GARAM_NO_MEMORY);
    assert_true(err.message[0] != 0);
  }
  fail_msg("never succeeds");
}

#endif
