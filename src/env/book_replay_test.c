/* Replay of snapshots: what fills, what a session is, what is refused, and that nothing peeks. */
#include "env/book_replay.h"

#include "base/mem.h"
#include "base/thread.h"
#include "env/baseline.h"
#include "env/env_list.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static garam_error err;

static char path[64];
static const char *written(const char *text) {
  snprintf(path, sizeof path, "/tmp/garam-replay-%ld.csv", (long)getpid());
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
  return path;
}

static book_replay_config configured(const char *data, const char *settings) {
  const env_ops *ops = &env_book_replay;
  book_replay_config c;
  memset(&c, 0, sizeof c);
  opt_defaults(ops->options, ops->n_options, &c);
  snprintf(c.data, sizeof c.data, "%s", data);
  char text[512];
  snprintf(text, sizeof text, "%s", settings);
  for (char *save = NULL, *word = strtok_r(text, " ", &save); word;
       word = strtok_r(NULL, " ", &save)) {
    char *value = strchr(word, '=');
    *value++ = 0;
    const opt_row *row = opt_find(ops->options, ops->n_options, word);
    assert_non_null(row);
    if (opt_set_text(row, &c, value, &err) != GARAM_OK) fail_msg("%s", err.message);
  }
  return c;
}

static env *opened(const char *data, const char *settings, size_t n) {
  const book_replay_config c = configured(data, settings);
  env *e;
  if (env_new(&e, &env_book_replay, &c, &(env_setup){.n = n, .seed = 3}, &err) != GARAM_OK)
    fail_msg("%s: %s", settings, err.message);
  return e;
}

static void step(env *e) {
  if (env_step(e, &err) != GARAM_OK) fail_msg("%s", err.message);
}

static void play(env *e, const char *name, int steps) {
  const baseline *b = baseline_find("book_replay", name, &err);
  assert_non_null(b);
  for (int t = 0; t < steps; t++) {
    b->act(e, 0, e->batch.n);
    step(e);
  }
}

/* ---- a tape by hand ------------------------------------------------------------------------- */

#define HEADER "time,bid1,bidSize1,bid2,bidSize2,ask1,askSize1,ask2,askSize2,volume_chg,avgprice\n"
#define DAY "2025-06-05T09:00:"

