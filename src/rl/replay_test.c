/* Replay and noise: what a row and its n steps hold, beside a plain list; odds of drawing; files
 * that come back; what files may not say. */
#include "rl/noise.h"
#include "rl/replay.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 3, A = 2, O = 2, U = 1, S = 1, STEPS = 40 };

/* A history in which everything says where it is from: world, step, agent. */
typedef struct history {
  float observation[STEPS + 1][N][A][O], last[STEPS][N][A][O], action[STEPS][N][A][U];
  float state[STEPS + 1][N][S], last_state[STEPS][N][S], reward[STEPS][N][A];
  uint8_t terminated[STEPS][N][A], truncated[STEPS][N][A], alive[STEPS][N][A], ended[STEPS][N];
} history;
static history h;

static void history_make(void) {
  rng r;
  uint8_t alive[N][A];
  rng_init(&r, 7, RNG_TEST, 0);
  memset(&h, 0, sizeof h);
  memset(alive, 1, sizeof alive);
  for (int t = 0; t <= STEPS; t++)
    for (int w = 0; w < N; w++) {
      h.state[t][w][0] = (float)(t * 10 + w);
      for (int a = 0; a < A; a++)
        for (int o = 0; o < O; o++)
          h.observation[t][w][a][o] = (float)(t * 1000 + w * 100 + a * 10 + o);
      if (t == STEPS) continue;
      bool any = false;
      const bool cut = rng_below(&r, 9) == 0;
      for (int a = 0; a < A; a++) {
        h.alive[t][w][a] = alive[w][a];
        h.action[t][w][a][0] = (float)(t + w + a);
        h.reward[t][w][a] = alive[w][a] ? (float)rng_normal(&r) : 0;
        if (!alive[w][a]) continue;
        h.terminated[t][w][a] = rng_below(&r, 6) == 0;
        h.truncated[t][w][a] = cut && !h.terminated[t][w][a];
        alive[w][a] = !h.terminated[t][w][a] && !h.truncated[t][w][a];
        any |= alive[w][a];
      }
      h.ended[t][w] = !any;
      h.last_state[t][w][0] = any ? h.state[t][w][0] + 10 : -1;
      for (int a = 0; a < A; a++)
        for (int o = 0; o < O; o++)
          h.last[t][w][a][o] = (float)((t + 1) * 1000 + w * 100 + a * 10 + o) * (any ? 1.f : -1.f);
      if (!any) memset(alive[w], 1, A);
    }
}

static agent_step step_of(int t) {
  return (agent_step){.n = N,
                      .observation = &h.observation[t][0][0][0],
                      .next_observation = &h.last[t][0][0][0],
                      .state = &h.state[t][0][0],
                      .next_state = &h.last_state[t][0][0],
                      .action = &h.action[t][0][0][0],
                      .reward = &h.reward[t][0][0],
                      .terminated = &h.terminated[t][0][0],
                      .truncated = &h.truncated[t][0][0],
                      .alive = &h.alive[t][0][0],
                      .ended = &h.ended[t][0]};
}

static replay *fresh(size_t capacity, bool prioritized) {
  const replay_config c = {.capacity = capacity,
                           .n = N,
                           .agents = A,
                           .observation = O,
                           .action = U,
                           .state = S,
                           .prioritized = prioritized,
                           .alpha = 1};
  replay *r;
  assert_int_equal(replay_new(&r, &c, NULL), GARAM_OK);
  return r;
}

