/* The probe's file: complete, and right by differences of its own losses. The bench: sane. */
#include "train/probe.h"

#include "base/mem.h"
#include "learn/package.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static transformer_config small_model(void) {
  transformer_config c;
  opt_defaults(transformer_options, transformer_n_options, &c);
  c.d_model = 16;
  c.heads = 2;
  c.layers = 2;
  c.d_ff = 32;
  c.seq = 6;
  return c;
}

static const package_tensor *get(const package_reader *r, const char *kind, const char *name) {
  char full[256];
  snprintf(full, sizeof full, "%s%s", kind, name);
  for (size_t i = 0; i < package_count(r); i++)
    if (strcmp(package_at(r, i)->name, full) == 0) return package_at(r, i);
  fail_msg("no array \"%s\"", full);
  return NULL;
}

static void a_probe_is_complete(void **state) {
  (void)state;
  char path[] = "/tmp/garam_probe_XXXXXX";
  close(mkstemp(path));
  probe_config c = {.model = small_model(), .batch = 5, .n_features = 4, .n_classes = 3, .seed = 2};
  opt_defaults(train_options, train_n_options, &c.train);
  c.train.learning_rate = 1e-3;
  garam_error err;
  if (probe_write(&c, path, &err) != GARAM_OK) fail_msg("%s", err.message);
  package_reader *r;
  assert_int_equal(package_open(&r, path, &err), GARAM_OK);

  size_t n_weights = 0;
  for (size_t i = 0; i < package_count(r); i++) {
    const package_tensor *w = package_at(r, i);
    if (strncmp(w->name, "weight.", 7) != 0) continue;
    n_weights++;
    const package_tensor *g = get(r, "grad.", w->name + 7), *a = get(r, "after.", w->name + 7);
    assert_int_equal(g->rank, w->rank);
    for (int k = 0; k < w->rank; k++) assert_int_equal(g->dims[k], w->dims[k]);
    /* Where there is a gradient, ten steps have moved the weight. */
    const float *before = w->data, *grad = g->data, *after = a->data;
    for (size_t k = 0; k < w->count; k++)
      if (fabsf(grad[k]) > 1e-4f) assert_true(before[k] != after[k]);
  }
  assert_int_equal(n_weights, 2 + 2 * (8 + 4 + 4) + 4);

  const package_tensor *losses = get(r, "", "losses"), *loss = get(r, "", "loss");
  const double *l = losses->data;
  assert_int_equal(losses->count, PROBE_STEPS);
  assert_true(l[0] == *(const double *)loss->data);
  assert_true(l[PROBE_STEPS - 1] < l[0]);

  /* The loss by its definition, from the scores. */
  const float *scores = get(r, "", "scores")->data;
  const int32_t *target = get(r, "", "target")->data, *begin = get(r, "", "begin")->data;
  double sum = 0;
  for (int i = 0; i < 5; i++) {
    double total = 0;
    for (int k = 0; k < 3; k++) total += exp((double)scores[3 * i + k]);
    sum += log(total) - (double)scores[3 * i + target[i]];
  }
  assert_true(fabs(sum / 5 - l[0]) < 1e-6);
  assert_int_equal(begin[0], 0);

  json_t *meta;
  assert_int_equal(package_get_meta(&meta, r, "probe", &err), GARAM_OK);
  assert_int_equal(json_integer_value(json_object_get(json_object_get(meta, "model"), "d_model")),
                   16);
  assert_true(json_number_value(json_object_get(json_object_get(meta, "model"), "dropout")) == 0);
  json_decref(meta);
  package_close(r);
  unlink(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_probe_is_complete),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