static void a_tape_is_read(void **state) {
  (void)state;
  const book_replay_config c = configured("", "session-gap=5");
  book_tape *t;
  const char *text = HEADER DAY
      "00,10.5,2,10.25,4,10.75,6,11,8,0,\n" DAY "01,10.5,2,10.25,4,10.75,6,11,8,10,10.6\n" DAY
      "20,10.5,2,10.25,4,11,6,0,0,10,10.6\n" DAY "21,10.5,2,10.25,4,11,6,0,0,8,12\n" DAY
      "22,10.5,2,10.25,4,11,6,0,0,8,10\n";
  if (book_tape_open(&t, written(text), &c.tape, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_int_equal(t->n_rows, 5);
  assert_int_equal(t->n_levels, 2);
  assert_true(t->tick == 0.25 && t->lot == 2);
  assert_int_equal(t->price[1][0], 42);
  assert_int_equal(t->lots[0][1], 4);
  assert_int_equal(t->price[0][5], -1); /* no second ask there */
  assert_int_equal(t->n_sessions, 2);
  assert_int_equal(t->sessions[1].begin, 2);
  assert_int_equal(t->sessions[1].end, 5);
  /* 10 at 10.6 between 10.5 and 10.75: 6 at the bid, 4 at the ask; in lots of 2. */
  const int32_t sold[] = {0, 3, 0, 0, 4}, bought[] = {0, 2, 0, 4, 0};
  for (int i = 0; i < 5; i++) {
    assert_int_equal(t->hit[1][i], sold[i]);
    assert_int_equal(t->hit[0][i], bought[i]);
  }
  book_tape_free(t);
}

/* One bid of 2 lots at the price 100, said at the first row, done at the second. */
static void what_fills_a_quote(void **state) {
  (void)state;
  static const struct {
    const char *what, *rows; /* the third row on: bid1,size,bid2,size,ask1,size,ask2,size,V,avg */
    const char *settings;
    float offset;
    int filled;
  } cases[] = {
      {"nothing happens", "100,5,99,5,101,5,102,5,0,", "", 0, 0},
      {"five ahead are sold to, no more", "100,5,99,5,101,5,102,5,5,100", "", 0, 0},
      {"one lot is left for it", "100,5,99,5,101,5,102,5,6,100", "", 0, 1},
      {"all of it", "100,5,99,5,101,5,102,5,9,100", "", 0, 2},
      {"half was bought at the ask", "100,5,99,5,101,5,102,5,12,100.5", "", 0, 1},
      {"all was bought at the ask", "100,5,99,5,101,5,102,5,50,101", "", 0, 0},
      {"volumes are not looked at", "100,5,99,5,101,5,102,5,9,100", "trades=no", 0, 0},
      {"who was ahead has gone", "100,1,99,5,101,5,102,5,0,|100,1,99,5,101,5,102,5,2,100", "", 0,
       1},
      {"who comes later is behind", "100,9,99,5,101,5,102,5,0,|100,9,99,5,101,5,102,5,6,100", "", 0,
       1},
      {"the level has gone", "99,5,98,5,101,5,102,5,0,|99,5,98,5,101,5,102,5,1,99", "", 0, 1},
      {"the ask comes to it", "99,5,98,5,100,5,101,5,0,", "trades=no", 0, 2},
      {"it is deeper: trades at the best are not its", "100,5,99,5,101,5,102,5,50,100", "", 1, 0},
      {"deeper than what is seen", "98,5,97,5,102,5,103,5,0,|98,5,97,5,102,5,103,5,50,98", "", 2,
       2},
      {"deeper, then seen",
       "100,5,99,5,101,5,102,5,0,|98,3,97,5,101,5,102,5,0,|"
       "98,3,97,5,101,5,102,5,4,98",
       "", 2, 1},
  };
  for (size_t k = 0; k < COUNT_OF(cases); k++) {
    char text[4096] =
        HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,5,101,5,102,5,9,100\n";
    int steps = 1;
    char rows[512], settings[128];
    snprintf(rows, sizeof rows, "%s", cases[k].rows);
    for (char *save = NULL, *row = strtok_r(rows, "|", &save); row;
         row = strtok_r(NULL, "|", &save))
      snprintf(text + strlen(text), sizeof text - strlen(text), DAY "%02d,%s\n", ++steps, row);
    snprintf(settings, sizeof settings,
             "lot=1 rows-per-step=1 maker-fee=0 close-out=no episode-steps=%d %s", steps,
             cases[k].settings);
    env *e = opened(written(text), settings, 1);
    const book_replay_world *w = env_world(e, 0);
    int bought = 0;
    for (int t = 0; t < steps; t++) {
      const float action[4] = {cases[k].offset, 0, t == 0 ? 2 : 0, 0};
      memcpy(e->batch.action, action, sizeof action);
      if (t > 0) { /* said once; then its own price again, at the offset from the best of now */
        const float now =
            (float)book_replay_price(e->model, w->row, 1, 0) - (100 - cases[k].offset);
        e->batch.action[0] = now;
        e->batch.action[2] = 2;
      }
      step(e);
      bought = (int)e->batch.info[1];
    }
    if (bought != cases[k].filled)
      fail_msg("%s: %d filled, expected %d", cases[k].what, bought, cases[k].filled);
    env_free(e);
  }
}

/* A decision meets the quotes of a later row, walks what is seen of them, and pays. */
static void what_is_taken(void **state) {
  (void)state;
  const char *text =
      HEADER DAY "00,100,5,99,5,101,50,102,50,0,\n" DAY "01,101,5,100,5,103,3,104,4,0,\n" DAY
                 "02,101,5,100,5,103,3,104,4,0,\n" DAY "03,101,5,100,5,103,3,104,4,0,\n";
  env *e = opened(written(text),
                  "actions=orders rows-per-step=1 episode-steps=3 lots=100 inventory=100 "
                  "taker-fee=0.5 inventory-penalty=0",
                  1);
  const float buy[5] = {0, 0, 0, 0, 6};
  memcpy(e->batch.action, buy, sizeof buy);
  step(e);
  /* 3 at 103 and 3 at 104, marked at 102. */
  assert_true(e->batch.info[1] == 6 && e->batch.info[2] == 3);
  assert_true(e->batch.reward[0] == -(3 * 1 + 3 * 2) - 3);
  memcpy(e->batch.action, buy, sizeof buy);
  step(e); /* the three at the best are not there again */
  assert_true(e->batch.info[1] == 10);
  memset(e->batch.action, 0, 5 * sizeof *e->batch.action);
  step(e); /* closed: 5 at 101 and 5 at 100 */
  assert_true(e->batch.ended[0] && e->batch.info[1] == 0);
  assert_true(e->batch.info[0] == -(3 * 103 + 7 * 104) + 5 * 101 + 5 * 100 - 0.5f * 20);
  env_free(e);
}

static void bad_tapes_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *text, *settings, *message;
  } cases[] = {
      {"time,open,close\n" DAY "00,1,2\n" DAY "01,1,2\n", "", "no order book"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,102,5,99,5,101,5,102,5,0,\n", "",
       ".csv:3: row 2, column \"bid1\": 102, expected less than the best ask"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,5,101,5,100.5,5,0,\n", "",
       ".csv:3: row 2, column \"ask2\": 100.5, expected more than the level before it"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,100,5,101,5,102,5,0,\n", "",
       ".csv:3: row 2, column \"bid2\": 100, expected less than the level before it"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,5,101,-5,102,5,0,\n", "",
       ".csv:3: row 2, column \"askSize1\": -5, expected a size of at least zero"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,,101,5,102,5,0,\n", "",
       ".csv:3: row 2, column \"bidSize2\": nan, expected a size of at least zero"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100.3,5,99,5,101,5,102,5,0,\n",
       "tick=0.5", ".csv:3: row 2, column \"bid1\": 100.3, expected a multiple of the tick 0.5"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,5,101,5,102,6.5,0,\n", "lot=1",
       ".csv:3: row 2, column \"askSize2\": 6.5, expected a multiple of the lot 1"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,5,101,5,102,5,-4,100\n", "",
       ".csv:3: row 2: a traded volume of -4"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,5,101,5,102,5,4,1000\n", "",
       ".csv:3: row 2: an average price of 1000 beside quotes of 100 and 101"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,x,5,99,5,101,5,102,5,0,\n", "",
       ".csv:3"},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,,5,99,5,101,5,102,5,0,\n", "",
       ".csv:3: row 2: the book has only asks"},
      {HEADER DAY "01,100,5,99,5,101,5,102,5,0,\n" DAY "00,100,5,99,5,101,5,102,5,0,\n", "",
       ".csv:3: row 2: time "},
      {HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n" DAY "01,100,5,99,5,101,5,102,5,0,\n",
       "episode-steps=7", "need a session of 29 rows; the longest one between"},
  };
  env *e;
  for (size_t k = 0; k < COUNT_OF(cases); k++) {
    const book_replay_config c = configured(written(cases[k].text), cases[k].settings);
    const garam_status status = env_new(&e, &env_book_replay, &c, &(env_setup){.n = 1}, &err);
    assert_int_not_equal(status, GARAM_OK);
    if (!strstr(err.message, cases[k].message))
      fail_msg("\"%s\", expected \"%s\"", err.message, cases[k].message);
  }
  assert_int_equal(env_new(&e, &env_book_replay, NULL, &(env_setup){.n = 1}, &err), GARAM_INVALID);
  assert_non_null(strstr(err.message, "--data"));
  const book_replay_config gone = configured("/nonexistent/book.csv", "");
  assert_int_not_equal(env_new(&e, &env_book_replay, &gone, &(env_setup){.n = 1}, &err), GARAM_OK);
  assert_non_null(strstr(err.message, "/nonexistent/book.csv"));
  /* The same file twice does not follow itself. */
  char twice[160];
  written(HEADER DAY "00,100,5,99,5,101,5,102,5,0,\n");
  snprintf(twice, sizeof twice, "%s,%s", path, path);
  const book_replay_config again = configured(twice, "");
  assert_int_not_equal(env_new(&e, &env_book_replay, &again, &(env_setup){.n = 1}, &err), GARAM_OK);
  assert_non_null(strstr(err.message, "begins before"));
}

