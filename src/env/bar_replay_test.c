/* Replay of bars: filled in the next row, net of costs, to the last digit; nothing of the future
 * is seen; only who is given it gets rich. */
#include "env/bar_replay.h"

#include "env/baseline.h"
#include "env/env_list.h"
#include "market/fixture.h"

#include <unistd.h>

static garam_error err;
static char folder[] = "/tmp/garam-bars-XXXXXX", path[64], other_path[64];

static int make_folder(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/a.csv", folder);
  snprintf(other_path, sizeof other_path, "%s/b.csv", folder);
  return 0;
}

static int remove_folder(void **state) {
  (void)state;
  unlink(path);
  unlink(other_path);
  return rmdir(folder);
}

static bar_config defaults(const char *data) {
  bar_config c;
  memset(&c, 0, sizeof c);
  opt_defaults(env_bars.options, env_bars.n_options, &c);
  snprintf(c.data, sizeof c.data, "%s", data);
  return c;
}

static env *make(const bar_config *c, size_t n, uint64_t seed) {
  env *e;
  expect_ok(env_new(&e, &env_bars, c, &(env_setup){.n = n, .seed = seed}, &err), &err);
  return e;
}

static void act(const env *e, const char *name) {
  const baseline *b = baseline_find("bars", name, &err);
  assert_non_null(b);
  b->act(e, 0, e->batch.n);
}

static void step(env *e) {
  expect_ok(env_step(e, &err), &err);
}

/* A random walk, or a market whose regimes can be learnt, as a file. */
static void write_market(const char *to, int64_t rows, int64_t seed, int regimes, double momentum) {
  table *t = fixture_market(rows, seed, regimes, momentum, NULL, NULL);
  expect_ok(table_write_csv(t, to, &err), &err);
  table_free(t);
}

/* ---- by hand ----------------------------------------------------------------------------------
 */

static void filled_at_the_next_open_net_of_costs(void **state) {
  (void)state;
  const char *names[] = {"time", "open", "high", "low", "close"};
  double values[] = {0,  10, 10,    10, 10, 3600, 20, 30,    20, 30, 7200, 30, 40,
                     30, 40, 10800, 50, 50, 45,   45, 14400, 45, 46, 45,   46};
  table *t = fixture_table(names, 5, 5, values);
  expect_ok(table_write_csv(t, path, &err), &err);
  table_free(t);
  bar_config c = defaults(path);
  snprintf(c.features, sizeof c.features, "none");
  snprintf(c.train_range, sizeof c.train_range, "0:1");
  snprintf(c.test_range, sizeof c.test_range, "0:1");
  c.part = BAR_TEST;
  c.costs = (cost_config){.spread = .02, .fee = .01, .slippage = .005}; /* 2.5 % a side */
  env *e = make(&c, 1, 1);
  const bar_world *w = env_world(e, 0);
  static const struct {
    float wish;
    double wealth; /* at the close of the row that fills it */
  } rows[] = {
      /* row 1: 1 of wealth bought at 20, marked at 30: 1.5 less the toll of 1 */
      {1, 1.5 - .025},
      /* row 2: the rest of its wealth is in the asset to 1 %; marked at 40 */
      {1, 2.0 - .025},
      /* row 3: sold at the open, 50: .05 units, toll on 2.5 */
      {0, 2.5 - .025 - .025 * 2.5},
      {0, 2.5 - .025 - .025 * 2.5},
  };
  c.band = .1;
  env_free(e);
  e = make(&c, 1, 1);
  w = env_world(e, 0);
  double sum = 0;
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    assert_int_equal(e->batch.ended[0], 0);
    e->batch.action[0] = rows[k].wish;
    step(e);
    sum += (double)e->batch.reward[0];
    assert_true(fabs((double)e->batch.info[0] - rows[k].wealth) < 1e-6);
    assert_true(fabs(sum - 100 * log(rows[k].wealth)) < 1e-3);
  }
  assert_int_equal(e->batch.ended[0], 1);
  assert_int_equal(e->batch.truncated[0], 1);
  assert_int_equal(w->step, 0);
  env_free(e);
  /* what is held at the end is sold at the last close */
  e = make(&c, 1, 1);
  for (int k = 0; k < 4; k++) {
    e->batch.action[0] = 1;
    step(e);
  }
  assert_true(fabs((double)e->batch.info[0] - (2.3 - .025 - .025 * 2.3)) < 1e-6);
  env_free(e);
}

