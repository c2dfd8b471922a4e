/* The bench of a step measures what it says, for every model that it knows. */
#include "train/bench_step.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bench_step_config bench_of(const char *name, void **config) {
  bench_step_config c = {.n_features = 4, .n_outputs = 3, .steps = 4, .warmup = 1};
  garam_error err;
  if (bench_model_find(&c.model, name, &err) != GARAM_OK ||
      bench_model_config(config, &c.model, "tiny", &err) != GARAM_OK)
    fail_msg("%s", err.message);
  c.config = *config;
  return c;
}

static void set(const bench_step_config *c, void *config, const char *name, const char *value) {
  const opt_row *row = opt_find(c->model.options, c->model.n_options, name);
  assert_non_null(row);
  assert_int_equal(opt_set_text(row, config, value, NULL), GARAM_OK);
}

static void a_step_is_measured(void **state) {
  (void)state;
  void *config;
  bench_step_config c = bench_of("transformer", &config);
  set(&c, config, "d-model", "16");
  set(&c, config, "d-ff", "32");
  set(&c, config, "seq", "6");
  set(&c, config, "batch", "8");
  bench_step_result r;
  garam_error err;
  if (bench_step(&r, &c, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_int_equal(r.n_steps, 4);
  size_t below = 0;
  for (int i = 0; i < 4; i++) {
    assert_true(r.step_seconds_all[i] > 0);
    below += r.step_seconds_all[i] <= r.step_seconds;
  }
  assert_int_equal(below, 2); /* the median of four lies between two and two */
  size_t block = 4 * (16 * 16 + 16) + 2 * (16 * 32) + 32 + 16 + 4 * 16;
  assert_int_equal(r.parameters, 4 * 16 + 16 + 2 * block + 2 * 16 + 16 * 8 + 8 + 8 * 3 + 3);
  assert_true(r.planned.total > 16 * r.parameters);
  /* Products alone: 6 flops a weight and step of the window. */
  double products = 6.0 * 8 * 6 * 2 * (4 * 16 * 16 + 2 * 16 * 32), flops = r.flops;
  assert_true(flops > products && flops < 1.5 * products);
  assert_true(r.flops_per_second > 0 && isfinite(r.loss));
  bench_step_deinit(&r);

  set(&c, config, "micro-batch", "2"); /* the same work, but the loss is the batch's */
  assert_int_equal(bench_step(&r, &c, &err), GARAM_OK);
  assert_int_equal(r.micro, 2);
  assert_true(fabs(r.flops / flops - 1) < 0.1);
  bench_step_deinit(&r);

  set(&c, config, "heads", "3");
  assert_int_equal(bench_step(&r, &c, &err), GARAM_INVALID);
  c.n_outputs = 1;
  assert_int_equal(bench_step(&r, &c, &err), GARAM_INVALID);
  mem_free(config);
}

static void every_model_can_be_measured(void **state) {
  (void)state;
  static const char *const names[] = {"transformer", "mlp", "lstm", "gru", "gpt", "bert"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    void *config;
    bench_step_config c = bench_of(names[i], &config);
    c.n_outputs = 7;
    c.steps = 20;
    set(&c, config, "warmup", "1");
    set(&c, config, "learning-rate", "1e-2");
    bench_step_result r;
    garam_error err;
    if (bench_step(&r, &c, &err) != GARAM_OK) fail_msg("%s: %s", names[i], err.message);
    /* One batch over and over is learned by heart. */
    if (!(r.loss < 0.97 * log(7))) fail_msg("%s: loss %.4f", names[i], r.loss);
    bench_step_deinit(&r);
    mem_free(config);
  }
  bench_model none;
  garam_error err;
  assert_int_equal(bench_model_find(&none, "trasformer", &err), GARAM_NOT_FOUND);
  assert_non_null(strstr(err.message, "transformer"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_step_is_measured),
      cmocka_unit_test(every_model_can_be_measured),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