/* ---- a longer tape -------------------------------------------------------------------------- */

/* A book that wanders, `rows` seconds with a night in the middle; from row `other` on it wanders
 * elsewhere. */
static char *wandering(int rows, int other) {
  char *text = malloc((size_t)rows * 160 + 256);
  size_t at = (size_t)sprintf(text, HEADER);
  rng r;
  rng_init(&r, 5, RNG_TEST, 0);
  int bid = 1000;
  for (int i = 0; i < rows; i++) {
    if (i == other) rng_init(&r, 5, RNG_TEST, 1);
    const int move = (int)rng_below(&r, 5), wide = rng_below(&r, 8) == 0;
    bid += move == 0 ? -1 : move == 1 ? 1 : 0;
    const int ask = bid + 1 + wide, volume = (int)rng_below(&r, 60);
    const int t = i + (i >= rows / 2 ? 7200 : 0);
    int size[4];
    for (int k = 0; k < 4; k++) size[k] = 10 + (int)rng_below(&r, 20);
    at += (size_t)sprintf(text + at, "2025-06-05T%02d:%02d:%02d,%d,%d,%d,%d,%d,%d,%d,%d,%d,%.3f\n",
                          t / 3600, t / 60 % 60, t % 60, bid, size[0], bid - 1, size[1], ask,
                          size[2], ask + 1, size[3], volume, bid + (ask - bid) * rng_uniform(&r));
  }
  return text;
}

