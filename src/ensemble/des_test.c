/* Dynamic selection: each rule against a plain account of it, nearest neighbours against a sort,
 * the reference classifier against draws, and members that are right in parts of the space only. */
#include "ensemble/des.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 400, F = 5, M = 4, K = 2 };

static float x[N * F], score[N * M * K], value[N];
static int32_t y[N];

/* Member m knows the truth where feature 0 lies in its quarter, and guesses elsewhere. */
static void make(uint64_t seed, bool values) {
  rng r;
  rng_init(&r, seed, RNG_TEST, 0);
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < F; j++) x[i * F + j] = (float)(j ? 0.1 : 4) * (float)rng_uniform(&r);
    y[i] = (int32_t)rng_below(&r, 2);
    value[i] = (float)rng_normal(&r);
    for (int m = 0; m < M; m++) {
      bool knows = (int)x[i * F] == m;
      float p = knows ? (y[i] ? 0.9f : 0.1f) : (float)rng_uniform(&r);
      score[(i * M + m) * K] = 1 - p;
      score[(i * M + m) * K + 1] = p;
      if (values) score[i * M + m] = knows ? value[i] : (float)rng_normal(&r);
    }
  }
}

static des_config defaults(int method) {
  des_config c;
  opt_defaults(des_options, des_n_options, &c);
  c.method = method;
  return c;
}

static void test_near(void **state) {
  (void)state;
  des_near s;
  make(1, false);
  assert_int_equal(des_near_init(&s, x, N, F, NULL), GARAM_OK);
  for (uint32_t q = 0; q < 50; q++) {
    des_neighbour out[9];
    assert_int_equal(des_near_find(out, 9, &s, s.x + q * s.stride, q), 9);
    for (uint32_t i = 0; i < N; i++) {
      float d = 0;
      for (int j = 0; j < F; j++)
        d += (x[i * F + j] - x[q * F + j]) * (x[i * F + j] - x[q * F + j]);
      bool in = false;
      for (int a = 0; a < 9; a++) {
        in = in || out[a].row == i;
        assert_true(a == 0 || out[a].distance >= out[a - 1].distance);
      }
      if (i == q) assert_false(in);
      else if (!in) assert_true(d >= out[8].distance * 0.9999f);
    }
  }
  assert_int_equal(des_near_find((des_neighbour[4]){{0}}, 4, &s, s.x, UINT32_MAX), 4);
  des_near_deinit(&s);
}

/* What each rule says of one row, counted by hand from the neighbours. */
static void test_rules(void **state) {
  (void)state;
  make(2, false);
  for (int method = DES_KNORA_E; method <= DES_KNORA_U; method++) {
    des d;
    des_config c = defaults(method);
    assert_int_equal(des_fit(&d, &c, x, score, y, NULL, N, F, M, K, NULL), GARAM_OK);
    for (int q = 0; q < 40; q++) {
      double w[M], expected[M], sum = 0;
      float padded[DES_LANES] = {0};
      des_neighbour near[7];
      des_weights(&d, w, x + q * F, score + q * M * K);
      memcpy(padded, x + q * F, F * sizeof *x);
      des_near_find(near, 7, &d.rows, padded, UINT32_MAX);
      for (int k = 7; k >= 0 && !(sum > 0); k--)
        for (int m = 0; m < M; m++) {
          int right = 0;
          for (int i = 0; i < (method == DES_KNORA_U ? 7 : k); i++) {
            const float *p = score + (near[i].row * M + (uint32_t)m) * K;
            right += (p[1] > p[0]) == y[near[i].row];
          }
          expected[m] = method == DES_KNORA_U ? right : right == k;
          sum += expected[m];
        }
      for (int m = 0; m < M; m++) assert_true(fabs(w[m] - expected[m] / sum) < 1e-12);
    }
    des_deinit(&d);
  }
}