/* The definition, from the history itself: newest is the last step that was added. */
static void check_row(const replay_row *row, int t, int w, int n_steps, double gamma, int newest) {
  double reward[A] = {0}, factor = 1;
  bool on[A];
  int at = t;
  for (int a = 0; a < A; a++) on[a] = h.alive[t][w][a];
  for (int k = 0; k < n_steps; k++, factor *= gamma) {
    at = t + k;
    for (int a = 0; a < A; a++) {
      if (on[a]) reward[a] += factor * (double)h.reward[at][w][a];
      if (on[a] && h.terminated[at][w][a]) on[a] = false;
    }
    if (h.ended[at][w] || at == newest) {
      factor *= gamma;
      break;
    }
  }
  for (int a = 0; a < A; a++) {
    assert_true(fabs((double)row->reward[a] - reward[a]) < 1e-5);
    assert_true(fabs((double)row->discount[a] - (on[a] ? factor : 0)) < 1e-6);
    assert_int_equal(row->alive[a], h.alive[t][w][a]);
    for (int o = 0; o < O; o++) {
      assert_true(row->observation[a * O + o] == h.observation[t][w][a][o]);
      assert_true(row->next_observation[a * O + o] == h.last[at][w][a][o]);
    }
    assert_true(row->action[a] == h.action[t][w][a][0]);
  }
  assert_true(row->state[0] == h.state[t][w][0]);
  assert_true(row->next_state[0] == h.last_state[at][w][0]);
}

static void check_all(const replay *r, size_t kept, int added, size_t n_steps) {
  float reward[A], discount[A];
  uint8_t alive[A];
  for (int t = added > (int)kept ? added - (int)kept : 0; t < added; t++)
    for (int w = 0; w < N; w++) {
      replay_row row = {.reward = reward, .discount = discount, .alive = alive};
      replay_get(r, &row, (size_t)t % kept * N + (size_t)w, n_steps, 0.9);
      check_row(&row, t, w, (int)n_steps, 0.9, added - 1);
    }
}

/* Terminated agents get no value, cut ones do; both rings that are full and that are not. */
static void rows_hold_what_came_of_them(void **state) {
  (void)state;
  history_make();
  for (size_t n_steps = 1; n_steps <= 5; n_steps += 2)
    for (size_t kept = 7; kept <= 60; kept += 53) {
      replay *r = fresh(kept * N + 2, false);
      for (int t = 0; t < STEPS; t++) {
        const agent_step s = step_of(t);
        assert_int_equal(replay_add(r, &s, NULL), GARAM_OK);
        check_all(r, kept, t + 1, n_steps);
      }
      const size_t rows = (kept < STEPS ? kept : STEPS) * N;
      assert_int_equal(replay_count(r), rows);
      replay_free(r);
    }
}

static void nothing_is_allocated_once_warm(void **state) {
  (void)state;
  history_make();
  replay *r = fresh(7 * N, true);
  uint64_t before = 0;
  for (int pass = 0; pass < 4; pass++) {
    if (pass == 2) before = mem_count();
    for (int t = 0; t < STEPS; t++) {
      const agent_step s = step_of(t);
      size_t index[8];
      float weight[8];
      assert_int_equal(replay_add(r, &s, NULL), GARAM_OK);
      replay_draw(r, index, weight, 8, 0.5, 1, (uint64_t)t);
    }
  }
  assert_int_equal(mem_count() - before, 0);
  replay_free(r);
}

/* Chi-square of 20,000 draws over 21 rows; 45 is the 0.1 % point of 20 degrees. */
static double misfit(const replay *r, const double *odds, size_t rows) {
  enum { DRAWS = 2500, EACH = 8 };
  double seen[64] = {0}, sum = 0, total = 0;
  size_t index[EACH];
  float weight[EACH];
  for (uint64_t d = 0; d < DRAWS; d++) {
    replay_draw(r, index, weight, EACH, 1, 3, d);
    for (size_t i = 0; i < EACH; i++) seen[index[i]]++;
  }
  for (size_t i = 0; i < rows; i++) total += odds[i];
  for (size_t i = 0; i < rows; i++) {
    const double expected = DRAWS * EACH * odds[i] / total;
    sum += pow(seen[i] - expected, 2) / expected;
  }
  return sum;
}