static const char *const settings[] = {
    "episode-steps=50",
    "episode-steps=40 actions=orders latency=9 rows-per-step=1 inventory=3",
    "episode-steps=60 inventory-gain=0.3 actions=choices latency=64 rows-per-step=2 maker-fee=-0.3",
    "episode-steps=30 actions=orders taker-fee=0.71 inventory-penalty=0.0137 close-out=no",
};

static void accounts_are_exact(void **state) {
  (void)state;
  char *text = wandering(1200, -1);
  written(text);
  free(text);
  for (size_t k = 0; k < COUNT_OF(settings); k++) {
    enum { N = 4 };
    env *e = opened(path, settings[k], N);
    const book_replay_model *m = e->model;
    const baseline *b = baseline_find("book_replay", "random", &err);
    double sums[N] = {0};
    int64_t volume = 0;
    for (int t = 0; t < 500; t++) {
      b->act(e, 0, N);
      step(e);
      for (size_t i = 0; i < N; i++) {
        const book_replay_world *w = env_world(e, i);
        const float *info = e->batch.info + i * (size_t)e->shape.n_info;
        sums[i] += (double)e->batch.reward[i];
        if (e->batch.ended[i]) {
          assert_true(sums[i] == (double)info[0] - (double)info[3] - (double)info[4]);
          assert_true(sums[i] == e->batch.last_return[i]);
          if (m->config.close_out) assert_true(info[1] == 0);
          sums[i] = 0;
        } else {
          assert_true(sums[i] * BOOK_TICK ==
                      (double)(book_replay_wealth(m, w) - w->penalty - w->withheld));
          assert_true(llabs(book_position(&w->account)) <= m->config.inventory);
          const int64_t traded = w->account.bought + w->account.sold;
          assert_int_equal(w->account.fees, m->maker_fee * w->account.made +
                                                m->taker_fee * (traded - w->account.made));
          volume += traded;
        }
        /* Not over the night. */
        size_t s = 0;
        while (m->tape->sessions[s].end <= w->start) s++;
        const size_t last = w->start + (size_t)m->config.steps * (size_t)m->config.rows;
        assert_true(last < m->tape->sessions[s].end);
        assert_true(w->row >= w->start && w->row <= last);
      }
    }
    assert_int_equal(m->tape->n_sessions, 2);
    assert_true(volume > 100);
    env_free(e);
  }
}

