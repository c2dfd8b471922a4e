/* Schedules by table. */
#include "train/schedule.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static train_config defaults(void) {
  train_config c;
  opt_defaults(train_options, train_n_options, &c);
  return c;
}

static void names_and_records_agree(void **state) {
  (void)state;
  static const schedule_ops *const records[] = {&schedule_restarts, &schedule_cosine,
                                                &schedule_constant};
  for (size_t i = 0; i < COUNT_OF(records); i++)
    assert_string_equal(schedule_names[i], records[i]->name);
  assert_null(schedule_names[COUNT_OF(records)]);
}

static void warmup_is_cut_on_short_runs(void **state) {
  (void)state;
  train_config c = defaults();
  assert_int_equal(schedule_warmup(&c, 1000000), 4000);
  assert_int_equal(schedule_warmup(&c, 1000), 100);
  assert_int_equal(schedule_warmup(&c, 3), 0);
  c.warmup = 0;
  assert_int_equal(schedule_warmup(&c, 1000), 0);
}

/* 100 steps an epoch, 1000 epochs: warmup 4000, then cycles of 10, 20, 40 epochs. */
static void values_by_table(void **state) {
  (void)state;
  enum { RESTARTS, COSINE, CONSTANT };
  static const struct {
    int schedule;
    uint64_t step;
    double floor, expected; /* as a share of the peak */
  } rows[] = {
      {RESTARTS, 0, 0, 1.0 / 4000},
      {RESTARTS, 1999, 0, 0.5},
      {RESTARTS, 3999, 0, 1},
      {RESTARTS, 4000, 0, 1},
      {RESTARTS, 4000 + 250, 0, 0.853553390593273762},
      {RESTARTS, 4000 + 500, 0, 0.5},
      {RESTARTS, 4000 + 750, 0, 0.146446609406726238},
      {RESTARTS, 4000 + 999, 0, 2.4673990787e-06},
      {RESTARTS, 4000 + 1000, 0, 1},
      {RESTARTS, 4000 + 1500, 0, 0.853553390593273762},
      {RESTARTS, 4000 + 2000, 0, 0.5},
      {RESTARTS, 4000 + 3000, 0, 1},
      {RESTARTS, 4000 + 5000, 0, 0.5},
      {RESTARTS, 4000 + 7000, 0, 1},
      {RESTARTS, 4000 + 500, 0.2, 0.6},
      {COSINE, 1999, 0, 0.5},
      {COSINE, 4000, 0, 1},
      {COSINE, 4000 + 48000, 0, 0.5},
      {COSINE, 4000 + 72000, 0.1, 0.1 + 0.9 * 0.146446609406726238},
      {COSINE, 100000, 0.1, 0.1},
      {COSINE, 200000, 0.1, 0.1},
      {CONSTANT, 1999, 0.1, 0.5},
      {CONSTANT, 50000, 0.1, 1},
  };
  train_config c = defaults();
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    c.schedule = rows[i].schedule;
    c.floor = rows[i].floor;
    double rate = schedule_rate(&c, rows[i].step, 100000, 100);
    assert_true(fabs(rate / c.learning_rate - rows[i].expected) < 1e-10);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_and_records_agree),
      cmocka_unit_test(warmup_is_cut_on_short_runs),
      cmocka_unit_test(values_by_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
