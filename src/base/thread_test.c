#include "base/thread.h"

#include "base/status.h"

#include <setjmp.h>
#include <stdatomic.h>
#include <string.h>

#include <cmocka.h>

typedef struct visits {
  size_t n, grain;
  atomic_int seen[1000];
  atomic_int n_wrong;
} visits;

static void visit(void *context, size_t begin, size_t end) {
  visits *v = context;
  bool right = begin % v->grain == 0 && begin < end && end <= v->n &&
               (end - begin == v->grain || end == v->n);
  if (!right) atomic_fetch_add(&v->n_wrong, 1);
  for (size_t i = begin; i < end && i < COUNT_OF(v->seen); i++) atomic_fetch_add(&v->seen[i], 1);
  if (thread_index() < 0 || thread_index() >= 3) atomic_fetch_add(&v->n_wrong, 1);
}

/* Every item once, and the chunks are the same for any number of threads. */
static void every_item_once(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 2, 7, 64, 1000}, grains[] = {1, 3, 64, 2000};
  for (int threads = 1; threads <= 3; threads++) {
    thread_set_count(threads);
    assert_int_equal(thread_count(), threads);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
      for (size_t k = 0; k < COUNT_OF(grains); k++) {
        static visits v;
        memset(&v, 0, sizeof v);
        v.n = sizes[i];
        v.grain = grains[k];
        thread_for(sizes[i], grains[k], visit, &v);
        assert_int_equal(v.n_wrong, 0);
        for (size_t at = 0; at < COUNT_OF(v.seen); at++)
          assert_int_equal(v.seen[at], at < sizes[i]);
      }
  }
  thread_set_count(0);
  assert_int_equal(thread_count(), thread_available());
  assert_true(thread_available() >= 1);
}

static void look_inside(void *context, size_t begin, size_t end) {
  (void)begin;
  (void)end;
  atomic_int *most = context;
  if (thread_count() > atomic_load(most)) atomic_store(most, thread_count());
}

static void regions_do_not_nest(void **state) {
  (void)state;
  atomic_int most = 0;
  thread_set_count(2);
  thread_for(8, 1, look_inside, &most);
  assert_int_equal(most, 1);
  thread_set_count(0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_item_once),
      cmocka_unit_test(regions_do_not_nest),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
