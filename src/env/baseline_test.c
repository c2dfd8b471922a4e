/* Every baseline of every environment plays: its actions are accepted, and come again from the
 * same seed. */
#include "base/mem.h"
#include "env/baseline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static garam_error err;

static void play(const env_ops *ops, const baseline *b, double *first_return, size_t steps) {
  env *e;
  assert_int_equal(env_new(&e, ops, NULL, &(env_setup){.n = 5, .seed = 3}, &err), GARAM_OK);
  if (baseline_check(b, e, &err) != GARAM_OK) {
    env_free(e);
    return;
  }
  *first_return = 0;
  for (size_t t = 0; t < steps; t++) {
    /* in two ranges, the later one first: nothing leans on the order */
    b->act(e, 2, 5);
    b->act(e, 0, 2);
    if (env_step(e, &err) != GARAM_OK) fail_msg("%s: %s", b->name, err.message);
    for (size_t i = 0; i < 5; i++)
      *first_return += (double)e->batch.reward[i * (size_t)e->shape.n_agents];
  }
  env_free(e);
}

static void all_of_them_play(void **state) {
  (void)state;
  for (const env_ops *const *ops = env_registry; *ops; ops++) {
    env *e;
    if (env_new(&e, *ops, NULL, &(env_setup){.n = 1}, &err) != GARAM_OK) {
      print_message("%s needs options: %s\n", (*ops)->name, err.message);
      continue;
    }
    env_free(e);
    const baseline *b;
    for (size_t i = 0; (b = baseline_at((*ops)->name, i)); i++) {
      double one = 0, two = 0;
      play(*ops, b, &one, 120);
      play(*ops, b, &two, 120);
      if (one != two) fail_msg("%s %s: %.17g, then %.17g", (*ops)->name, b->name, one, two);
      assert_ptr_equal(baseline_find((*ops)->name, b->name, &err), b);
    }
  }
}

static void names_are_looked_up(void **state) {
  (void)state;
  assert_null(baseline_find("CartPole-v1", "optimal", &err));
  assert_non_null(strstr(err.message, "it has: random, zero"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_of_them_play),
      cmocka_unit_test(names_are_looked_up),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
