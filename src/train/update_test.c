/* An update in micro-batches is that of the whole batch, takes what was planned, and has the same
 * bits for any number of threads. */
#include "train/update.h"

#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"

#include <malloc.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 12, T = 6, F = 5, TOKENS = 9, STEPS = 3 };

static const transformer_config trading = {
    .d_model = 16, .heads = 2, .layers = 2, .d_ff = 24, .dropout = 0.2, .seq = T};
static const mlp_config perceptron = {.hidden = 20, .layers = 2, .dropout = 0.3, .seq = T};
static const recurrent_config recurrent = {.hidden = 8, .layers = 2, .dropout = 0.2, .seq = T};
static const sequence_config sequence = {
    .d_model = 16, .heads = 2, .layers = 2, .d_ff = 24, .dropout = 0.2, .seq = T};

static const struct {
  const model_ops *model;
  const void *config;
} models[] = {
    {&model_transformer, &trading}, {&model_mlp, &perceptron}, {&model_lstm, &recurrent},
    {&model_gru, &recurrent},       {&model_gpt, &sequence},   {&model_bert, &sequence},
};

static train_config train_of(int micro, int precision) {
  train_config c;
  opt_defaults(train_options, train_n_options, &c);
  c.batch = BATCH;
  c.micro_batch = micro;
  c.precision = precision;
  return c;
}

static update_config config_of(size_t which, const train_config *train) {
  bool tokens = models[which].model->build_tokens;
  return (update_config){.program = {.model = models[which].model,
                                     .model_config = models[which].config,
                                     .batch = train->batch,
                                     .context = T,
                                     .n_features = F,
                                     .n_outputs = tokens ? TOKENS : 3,
                                     .task = TASK_CLASSIFICATION,
                                     .training = true,
                                     .seed = 4},
                         .train = train};
}

static void open_update(update *u, const update_config *c) {
  garam_error err;
  if (update_plan(u, c, &err) != GARAM_OK) fail_msg("%s", err.message);
  if (update_prepare(u, &err) != GARAM_OK) fail_msg("%s", err.message);
  graph_param_init(u->program.graph, u->params, 1);
  u->own_version++;
}

/* Row i of the batch is a function of i: weights differ, some windows are padded, and some steps
 * of a sequence ask for nothing. Returns the part's weights. */
static double load(update *u, uint64_t part) {
  program *p = &u->program;
  float *weight = p->weight, *x = p->x;
  const int64_t per_row = p->reads_tokens ? T : 1, width = p->reads_tokens ? 1 : F;
  double sum = 0;
  for (int64_t i = 0; i < u->micro; i++) {
    int64_t row = (int64_t)part * u->micro + i;
    rng r;
    rng_init(&r, 7, RNG_TEST, (uint64_t)row);
    p->begin[i] = row % 4 == 3 ? 2 : 0;
    for (int64_t k = 0; k < T * width; k++) {
      if (p->reads_tokens) p->tokens[i * T + k] = (int32_t)rng_below(&r, TOKENS);
      else x[i * T * F + k] = k / width < p->begin[i] ? 0 : (float)rng_normal(&r);
    }
    for (int64_t k = 0; k < per_row; k++) {
      bool there = row < BATCH && (!p->reads_tokens || k % 3);
      p->target[i * per_row + k] = there ? (int32_t)(row % 3) : -1;
      weight[i * per_row + k] = there ? 1 + (float)(row % 5) : 0;
      sum += (double)weight[i * per_row + k];
    }
  }
  return sum;
}

static double run(update *u, uint64_t step) {
  double total = 0;
  for (uint64_t part = 0; part < u->n_parts; part++) total += load(u, part);
  for (uint64_t part = 0; part < u->n_parts; part++) {
    double weight = load(u, part);
    assert_int_equal(update_part(u, step, part, weight / total, NULL), GARAM_OK);
  }
  return update_finish(u, step, 1e-3);
}

static double apart(const float *a, const float *b, size_t n) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < n; i++) {
    difference += pow((double)a[i] - (double)b[i], 2);
    size += pow((double)b[i], 2);
  }
  return sqrt(difference / size);
}

static void parts_make_the_whole(void **state) {
  (void)state;
  static const int micros[] = {1, 2, 3, 5, 6, 8};
  for (size_t m = 0; m < COUNT_OF(models); m++) {
    train_config train = train_of(BATCH, PRECISION_FP32);
    update_config c = config_of(m, &train);
    update whole;
    open_update(&whole, &c);
    assert_int_equal(whole.n_parts, 1);
    double norm[STEPS], loss[STEPS];
    float *first = mem_alloc(whole.block * sizeof *first);
    for (uint64_t s = 0; s < STEPS; s++) {
      norm[s] = run(&whole, s);
      loss[s] = whole.loss;
      if (s == 0) memcpy(first, whole.grads, whole.block * sizeof *first);
    }
    assert_true(norm[0] > 1e-3);
    for (size_t i = 0; i < COUNT_OF(micros); i++) {
      train.micro_batch = micros[i];
      c = config_of(m, &train);
      update u;
      open_update(&u, &c);
      assert_int_equal(u.n_parts, (uint64_t)((BATCH + micros[i] - 1) / micros[i]));
      for (uint64_t s = 0; s < STEPS; s++) {
        double got = run(&u, s);
        double off = s == 0 ? apart(u.grads, first, u.block) : 0;
        /* A step of AdamW is the gradient's sign where it is small: later steps drift further. */
        double allowed = s == 0 ? 1e-5 : 1e-3;
        if (!(off < 1e-5 && fabs(got / norm[s] - 1) < allowed &&
              fabs(u.loss / loss[s] - 1) < allowed))
          fail_msg("%s, %d rows at a time, step %d: gradients off by %.2g, norm %.9g of %.9g, loss "
                   "%.9g of %.9g",
                   models[m].model->name, micros[i], (int)s, off, got, norm[s], u.loss, loss[s]);
      }
      update_deinit(&u);
    }
    mem_free(first);
    update_deinit(&whole);
  }
}