/* ---- to the last digit -------------------------------------------------------------------------
 */

static void rewards_are_the_change_of_net_wealth(void **state) {
  (void)state;
  write_market(path, 900, 3, 3, 1);
  for (int kind = 0; kind < 3; kind++) {
    bar_config c = defaults(path);
    c.length = 60;
    if (kind) c.low = -1, c.costs.fee = .003;
    if (kind == 2) {
      c.low = -10; /* ruins, now and then */
      c.high = 10;
      c.costs.fee = .05;
      snprintf(c.assets, sizeof c.assets, "open,high,close");
    }
    env *e = make(&c, 5, 9);
    double sum[5] = {0};
    /* the books kept a second time: cash and units by hand */
    const bar_model *m = e->model;
    const bar_data *d = &m->data;
    size_t episodes = 0;
    for (int t = 0; t < 600; t++) {
      bar_world before[5];
      memcpy(before, env_world(e, 0), sizeof before);
      act(e, "random");
      step(e);
      for (size_t i = 0; i < 5; i++) {
        const ledger *l = env_world(e, i);
        sum[i] += (double)e->batch.reward[i];
        const bool over = e->batch.ended[i];
        const double start = over ? l->closed_start : l->start, net = over ? l->closed_net : l->net;
        const int64_t change = ledger_posting(l, net) - ledger_posting(l, start);
        if (sum[i] != ldexp((double)change, -l->bits)) /* bit for bit */
          fail_msg("rewards add up to %.17g, net wealth rose by %.17g", sum[i],
                   ldexp((double)change, -l->bits));
        if (over) sum[i] = 0;
        episodes += over;
        /* wealth changes by units times moves less costs, and by nothing else */
        const bar_world *w = env_world(e, i);
        if (over) continue;
        const size_t r = (size_t)w->start + (size_t)w->step;
        double gain = 0;
        for (size_t k = 0; k < d->n_assets; k++) {
          const double open = d->fill[r * d->n_assets + k];
          gain += before[i].units[k] * (open - d->close[(r - 1) * d->n_assets + k]) +
                  w->units[k] * (d->close[r * d->n_assets + k] - open);
        }
        const double expected = before[i].wealth + gain - (w->costs - before[i].costs);
        assert_true(fabs(w->wealth - expected) < 1e-12 * (1 + fabs(expected)));
        assert_true(net == log(w->wealth) / c.unit);
      }
    }
    assert_true(episodes >= 25);
    env_free(e);
  }
}

/* ---- no peeking --------------------------------------------------------------------------------
 */

/* The same file with every row after `row` another market's. */
static void write_changed(size_t row) {
  table *t, *u;
  expect_ok(table_open(&t, path, NULL, NULL, NULL, &err), &err);
  u = fixture_market((int64_t)t->n_rows, 77, 3, 1, NULL, NULL);
  for (size_t c = 0; c < t->n_columns; c++) {
    const int at = table_find(u, t->columns[c].name);
    if (t->columns[c].type != COLUMN_F64 || at < 0) continue;
    for (size_t r = row + 1; r < t->n_rows; r++) t->columns[c].f64[r] = u->columns[at].f64[r];
  }
  expect_ok(table_write_csv(t, other_path, &err), &err);
  table_free(t);
  table_free(u);
}