/* All rules find who knows, on rows that they have not seen. */
static void test_competence(void **state) {
  (void)state;
  for (int method = 0; des_method_names[method]; method++)
    for (int vote = 0; vote < 2; vote++) {
      des d;
      des_config c = defaults(method);
      c.vote = vote;
      make(3, false);
      assert_int_equal(des_fit(&d, &c, x, score, y, NULL, N, F, M, K, NULL), GARAM_OK);
      make(4, false);
      int hits = 0, of_one = 0;
      uint64_t before = mem_count();
      for (int i = 0; i < N; i++) {
        double w[M], sum = 0;
        float out[K];
        des_weights(&d, w, x + i * F, score + i * M * K);
        des_answer(&d, out, w, score + i * M * K);
        for (int m = 0; m < M; m++) sum += w[m];
        assert_true(fabs(sum - 1) < 1e-9);
        assert_true(fabs((double)(out[0] + out[1]) - 1) < 1e-5);
        hits += (out[1] > out[0]) == y[i];
        of_one += (score[i * M * K + 1] > 0.5f) == y[i];
      }
      assert_int_equal(mem_count(), before);
      /* meta-des's naive Bayes is coarse; rrc takes all that are a little better than chance */
      int least = method == DES_META || method == DES_RRC ? N / 20 : N / 8;
      if (hits < N * 0.68 || hits < of_one + least)
        fail_msg("%s: %d of %d right, one member %d", des_method_names[method], hits, N, of_one);
      des_deinit(&d);
    }
}

/* Every rule finds who is near the truth where, and is nearer to it than the mean of all; what it
 * says survives a package. */
static void test_values(void **state) {
  (void)state;
  char path[] = "/tmp/des_values_XXXXXX";
  close(mkstemp(path));
  for (int method = 0; des_method_names[method]; method++) {
    des d, again;
    des_config c = defaults(method);
    garam_error err;
    package_writer *w;
    package_reader *r;
    make(5, true);
    assert_int_equal(des_fit(&d, &c, x, score, NULL, value, N, F, M, 1, &err), GARAM_OK);
    assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
    assert_int_equal(des_save(&d, w, "s.", &err), GARAM_OK);
    assert_int_equal(package_write(w, path, &err), GARAM_OK);
    package_writer_free(w);
    assert_int_equal(package_open(&r, path, &err), GARAM_OK);
    assert_int_equal(des_load(&again, &c, F, M, 1, r, "s.", &err), GARAM_OK);
    make(6, true);
    double error = 0, mean_error = 0;
    uint64_t before = mem_count();
    for (int i = 0; i < N; i++) {
      double weights[M], other[M], sum = 0;
      float out, mean = 0;
      des_weights(&d, weights, x + i * F, score + i * M);
      des_weights(&again, other, x + i * F, score + i * M);
      assert_memory_equal(weights, other, sizeof other);
      des_answer(&d, &out, weights, score + i * M);
      for (int m = 0; m < M; m++) mean += score[i * M + m] / M, sum += weights[m];
      assert_true(fabs(sum - 1) < 1e-9);
      error += (double)((out - value[i]) * (out - value[i]));
      mean_error += (double)((mean - value[i]) * (mean - value[i]));
    }
    assert_int_equal(mem_count(), before);
    /* local weighs by the errors themselves; the others choose, knora-u and rrc not only the best
     */
    double most = method == DES_LOCAL ? 0.2 : method == DES_KNORA_E ? 0.5 : 0.9;
    if (!(error < most * mean_error))
      fail_msg("%s: %.3f, the mean %.3f", des_method_names[method], error / N, mean_error / N);
    package_close(r);
    des_deinit(&again);
    des_deinit(&d);
  }
  unlink(path);
}

/* What "right" and the reference are, by hand: errors 1, 2, 2 and 9 at the one row there is. */
static void test_right_values(void **state) {
  (void)state;
  static const float at[1] = {0}, said[4] = {1, -2, 2, 9}, truth[1] = {0};
  des d;
  for (int method = DES_KNORA_E; method <= DES_RRC; method += DES_RRC - DES_KNORA_E) {
    des_config c = defaults(method);
    assert_int_equal(des_fit(&d, &c, at, said, NULL, truth, 1, 1, 4, 1, NULL), GARAM_OK);
    static const uint8_t right[4] = {1, 1, 1, 0}; /* fewer than half of them do better */
    assert_memory_equal(d.right, right, sizeof right);
    assert_true(fabs(d.typical - sqrt(90 / 4.0)) < 1e-6);
    for (int m = 0; m < 4 && method == DES_RRC; m++)
      assert_true(fabs((double)d.competence[m] - erfc(fabs((double)said[m]) / sqrt(2 * 90 / 4.0))) <
                  1e-6);
    double w[4];
    des_weights(&d, w, at, said);
    for (int m = 0; m < 4; m++) assert_true(fabs(w[m] - (m < 3 ? 1 / 3.0 : 0)) < 1e-9);
    des_deinit(&d);
  }
}