static void draws_go_by_their_odds(void **state) {
  (void)state;
  enum { ROWS = 7 * N };
  history_make();
  double odds[ROWS], error[ROWS];
  size_t index[ROWS];
  for (int prioritized = 0; prioritized < 2; prioritized++) {
    replay *r = fresh(ROWS, prioritized);
    for (int t = 0; t < 9; t++) {
      const agent_step s = step_of(t);
      assert_int_equal(replay_add(r, &s, NULL), GARAM_OK);
    }
    for (size_t i = 0; i < ROWS; i++) {
      index[i] = i;
      error[i] = (double)(1 + i % 5) * (i % 2 ? -1 : 1);
      odds[i] = prioritized ? fabs(error[i]) : 1;
    }
    replay_set_errors(r, index, error, ROWS);
    assert_true(misfit(r, odds, ROWS) < 45);
    float weight[4];
    size_t drawn[4], again[4];
    replay_draw(r, drawn, weight, 4, 1, 3, 5);
    for (int i = 0; i < 4; i++) { /* weight * odds is the same for all */
      const double product = (double)weight[i] * odds[drawn[i]];
      assert_true(fabs(product - (double)weight[0] * odds[drawn[0]]) < 1e-4);
    }
    replay_draw(r, again, weight, 4, 1, 3, 5);
    assert_memory_equal(drawn, again, sizeof drawn);
    replay_free(r);
  }
}

static char *path_of(char out[64]) {
  snprintf(out, 64, "/tmp/replay_test.%d", (int)getpid());
  return out;
}

static void files_come_back(void **state) {
  (void)state;
  history_make();
  char path[64];
  path_of(path);
  for (int prioritized = 0; prioritized < 2; prioritized++) {
    replay *r = fresh(7 * N, prioritized), *q = fresh(7 * N, prioritized);
    package_writer *w;
    package_reader *p;
    garam_error err = {0};
    for (int t = 0; t < 30; t++) {
      const agent_step s = step_of(t);
      assert_int_equal(replay_add(r, &s, NULL), GARAM_OK);
      const double error = t;
      replay_set_errors(r, (const size_t[]){(size_t)t % 7}, &error, 1);
    }
    assert_int_equal(package_writer_new(&w, NULL), GARAM_OK);
    assert_int_equal(replay_save(r, w, "r.", NULL), GARAM_OK);
    assert_int_equal(package_write(w, path, NULL), GARAM_OK);
    package_writer_free(w);
    assert_int_equal(package_open(&p, path, NULL), GARAM_OK);
    if (replay_load(q, p, "r.", &err) != GARAM_OK) fail_msg("%s", err.message);
    for (int t = 30; t < STEPS; t++) { /* both go on alike */
      const agent_step s = step_of(t);
      size_t one[6], two[6];
      float x[6], y[6];
      assert_int_equal(replay_add(r, &s, NULL), GARAM_OK);
      assert_int_equal(replay_add(q, &s, NULL), GARAM_OK);
      check_all(q, 7, t + 1, 3);
      replay_draw(r, one, x, 6, 0.4, 1, (uint64_t)t);
      replay_draw(q, two, y, 6, 0.4, 1, (uint64_t)t);
      assert_memory_equal(one, two, sizeof one);
      assert_memory_equal(x, y, sizeof x);
    }
    replay *other = fresh(8 * N, prioritized); /* 8 steps are not 7 */
    assert_int_not_equal(replay_load(other, p, "r.", &err), GARAM_OK);
    assert_int_not_equal(replay_load(other, p, "q.", &err), GARAM_OK);
    package_close(p);
    replay_free(r);
    replay_free(q);
    replay_free(other);
  }
  unlink(path);
}

