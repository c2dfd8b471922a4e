/* Checkpoints: they come back to the bit, are refused when they are another run's, and survive
 * neither a flipped byte of their header nor the lack of memory in silence. */
#include "train/checkpoint.h"

#include "base/io.h"
#include "base/mem.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BLOCK = 48 };
static char path[64];

static int path_make(void **state) {
  (void)state;
  snprintf(path, sizeof path, "/tmp/garam_checkpoint_XXXXXX");
  int fd = mkstemp(path);
  return fd < 0 ? 1 : close(fd);
}

static int path_remove(void **state) {
  (void)state;
  return unlink(path);
}

typedef struct blocks {
  float params[BLOCK], m[BLOCK], v[BLOCK], best[BLOCK];
} blocks;

static checkpoint make(blocks *b, float first, const char *options) {
  for (int i = 0; i < 4 * BLOCK; i++) ((float *)b)[i] = first + (float)i / 7;
  return (checkpoint){.block = BLOCK,
                      .params = b->params,
                      .optim = {{"m", PACKAGE_F32, BLOCK, sizeof b->m, b->m},
                                {"v.codes", PACKAGE_U8, sizeof b->v, sizeof b->v, b->v}},
                      .n_optim = 2,
                      .best = b->best,
                      .identity = json_pack("{s:s, s:{s:s, s:i}}", "model", "mlp", "options",
                                            "schedule", options, "layers", 2)};
}

static void drop(checkpoint *c) {
  json_decref(c->identity);
  curve_deinit(&c->curve);
}

static void write_one(blocks *b) {
  garam_error err;
  checkpoint c = make(b, 1, "cosine");
  c.step = UINT64_C(1) << 40;
  c.best_epoch = 1;
  c.best_value = 0.1;
  c.seconds = 1.0 / 3;
  for (int i = 0; i < CHECKPOINT_SUMS; i++) c.sums[i] = 1.0 / (i + 3);
  assert_int_equal(curve_reserve(&c.curve, 2, &err), GARAM_OK);
  curve_add(&c.curve, &(fit_epoch){.train_loss = 1.0 / 7, .valid_loss = NAN});
  curve_add(&c.curve, &(fit_epoch){.train_loss = 1.0 / 9, .valid_loss = 1.0 / 11});
  assert_int_equal(checkpoint_write(&c, path, &err), GARAM_OK);
  drop(&c);
}

static void it_comes_back(void **state) {
  (void)state;
  blocks a, b;
  garam_error err;
  write_one(&a);
  checkpoint c = make(&b, 100, "cosine");
  if (checkpoint_read(&c, path, &err) != GARAM_OK) fail_msg("%s", err.message);
  assert_memory_equal(&a, &b, sizeof a);
  assert_true(c.step == UINT64_C(1) << 40);
  assert_int_equal(c.best_epoch, 1);
  assert_true(c.best_value == 0.1 && c.seconds == 1.0 / 3);
  for (int i = 0; i < CHECKPOINT_SUMS; i++) assert_true(c.sums[i] == 1.0 / (i + 3));
  assert_int_equal(c.curve.n, 2);
  assert_true(isnan(c.curve.rows[0][1]) && c.curve.rows[1][1] == 1.0 / 11);
  drop(&c);
}

static void another_run_is_refused(void **state) {
  (void)state;
  blocks a, b, before;
  garam_error err;
  write_one(&a);
  checkpoint c = make(&b, 100, "restarts");
  before = b;
  assert_int_equal(checkpoint_read(&c, path, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "schedule"));
  assert_non_null(strstr(err.message, "cosine"));
  assert_memory_equal(&before, &b, sizeof b);
  json_object_set_new(json_object_get(c.identity, "options"), "schedule", json_string("cosine"));
  json_object_set_new(c.identity, "more", json_true());
  assert_int_equal(checkpoint_read(&c, path, &err), GARAM_MISMATCH);
  assert_non_null(strstr(err.message, "more"));
  json_object_del(c.identity, "more");
  c.block--;
  assert_int_not_equal(checkpoint_read(&c, path, &err), GARAM_OK);
  c.block++;
  assert_int_equal(checkpoint_read(&c, path, &err), GARAM_OK);
  drop(&c);
}

/* A byte of the header flipped: an error, or the same run still; never a crash. Cut anywhere: an
 * error. */
static void damage_is_found(void **state) {
  (void)state;
  blocks a, b;
  garam_error err;
  char *data;
  size_t size;
  write_one(&a);
  assert_int_equal(io_read_file(&data, &size, path, 1 << 20, &err), GARAM_OK);
  uint64_t header;
  memcpy(&header, data, 8);
  for (size_t at = 0; at < 8 + header; at += 5) {
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, (long)at, SEEK_SET);
    fputc(data[at] ^ 0x20, f);
    fclose(f);
    checkpoint c = make(&b, 100, "cosine");
    (void)checkpoint_read(&c, path, &err);
    drop(&c);
    f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, (long)at, SEEK_SET);
    fputc(data[at], f);
    fclose(f);
  }
  for (size_t n = size - 1; n > 37; n -= 37) {
    assert_int_equal(truncate(path, (off_t)n), 0);
    checkpoint c = make(&b, 100, "cosine");
    assert_int_not_equal(checkpoint_read(&c, path, &err), GARAM_OK);
    drop(&c);
  }
  mem_free(data);
}

static void memory_may_run_out_while_reading(void **state) {
  (void)state;
  blocks a, b;
  write_one(&a);
  static failing_allocator memory = {.once = true};
  failing_allocator_use(&memory);
  size_t at = 0;
  for (;; at++) {
    failing_allocator_restart(&memory, SIZE_MAX);
    garam_error err = {0};
    checkpoint c = make(&b, 100, "cosine");
    blocks before = b;
    failing_allocator_restart(&memory, at);
    garam_status status = checkpoint_read(&c, path, &err);
    bool done = status == GARAM_OK && !memory.failed;
    bool kept = status == GARAM_OK || memcmp(&before, &b, sizeof b) == 0;
    bool said = status == GARAM_OK || err.message[0]; /* jansson calls it a syntax error */
    failing_allocator_restart(&memory, SIZE_MAX);
    drop(&c);
    if (!kept || !said) {
      garam_set_allocator(NULL);
      fail_msg("allocation %zu: %s", at, err.message);
    }
    if (done) break;
  }
  garam_set_allocator(NULL);
  assert_true(at >= 20);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_comes_back),
      cmocka_unit_test(another_run_is_refused),
      cmocka_unit_test(damage_is_found),
      cmocka_unit_test(memory_may_run_out_while_reading),
  };
  return cmocka_run_group_tests(tests, path_make, path_remove);
}
