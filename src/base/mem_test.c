#include "base/mem.h"

#include "base/arena.h"
#include "tests/failing_allocator.h"

#include <setjmp.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void everything_goes_through_the_hook(void **state) {
  (void)state;
  failing_allocator h = {.fail_after = SIZE_MAX};
  failing_allocator_use(&h);
  uint64_t before = mem_count();
  char *a = mem_alloc(10), *b = mem_zalloc(100), *c = mem_strdup("text");
  char *d = mem_format("%d-%s", 5, "x"), *e = mem_array(3, 4), *f = mem_alloc_aligned(10, 64);
  assert_int_equal(h.n_blocks, 6);
  assert_int_equal(mem_count() - before, 6);
  for (int i = 0; i < 100; i++) assert_int_equal(b[i], 0);
  assert_string_equal(c, "text");
  assert_string_equal(d, "5-x");
  a = mem_resize(a, 1000);
  assert_int_equal(h.n_blocks, 6);
  json_t *json = json_pack("{s:i}", "a", 1); /* jansson too */
  assert_true(h.n_blocks > 6);
  json_decref(json);
  assert_int_equal(h.n_blocks, 6);
  mem_free(a);
  mem_free(b);
  mem_free(c);
  mem_free(d);
  mem_free(e);
  mem_free_aligned(f);
  mem_free(NULL);
  mem_free_aligned(NULL);
  void *none = mem_alloc(0); /* a block all the same */
  assert_non_null(none);
  mem_free(none);
  assert_int_equal(h.n_blocks, 0);

  h = (failing_allocator){.fail_after = 0};
  assert_null(mem_alloc(1));
  assert_null(mem_zalloc(1));
  assert_null(mem_strdup("x"));
  assert_null(mem_format("x"));
  assert_null(mem_array(1, 1));
  assert_null(mem_alloc_aligned(1, 16));
  garam_set_allocator(NULL);
  assert_int_equal(h.n_calls, 6);
  a = mem_alloc(10);
  assert_non_null(a);
  mem_free(a);
}

static void aligned(void **state) {
  (void)state;
  for (size_t alignment = sizeof(void *); alignment <= 4096; alignment *= 2)
    for (size_t size = 0; size < 300; size += 37) {
      char *block = mem_alloc_aligned(size, alignment);
      assert_non_null(block);
      assert_int_equal((uintptr_t)block % alignment, 0);
      memset(block, 0xff, size);
      mem_free_aligned(block);
    }
  assert_null(mem_alloc_aligned(SIZE_MAX - 8, 64));
}

static void grows(void **state) {
  (void)state;
  int *items = NULL;
  size_t capacity = 0;
  garam_error err;
  for (size_t n = 1; n <= 1000; n++) {
    assert_int_equal(mem_grow(&items, &capacity, n, sizeof *items, &err), GARAM_OK);
    assert_true(capacity >= n && capacity <= (n < 16 ? 16 : 2 * n));
    items[n - 1] = (int)n;
  }
  for (int n = 1; n <= 1000; n++) assert_int_equal(items[n - 1], n);
  size_t kept = capacity;
  int *block = items;
  assert_int_equal(mem_grow(&items, &capacity, SIZE_MAX / 2, sizeof *items, &err), GARAM_NO_MEMORY);
  assert_int_equal(mem_grow(&items, &capacity, SIZE_MAX, sizeof *items, &err), GARAM_NO_MEMORY);
  failing_allocator h = {.fail_after = 0};
  failing_allocator_use(&h);
  assert_int_equal(mem_grow(&items, &capacity, 5000, sizeof *items, &err), GARAM_NO_MEMORY);
  garam_set_allocator(NULL);
  assert_ptr_equal(items, block); /* a failure leaves the block and its size as they were */
  assert_int_equal(capacity, kept);
  mem_free(items);
}

static void sizes_do_not_wrap(void **state) {
  (void)state;
  size_t out;
  assert_true(size_mul(&out, 6, 7) && out == 42);
  assert_true(size_add(&out, SIZE_MAX - 1, 1) && out == SIZE_MAX);
  assert_false(size_mul(&out, SIZE_MAX / 2 + 1, 2));
  assert_false(size_add(&out, SIZE_MAX, 1));
  assert_null(mem_array(SIZE_MAX / 2, 4));
  assert_true(mem_peak_resident() > 100000);
  size_t before = mem_resident(), size = 32 << 20;
  assert_true(before > 100000 && before <= mem_peak_resident() + (1 << 20));
  char *block = mem_alloc(size);
  memset(block, 1, size);
  assert_true(mem_resident() >= before + size - (1 << 20));
  mem_free(block);
}

static void arenas_keep_their_addresses(void **state) {
  (void)state;
  arena a;
  char *items[500];
  arena_init(&a, 1024);
  for (int i = 0; i < 500; i++) {
    items[i] = arena_format(&a, "item %d", i);
    assert_int_equal((uintptr_t)items[i] % 16, 0);
  }
  for (int i = 0; i < 500; i++) {
    char text[32];
    snprintf(text, sizeof text, "item %d", i);
    assert_string_equal(items[i], text);
  }
  char *large = arena_alloc(&a, 100000); /* more than a chunk */
  for (int i = 0; i < 100000; i++) assert_int_equal(large[i], 0);
  memset(large, 1, 100000);
  arena_reset(&a);
  uint64_t before = mem_count();
  char *again = arena_alloc(&a, 100000); /* the newest chunk is reused, and zeroed again */
  assert_ptr_equal(again, large);
  assert_true(mem_count() == before);
  for (int i = 0; i < 100000; i++) assert_int_equal(again[i], 0);
  assert_string_equal(arena_strdup(&a, "kept"), "kept");
  assert_non_null(arena_alloc(&a, 0));
  assert_null(arena_alloc(&a, SIZE_MAX));
  assert_null(arena_alloc(&a, SIZE_MAX - 16));
  assert_null(arena_array(&a, SIZE_MAX / 2, 4));
  arena_deinit(&a);
  arena_reset(&a);
  arena_deinit(&a);
}

static void arenas_run_out(void **state) {
  (void)state;
  failing_allocator h = {.fail_after = 1};
  arena a;
  arena_init(&a, 64);
  failing_allocator_use(&h);
  char *first = arena_strdup(&a, "first");
  assert_string_equal(first, "first");
  assert_null(arena_alloc(&a, 200));
  assert_null(arena_strdup(&a, "a text that does not fit the sixty-four bytes of the first chunk"));
  assert_non_null(arena_alloc(&a, 16)); /* what fits still does */
  assert_string_equal(first, "first");
  arena_deinit(&a);
  garam_set_allocator(NULL);
  assert_int_equal(h.n_blocks, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(everything_goes_through_the_hook),
      cmocka_unit_test(aligned),
      cmocka_unit_test(grows),
      cmocka_unit_test(sizes_do_not_wrap),
      cmocka_unit_test(arenas_keep_their_addresses),
      cmocka_unit_test(arenas_run_out),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