/* Slots that two rows share, that are not there, and rows that are not finite. */
static void strange_files_are_refused(void **state) {
  (void)state;
  history_make();
  char path[64];
  path_of(path);
  enum { ROWS = 7 * N, WIDTH = A * O + S + A * (U + 1), SEEN = A * O + S };
  for (int c = 0; c < 5; c++) {
    static float rows[ROWS * WIDTH], latest[N * SEEN], last[2 * SEEN];
    static uint8_t flags[ROWS * A], ended[ROWS];
    int32_t slots[ROWS];
    uint64_t counters[2] = {7, 2};
    package_writer *w;
    package_reader *p;
    memset(ended, 0, sizeof ended);
    memset(rows, 0, sizeof rows);
    for (int i = 0; i < ROWS; i++) slots[i] = -1;
    ended[3] = ended[5] = 1;
    slots[3] = 0;
    slots[5] = 1;
    if (c == 1) slots[5] = 0;
    if (c == 2) slots[5] = 2;
    if (c == 3) ended[3] = 0;
    if (c == 4) rows[9] = NAN;
    const struct {
      const char *name;
      package_dtype type;
      int64_t n;
      const void *data;
    } arrays[] = {{"counters", PACKAGE_U64, 2, counters}, {"rows", PACKAGE_F32, ROWS * WIDTH, rows},
                  {"flags", PACKAGE_U8, ROWS * A, flags}, {"ended", PACKAGE_U8, ROWS, ended},
                  {"slots", PACKAGE_I32, ROWS, slots},    {"latest", PACKAGE_F32, N * SEEN, latest},
                  {"last", PACKAGE_F32, 2 * SEEN, last}};
    assert_int_equal(package_writer_new(&w, NULL), GARAM_OK);
    for (size_t i = 0; i < COUNT_OF(arrays); i++)
      assert_int_equal(
          package_add(w, arrays[i].name, arrays[i].type, 1, &arrays[i].n, arrays[i].data, NULL),
          GARAM_OK);
    assert_int_equal(package_write(w, path, NULL), GARAM_OK);
    package_writer_free(w);
    assert_int_equal(package_open(&p, path, NULL), GARAM_OK);
    replay *r = fresh(ROWS, false);
    assert_int_equal(replay_load(r, p, "", NULL), c == 0 ? GARAM_OK : GARAM_CORRUPT);
    package_close(p);
    replay_free(r);
  }
  unlink(path);
}

/* Ornstein-Uhlenbeck: deviation and correlation as its equation has them; a reset world begins at
 * 0; the same counter draws the same. */
static void noise_is_as_its_equation_says(void **state) {
  (void)state;
  enum { LONG = 200000 };
  static float x[LONG];
  for (int k = NOISE_GAUSSIAN; k <= NOISE_ORNSTEIN_UHLENBECK; k++) {
    noise z, y;
    double squares = 0, lagged = 0;
    float one[4], two[4];
    assert_int_equal(noise_init(&z, (noise_kind)k, 0.2, 0.15, 1, 1, NULL), GARAM_OK);
    for (uint64_t t = 0; t < LONG; t++) noise_draw(&z, x + t, 5, t);
    for (int t = 1; t < LONG; t++) {
      squares += (double)x[t] * (double)x[t];
      lagged += (double)x[t] * (double)x[t - 1];
    }
    assert_true(fabs(sqrt(squares / LONG) / noise_deviation(&z) - 1) < 0.02);
    assert_true(fabs(lagged / squares - (k == NOISE_GAUSSIAN ? 0 : 0.85)) < 0.02);
    noise_deinit(&z);
    assert_int_equal(noise_init(&y, (noise_kind)k, 0.2, 0.15, 2, 2, NULL), GARAM_OK);
    noise_draw(&y, one, 5, 1);
    noise_reset(&y, 0);
    noise_reset(&y, 1);
    noise_draw(&y, two, 5, 1);
    assert_memory_equal(one, two, sizeof one);
    noise_deinit(&y);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_hold_what_came_of_them),
      cmocka_unit_test(nothing_is_allocated_once_warm),
      cmocka_unit_test(draws_go_by_their_odds),
      cmocka_unit_test(files_come_back),
      cmocka_unit_test(strange_files_are_refused),
      cmocka_unit_test(noise_is_as_its_equation_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