static void threads_change_nothing(void **state) {
  (void)state;
  for (size_t m = 0; m < COUNT_OF(models); m++)
    for (int precision = PRECISION_FP32; precision <= PRECISION_BF16; precision++)
      for (int micro = 4; micro <= BATCH; micro += 8) {
        float *want = NULL;
        for (int threads = 1; threads <= 4; threads *= 2) {
          thread_set_count(threads);
          train_config train = train_of(micro, precision);
          update_config c = config_of(m, &train);
          update u;
          open_update(&u, &c);
          for (uint64_t s = 0; s < STEPS; s++) run(&u, s);
          size_t bytes = u.block * sizeof *want;
          if (!want) {
            want = mem_alloc(bytes);
            memcpy(want, u.params, bytes);
          }
          assert_memory_equal(want, u.params, bytes);
          update_deinit(&u);
        }
        mem_free(want);
      }
  thread_set_count(0);
}

static void a_warm_update_allocates_nothing(void **state) {
  (void)state;
  for (size_t m = 0; m < COUNT_OF(models); m++) {
    train_config train = train_of(4, PRECISION_AUTO);
    update_config c = config_of(m, &train);
    update u;
    open_update(&u, &c);
    run(&u, 0);
    uint64_t before = mem_count();
    for (uint64_t s = 1; s < 4; s++) run(&u, s);
    assert_int_equal(mem_count(), before);
    update_deinit(&u);
  }
}

/* ---- what memory lets it be ---- */

#if defined(__SANITIZE_ADDRESS__)
enum { MEASURES = 0 }; /* its own memory is counted */
#else
enum { MEASURES = 1 };
#endif

static update_config published(const transformer_config *model, const train_config *train) {
  return (update_config){.program = {.model = &model_transformer,
                                     .model_config = model,
                                     .batch = train->batch,
                                     .context = model->seq,
                                     .n_features = 16,
                                     .n_outputs = 3,
                                     .task = TASK_CLASSIFICATION,
                                     .training = true},
                         .train = train};
}

static void memory_chooses(void **state) {
  (void)state;
  transformer_config model;
  opt_defaults(transformer_options, transformer_n_options, &model);
  model.seq = 250;
  model.layers = 1;
  train_config train = train_of(0, PRECISION_FP32);
  train.batch = 32;
  update_config c = published(&model, &train);
  update u;
  garam_error err;
  assert_int_equal(update_plan(&u, &c, &err), GARAM_OK);
  assert_int_equal(u.micro, 16); /* four thousand steps */
  size_t most = u.memory.total, least = most;
  update_deinit(&u);
  int64_t before = 16;
  for (size_t limit = most - (most - u.memory.base) / 8; limit > u.memory.base; limit -= 1 << 21) {
    train.memory = (int64_t)limit;
    garam_status status = update_plan(&u, &c, &err);
    if (status != GARAM_OK) {
      assert_int_equal(status, GARAM_LIMIT);
      assert_non_null(strstr(err.message, "--memory"));
      break;
    }
    assert_true(u.memory.total <= limit && u.micro <= before);
    assert_int_equal(u.memory.total, u.memory.base + u.memory.params + u.memory.grads +
                                         u.memory.moments + u.memory.packed + u.memory.activations +
                                         u.memory.other);
    before = u.micro;
    least = u.memory.total;
    update_deinit(&u);
  }
  assert_true(before == 1 || (!MEASURES && before < 16));
  assert_true(least < most - (most - least) / 3);
  train.memory = 0;
  train.micro_batch = 64; /* more than there are */
  assert_int_equal(update_plan(&u, &c, &err), GARAM_OK);
  assert_int_equal(u.micro, 32);
  update_deinit(&u);
}

static void it_takes_what_was_planned(void **state) {
  (void)state;
  if (!MEASURES) skip();
  transformer_config model;
  opt_defaults(transformer_options, transformer_n_options, &model);
  model.layers = 2;
  for (int micro = 2; micro <= 8; micro *= 4)
    for (int precision = PRECISION_FP32; precision <= PRECISION_BF16; precision++) {
      train_config train = train_of(micro, precision);
      train.batch = 8;
      update_config c = published(&model, &train);
      update u;
      malloc_trim(0); /* what was freed is given back, so that it is not used again unseen */
      open_update(&u, &c);
      for (uint64_t s = 0; s < 2; s++) {
        float *x = u.program.x, *weight = u.program.weight;
        for (int64_t i = 0; i < u.micro * model.seq * 16; i++) x[i] = (float)(i % 13) / 13;
        for (int64_t i = 0; i < u.micro; i++) weight[i] = 1;
        for (uint64_t part = 0; part < u.n_parts; part++)
          update_part(&u, s, part, 1.0 / (double)u.n_parts, NULL);
        update_finish(&u, s, 1e-4);
      }
      double planned = (double)(u.memory.total - u.memory.base);
      double taken = (double)mem_resident() - (double)u.memory.base;
      print_message("%d rows, %s: planned %.1f MiB, taken %.1f\n", micro,
                    train_precision_names[precision], planned / (1 << 20), taken / (1 << 20));
      /* Beside it: stacks of threads, and what products keep for themselves. */
      assert_true(fabs(taken - planned) < 0.03 * planned + (4 << 20));
      update_deinit(&u);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(it_takes_what_was_planned), /* before others leave memory behind */
      cmocka_unit_test(parts_make_the_whole),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(a_warm_update_allocates_nothing),
      cmocka_unit_test(memory_chooses),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