/* Marsaglia's polar normals would do for gamma draws; here beta draws by rejection are enough. */
static double beta_draw(rng *r, double a, double b) {
  double log_most = -INFINITY;
  for (int i = 1; i < 400; i++) {
    double t = i / 400.0, v = (a - 1) * log(t) + (b - 1) * log1p(-t);
    log_most = v > log_most ? v : log_most;
  }
  for (;;) {
    double t = rng_uniform(r), u = rng_uniform(r);
    if (log(u) + log_most + 0.05 < (a - 1) * log(t) + (b - 1) * log1p(-t)) return t;
  }
}

static void test_reference(void **state) {
  (void)state;
  static const float p[][3] = {
      {0.5f, 0.25f, 0.25f}, {0.4f, 0.35f, 0.25f}, {1 / 3.f, 1 / 3.f, 1 / 3.f}};
  rng r;
  rng_init(&r, 1, RNG_TEST, 9);
  /* Betas with both parameters at least 1 only, for the draws: k p >= 1. */
  for (size_t i = 2; i < COUNT_OF(p); i++) {
    int hits = 0;
    for (int t = 0; t < 20000; t++) {
      double v[3];
      for (int c = 0; c < 3; c++)
        v[c] = beta_draw(&r, 3 * (double)p[i][c], 3 - 3 * (double)p[i][c]);
      hits += v[0] > v[1] && v[0] > v[2];
    }
    assert_true(fabs(des_reference(p[i], 3, 0) - hits / 20000.0) < 0.02);
  }
  for (size_t i = 0; i < COUNT_OF(p); i++) {
    double sum = 0;
    for (int c = 0; c < 3; c++) sum += des_reference(p[i], 3, c);
    assert_true(fabs(sum - 1) < 0.05); /* by quadrature */
  }
  assert_true(des_reference((const float[]){0.9f, 0.1f}, 2, 0) > 0.85);
  assert_true(des_reference((const float[]){1, 0}, 2, 1) < 0.01);
}

static void test_package(void **state) {
  (void)state;
  char path[] = "/tmp/des_test_XXXXXX";
  close(mkstemp(path));
  garam_error err = {0};
  for (int method = 0; des_method_names[method]; method++) {
    des d, again;
    des_config c = defaults(method);
    package_writer *w;
    package_reader *r;
    make(7, false);
    assert_int_equal(des_fit(&d, &c, x, score, y, NULL, N / 4, F, M, K, &err), GARAM_OK);
    for (int wrong = 0; wrong < 2; wrong++) {
      d.y[3] += wrong * 5;
      assert_int_equal(package_writer_new(&w, &err), GARAM_OK);
      assert_int_equal(des_save(&d, w, "s.", &err), GARAM_OK);
      assert_int_equal(package_write(w, path, &err), GARAM_OK);
      package_writer_free(w);
      assert_int_equal(package_open(&r, path, &err), GARAM_OK);
      assert_int_equal(des_load(&again, &c, F, M, K, r, "s.", &err), wrong ? GARAM_CORRUPT : 0);
      for (int i = N / 2; i < N && !wrong; i++) {
        double a[M], b[M];
        des_weights(&d, a, x + i * F, score + i * M * K);
        des_weights(&again, b, x + i * F, score + i * M * K);
        assert_memory_equal(a, b, sizeof a);
      }
      package_close(r);
      if (!wrong) des_deinit(&again);
    }
    des_deinit(&d);
  }
  unlink(path);
}

static void test_no_memory(void **state) {
  (void)state;
  static failing_allocator memory = {.fail_after = SIZE_MAX};
  failing_allocator_use(&memory);
  des d;
  des_config c = defaults(DES_META);
  bool done = false;
  make(8, false);
  for (size_t n = 0; !done; n++) {
    failing_allocator_restart(&memory, n);
    garam_status status = des_fit(&d, &c, x, score, y, NULL, 50, F, M, K, NULL);
    done = status == GARAM_OK;
    assert_true(done || status == GARAM_NO_MEMORY);
    if (done) des_deinit(&d);
    assert_int_equal(memory.n_blocks, 0);
  }
  garam_set_allocator(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_near),         cmocka_unit_test(test_rules),
      cmocka_unit_test(test_competence),   cmocka_unit_test(test_values),
      cmocka_unit_test(test_right_values), cmocka_unit_test(test_reference),
      cmocka_unit_test(test_package),      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests_name("des", tests, NULL, NULL);
}