/* Another future changes nothing before it, whatever is done; it changes what the oracle does. */
static void nothing_peeks(void **state) {
  (void)state;
  enum { N = 32, ROWS = 1200, OTHER = 400 };
  static const char *const names[] = {"random",    "touch", "skewed", "avellaneda_stoikov",
                                      "imbalance", "oracle"};
  for (size_t k = 0; k < COUNT_OF(names); k++) {
    env *e[2];
    for (int f = 0; f < 2; f++) {
      char *text = wandering(ROWS, f ? OTHER : -1);
      e[f] = opened(written(text), "actions=orders episode-steps=100 to=0.5 tick=1 lot=1", N);
      free(text);
    }
    const baseline *b = baseline_find("book_replay", names[k], &err);
    const size_t width = (size_t)e[0]->shape.observation_width;
    size_t compared = 0, differ = 0, later = 0;
    for (int t = 0; t < 100; t++) {
      for (int f = 0; f < 2; f++) {
        b->act(e[f], 0, N);
        step(e[f]);
      }
      for (size_t i = 0; i < N && t < 99; i++) {
        const book_replay_world *w = env_world(e[0], i);
        const bool same = memcmp(e[0]->batch.observation + i * width,
                                 e[1]->batch.observation + i * width, width * sizeof(float)) == 0 &&
                          e[0]->batch.reward[i] == e[1]->batch.reward[i];
        if (w->row < OTHER) compared++, differ += !same;
        else later += !same;
      }
    }
    assert_true(compared > 500 && later > 100);
    assert_int_equal(differ > 0, strcmp(names[k], "oracle") == 0);
    env_free(e[0]);
    env_free(e[1]);
  }
}

static void threads_and_copies_change_nothing(void **state) {
  (void)state;
  enum { N = 700, STEPS = 30 };
  char *text = wandering(1200, -1);
  written(text);
  free(text);
  for (size_t k = 0; k < COUNT_OF(settings); k++) {
    env *a = opened(path, settings[k], N), *b = opened(path, settings[k], N);
    const size_t bytes = env_state_bytes(a);
    void *half = mem_alloc(bytes);
    thread_set_count(1);
    play(a, "random", STEPS);
    env_state_get(a, half);
    const uint64_t before = mem_count();
    play(a, "random", STEPS);
    assert_int_equal(mem_count(), before);
    thread_set_count(4);
    play(b, "random", 2 * STEPS);
    assert_memory_equal(a->memory, b->memory, bytes);
    env_state_set(b, half);
    play(b, "random", STEPS);
    assert_memory_equal(a->memory, b->memory, bytes);
    thread_set_count(0);
    mem_free(half);
    env_free(a);
    env_free(b);
  }
}

static void memory_may_run_out(void **state) {
  (void)state;
  char *text = wandering(60, -1);
  const book_replay_config c = configured(written(text), "episode-steps=5");
  free(text);
  size_t n = 0;
  for (bool done = false; !done; n++) {
    failing_allocator memory = {.fail_after = n};
    failing_allocator_use(&memory);
    env *e = NULL;
    const garam_status status =
        env_new(&e, &env_book_replay, &c, &(env_setup){.n = 1, .seed = 1}, &err);
    env_free(e);
    garam_set_allocator(NULL);
    assert_int_equal(memory.n_blocks, 0);
    assert_int_equal(status, memory.failed ? GARAM_NO_MEMORY : GARAM_OK);
    done = !memory.failed;
  }
  assert_true(n > 20);
}

