/* Advantages against their definition as a sum over what followed, in double; cuts and ends; what
 * weighs nothing. */
#include "base/rng.h"
#include "rl/gae.h"
#include "rl/rollout.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { T = 37, N = 3, A = 2, LANES = N * A };

typedef struct made {
  float reward[T * LANES], value[T * LANES], next[T * LANES], last[LANES];
  uint8_t terminated[T * LANES], ended[T * LANES];
} made;

/* `ends`: of 100 steps, how many end an episode; half of them are cuts. */
static void make(made *m, int ends) {
  rng r;
  rng_init(&r, 3, RNG_TEST, (uint64_t)ends);
  for (int i = 0; i < T * LANES; i++) {
    m->reward[i] = (float)rng_normal(&r);
    m->value[i] = (float)rng_normal(&r);
    m->next[i] = (float)rng_normal(&r);
    m->ended[i] = rng_below(&r, 100) < (uint64_t)ends;
    m->terminated[i] = m->ended[i] && rng_below(&r, 2);
  }
  for (int i = 0; i < LANES; i++) m->last[i] = (float)rng_normal(&r);
}

/* Eq. 16 as it is printed: the discounted sum of what was not foreseen, to the episode's end. */
static double by_definition(const made *m, int t, int lane, double gamma, double lambda) {
  double sum = 0, factor = 1;
  for (int k = t; k < T; k++, factor *= gamma * lambda) {
    const int i = k * LANES + lane;
    double follows = k + 1 < T ? (double)m->value[i + LANES] : (double)m->last[lane];
    if (m->ended[i]) follows = (double)m->next[i];
    if (m->terminated[i]) follows = 0;
    sum += factor * ((double)m->reward[i] + gamma * follows - (double)m->value[i]);
    if (m->ended[i]) break;
  }
  return sum;
}

static void test_definition(void **state) {
  (void)state;
  static const struct {
    int ends;
    double gamma, lambda;
  } cases[] = {{0, 0.99, 0.95}, {10, 0.99, 0.95}, {10, 0.9, 0}, {10, 1, 1}, {60, 0.98, 0.8}};
  for (size_t c = 0; c < COUNT_OF(cases); c++) {
    static made m;
    make(&m, cases[c].ends);
    rollout r;
    assert_int_equal(rollout_init(&r, &(rollout_shape){T, N, A, 1, 1, 0}, NULL), GARAM_OK);
    assert_null(r.state);
    memcpy(r.reward, m.reward, sizeof m.reward);
    memcpy(r.value, m.value, sizeof m.value);
    memcpy(r.next_value, m.next, sizeof m.next);
    memcpy(r.terminated, m.terminated, sizeof m.terminated);
    memcpy(r.ended, m.ended, sizeof m.ended);
    r.t = T;
    rollout_finish(&r, m.last, cases[c].gamma, cases[c].lambda);
    for (int t = 0; t < T; t++)
      for (int i = 0; i < LANES; i++) {
        const double want = by_definition(&m, t, i, cases[c].gamma, cases[c].lambda);
        const double got = (double)r.advantage[t * LANES + i];
        assert_true(fabs(got - want) < 2e-5 * (1 + fabs(want)));
        assert_true(fabs((double)r.target[t * LANES + i] - got - (double)m.value[t * LANES + i]) <
                    1e-5 * (1 + fabs(want)));
      }
    rollout_deinit(&r);
  }
}

/* A cut is bootstrapped through with the last observation's value, an end is not; neither lets the
 * next episode's rewards in. */
static void test_cut_and_end(void **state) {
  (void)state;
  const float reward[3] = {1, 1, 100}, value[3] = {0, 0, 7}, next[3] = {0, 10, 0};
  const uint8_t over[3] = {0, 1, 0}, never[3] = {0, 0, 0};
  float advantage[3], target[3];
  gae(advantage, target, reward, value, next, over, over, 3, 1, 0.5, 1);
  assert_true(advantage[1] == 1.0f && advantage[0] == 1.5f);
  gae(advantage, target, reward, value, next, never, over, 3, 1, 0.5, 1);
  assert_true(advantage[1] == 6.0f && advantage[0] == 4.0f);
  assert_true(advantage[2] == 93.0f && target[2] == 100.0f);
}

static void test_normalized(void **state) {
  (void)state;
  rollout r;
  assert_int_equal(rollout_init(&r, &(rollout_shape){T, N, A, 1, 1, 2}, NULL), GARAM_OK);
  assert_non_null(r.state);
  r.t = T;
  rng g;
  rng_init(&g, 4, RNG_TEST, 0);
  for (int i = 0; i < T * LANES; i++) {
    r.advantage[i] = (float)(3 + 2 * rng_normal(&g) + (i % A) * 50);
    r.weight[i] = rng_below(&g, 4) ? 1.0f : 0.0f;
    if (r.weight[i] == 0) r.advantage[i] = 1e6f;
  }
  const int group[A] = {0, 1};
  const float other = r.advantage[1];
  rollout_normalize(&r, group, 0);
  assert_true(r.advantage[1] == other);
  rollout_normalize(&r, group, 1);
  for (int a = 0; a < A; a++) {
    double n = 0, sum = 0, squares = 0;
    for (int i = a; i < T * LANES; i += A) {
      if (r.weight[i] == 0) continue;
      n++;
      sum += (double)r.advantage[i];
      squares += (double)r.advantage[i] * (double)r.advantage[i];
    }
    assert_true(fabs(sum / n) < 1e-5 && fabs(squares / n - 1) < 1e-5);
  }
  rollout_deinit(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_definition),
      cmocka_unit_test(test_cut_and_end),
      cmocka_unit_test(test_normalized),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
