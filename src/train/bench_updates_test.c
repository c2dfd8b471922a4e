/* The learning step of an actor and a critic is one: the critic comes to fit its targets, and the
 * slow nets follow. */
#include "train/bench_updates.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void updates_are_counted_and_learn(void **state) {
  (void)state;
  bench_updates_config c = {0};
  opt_defaults(bench_updates_options, bench_updates_n_options, &c);
  c.batch = 16;
  c.first = 32;
  c.second = 16;
  c.seconds = 0.2;
  bench_updates_result r;
  garam_error err;
  if (bench_updates(&r, &c, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_true(r.updates > 0 && r.updates_per_second > 0);
  size_t actor = 24 * 32 + 32 + 32 * 16 + 16 + 16 * 4 + 4;
  size_t critic = 28 * 32 + 32 + 32 * 16 + 16 + 16 + 1;
  assert_int_equal(r.parameters, actor + critic);
  /* Forward through both slow nets; three passes through the critic; the actor's three, and two
   * through the critic it climbs. Products alone. */
  double flops = 2.0 * 16 * ((double)actor * 4 + (double)critic * 6);
  assert_true(r.flops > 0.8 * flops && r.flops < 1.5 * flops);
  assert_true(r.critic_loss < 0.5); /* rewards have a variance of 1 */
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(updates_are_counted_and_learn)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