static void collect(void *context, const char *svg) {
  char *all = context;
  assert_true(strlen(all) + strlen(svg) < 100000);
  strcat(all, svg);
}

static void the_picture_holds_the_fills(void **state) {
  (void)state;
  char *text = wandering(1200, -1), *all = malloc(100001);
  written(text);
  free(text);
  for (size_t k = 0; k < COUNT_OF(settings); k++) {
    env *e = opened(path, settings[k], 1);
    for (int t = 0; t < 3; t++) {
      all[0] = 0;
      e->ops->draw(e, 0, collect, all);
      assert_null(strstr(all, "nan"));
      assert_null(strstr(all, "inf"));
      if (t == 2 && k == 0) assert_non_null(strstr(all, "bought"));
      play(e, k == 0 ? "touch" : "random", 20);
    }
    env_free(e);
  }
  free(all);
}

/* ---- real books ----------------------------------------------------------------------------- */

/* Three days of a future, net of the exchange's fee: only who knows the future gets rich. */
static void only_the_future_makes_rich(void **state) {
  (void)state;
  static const char *const days[] = {"0605", "0606", "0609"};
  const char *folder = getenv("GARAM_DATA"), *source = getenv("GARAM_SOURCE");
  char data[1024] = "";
  for (size_t i = 0; i < COUNT_OF(days); i++) {
    char file[320];
    if (folder)
      snprintf(file, sizeof file, "%.250s/book/shfe-rb2510-2025%s.csv.gz", folder, days[i]);
    else
      snprintf(file, sizeof file, "%.200s/../shared/data/book/shfe-rb2510-2025%s.csv.gz",
               source ? source : ".", days[i]);
    FILE *f = fopen(file, "rb");
    if (!f) {
      print_message("skipped: no %s; the real data's folder is named by GARAM_DATA\n", file);
      return;
    }
    fclose(f);
    snprintf(data + strlen(data), sizeof data - strlen(data), "%s%s", i ? "," : "", file);
  }
  enum { N = 128 };
  env *e = opened(data, "actions=orders", N);
  const book_replay_model *m = e->model;
  assert_int_equal(m->tape->n_rows, 41201 + 41230 + 41273);
  assert_true(m->tape->tick == 1 && m->tape->lot == 1 && m->tape->hit[0] != NULL);
  double of_oracle = 0;
  const baseline *b;
  for (size_t k = 0; (b = baseline_at("book_replay", k)); k++) {
    env_reset(e);
    double sum = 0, squares = 0;
    for (int t = 0; t < 300; t++) {
      b->act(e, 0, N);
      step(e);
      for (size_t i = 0; i < N && t == 299; i++) {
        const double wealth = (double)e->batch.info[i * (size_t)e->shape.n_info];
        sum += wealth;
        squares += wealth * wealth;
      }
    }
    const double mean = sum / N, deviation = sqrt((squares / N - mean * mean) / N);
    print_message("%s: wealth %.1f, standard error %.1f ticks\n", b->name, mean, deviation);
    if (strcmp(b->name, "oracle") == 0) of_oracle = mean - 4 * deviation;
    else assert_true(mean <= 0);
  }
  assert_true(of_oracle > 10);
  env_free(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_tape_is_read),
      cmocka_unit_test(what_fills_a_quote),
      cmocka_unit_test(what_is_taken),
      cmocka_unit_test(bad_tapes_are_refused),
      cmocka_unit_test(accounts_are_exact),
      cmocka_unit_test(nothing_peeks),
      cmocka_unit_test(threads_and_copies_change_nothing),
      cmocka_unit_test(memory_may_run_out),
      cmocka_unit_test(the_picture_holds_the_fills),
      cmocka_unit_test(only_the_future_makes_rich),
  };
  const int failed = cmocka_run_group_tests(tests, NULL, NULL);
  if (path[0]) unlink(path);
  return failed;
}