static void the_future_is_not_seen(void **state) {
  (void)state;
  write_market(path, 800, 4, 3, 1);
  static const struct {
    int part;
    size_t cut; /* last row that is the same */
  } rows[] = {{BAR_TEST, 500}, {BAR_TEST, 700}, {BAR_TRAIN, 479}};
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    write_changed(rows[k].cut);
    bar_config c = defaults(path), changed = defaults(other_path);
    c.part = changed.part = rows[k].part;
    c.length = changed.length = 400;
    c.low = changed.low = -1;
    env *a = make(&c, 2, 6), *b = make(&changed, 2, 6);
    const size_t width = (size_t)a->shape.observation_width;
    bool differs = false;
    for (int t = 0; t < a->shape.n_info * 60; t++) {
      const bar_world *w = env_world(a, 0);
      if ((size_t)w->start + (size_t)w->step <= rows[k].cut) {
        /* what is seen, and what was paid so far */
        assert_memory_equal(a->batch.observation, b->batch.observation, width * sizeof(float));
        assert_true(a->batch.episode_return[0] == b->batch.episode_return[0]);
      } else differs |= a->batch.episode_return[0] != b->batch.episode_return[0];
      act(a, "random");
      act(b, "random");
      assert_memory_equal(a->batch.action, b->batch.action, 2 * sizeof(float));
      step(a);
      step(b);
      if (a->batch.ended[0]) break;
    }
    assert_true(differs == (rows[k].part == BAR_TEST)); /* the test can fail */
    env_free(a);
    env_free(b);
  }
}

static double earned(const bar_config *c, const char *name) {
  env *e = make(c, 1, 8);
  do {
    act(e, name);
    step(e);
  } while (!e->batch.ended[0]);
  const double result = e->batch.last_return[0];
  env_free(e);
  return result;
}

static void only_the_future_makes_rich(void **state) {
  (void)state;
  write_market(path, 3000, 5, 1, 0); /* a random walk */
  for (int spread = 0; spread < 2; spread++) {
    bar_config c = defaults(path);
    c.part = BAR_TEST;
    c.low = -1;
    c.costs = (cost_config){.spread = spread ? .0002 : 0};
    /* as far as this walk goes by itself, four deviations of it */
    env *e = make(&c, 1, 1);
    const bar_model *m = e->model;
    double squares = 0;
    for (size_t r = m->data.begin[1] + 1; r < m->data.end[1]; r++)
      squares += pow(log(m->data.close[r] / m->data.close[r - 1]), 2);
    const double rich = 100 * 4 * sqrt(squares);
    env_free(e);
    const baseline *b;
    for (size_t i = 0; (b = baseline_at("bars", i)); i++) {
      const double result = earned(&c, b->name);
      if ((strcmp(b->name, "oracle") == 0) != (result > rich))
        fail_msg("%s earned %g %%, rich is above %g", b->name, result, rich);
    }
  }
}

/* ---- parts, files, refusals -------------------------------------------------------------------
 */

static void parts_and_ranges(void **state) {
  (void)state;
  write_market(path, 1000, 6, 3, 1);
  bar_config c = defaults(path);
  snprintf(c.train_range, sizeof c.train_range, "0.1:0.5");
  snprintf(c.test_range, sizeof c.test_range, "0.5:0.7");
  c.length = 50;
  env *e = make(&c, 64, 1);
  size_t least = SIZE_MAX, most = 0;
  for (int t = 0; t < 200; t++) {
    act(e, "zero");
    step(e);
    for (size_t i = 0; i < 64; i++) {
      const size_t row = (size_t)e->batch.info[i * 5 + 4];
      least = row < least ? row : least;
      most = row > most ? row : most;
    }
  }
  assert_true(least > 100 && least < 130 && most < 500 && most > 470);
  env_free(e);
  c.part = BAR_TEST;
  e = make(&c, 1, 1);
  int steps = 0;
  do {
    act(e, "zero");
    step(e);
    steps++;
    assert_int_equal((int)e->batch.info[4], 500 + steps);
  } while (!e->batch.ended[0]);
  assert_int_equal(steps, 199);
  assert_true(e->batch.last_return[0] == 0);
  env_free(e);
}

static void refuses_what_cannot_be(void **state) {
  (void)state;
  write_market(path, 100, 6, 3, 1);
  static const struct {
    const char *option, *value, *message;
  } rows[] = {
      {"train-range", "0.5", "expected BEGIN:END"},
      {"train-range", "0:x", "\"x\" is neither a share of the rows (0.6) nor a date"},
      {"test-range", "0.5:0.51", "expected at least 3"},
      {"train-range", "0:0.1", "expected three rows more"},
      {"assets", "close,volum", "--assets"},
      {"features", "retruns", "returns"},
      {"data", "/nowhere/x.csv", "/nowhere/x.csv"},
      {"low", "2", "--low"},
  };
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    bar_config c = defaults(path);
    const opt_row *row = opt_find(env_bars.options, env_bars.n_options, rows[i].option);
    expect_ok(opt_set_text(row, &c, rows[i].value, &err), &err);
    env *e;
    assert_int_not_equal(env_new(&e, &env_bars, &c, &(env_setup){.n = 1}, &err), GARAM_OK);
    assert_null(e);
    if (!strstr(err.message, rows[i].message)) fail_msg("%s: %s", rows[i].value, err.message);
  }
}

static void real_files(void **state) {
  (void)state;
  const char *data = getenv("GARAM_DATA");
  static const struct {
    const char *file, *assets, *train, *test;
    size_t n_assets;
  } rows[] = {
      {"daily/sp500-20-stocks-close.csv.gz", "all", "1990-01-02:2010-01-01",
       "2010-01-01:2013-01-01", 20},
      {"bars/eurusd-1h.csv.gz", "", "0:0.5", "0.5:0.52", 1},
      {"bars/spy-1h.csv.gz", "", "1998-01-02:2015-01-01", "2015-01-01:2016-01-01", 1},
  };
  for (size_t k = 0; k < COUNT_OF(rows); k++) {
    char file[512];
    snprintf(file, sizeof file, "%s/%s", data ? data : "../shared/data", rows[k].file);
    if (access(file, R_OK) != 0) {
      print_message("%s is not there: skipped\n", file);
      continue;
    }
    bar_config c = defaults(file);
    snprintf(c.assets, sizeof c.assets, "%s", rows[k].assets);
    snprintf(c.train_range, sizeof c.train_range, "%s", rows[k].train);
    snprintf(c.test_range, sizeof c.test_range, "%s", rows[k].test);
    c.part = BAR_TEST;
    env *e = make(&c, 1, 1);
    const bar_model *m = e->model;
    assert_int_equal(m->data.n_assets, rows[k].n_assets);
    env_free(e);
    const double hold = earned(&c, "buy_and_hold"), best = earned(&c, "oracle");
    assert_true(best > hold + 20 && fabs(hold) < 100);
    assert_true(earned(&c, "equal_weight") < best && earned(&c, "late_oracle") < best / 2);
  }
}

static garam_status open_and_free(void *context, garam_error *error) {
  env *e;
  const garam_status status = env_new(&e, &env_bars, context, &(env_setup){.n = 2}, error);
  env_free(e);
  return status;
}

static void survives_want_of_memory(void **state) {
  (void)state;
  write_market(path, 80, 6, 3, 1);
  bar_config c = defaults(path);
  fixture_fail_each(open_and_free, &c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(filled_at_the_next_open_net_of_costs),
      cmocka_unit_test(rewards_are_the_change_of_net_wealth),
      cmocka_unit_test(the_future_is_not_seen),
      cmocka_unit_test(only_the_future_makes_rich),
      cmocka_unit_test(parts_and_ranges),
      cmocka_unit_test(refuses_what_cannot_be),
      cmocka_unit_test(real_files),
      cmocka_unit_test(survives_want_of_memory),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
