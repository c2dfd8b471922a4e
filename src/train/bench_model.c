/* What can be measured: see bench_model.h. */
#include "train/bench_model.h"

#include "base/mem.h"
#include "train/net_learner.h"
#include "train/schedule.h"

#include <string.h>

typedef struct tokens_config {
  sequence_config model;
  train_config train;
} tokens_config;

static const opt_row tokens_options[] = {
#define AT(field) OPT_AT(tokens_config, model.field)
#include "model/sequence.def"
#undef AT
#define AT(field) OPT_AT(tokens_config, train.field)
#include "train/options.def"
#undef AT
};

static const learner_preset tokens_presets[] = {
    {"tiny", (const char *const[]){"d-model=32", "heads=2", "layers=2", "d-ff=128", "seq=32",
                                   "batch=64", NULL}},
    {"small", (const char *const[]){"d-model=128", "heads=4", "layers=4", "d-ff=512", "seq=128",
                                    "batch=32", NULL}},
    {"base", (const char *const[]){"batch=8", NULL}},
    {NULL, NULL},
};

static const net_record *const learners[] = {&net_record_transformer, &net_record_mlp,
                                             &net_record_lstm, &net_record_gru};
static const model_ops *const of_tokens[] = {&model_gpt, &model_bert};

garam_status bench_model_find(bench_model *out, const char *name, garam_error *err) {
  const char *names[COUNT_OF(learners) + COUNT_OF(of_tokens)];
  size_t n = 0;
  for (size_t i = 0; i < COUNT_OF(learners); i++) {
    const net_record *r = learners[i];
    names[n++] = r->ops->name;
    if (strcmp(r->ops->name, name) != 0) continue;
    *out = (bench_model){.name = name,
                         .model = r->model,
                         .options = r->ops->options,
                         .n_options = r->ops->n_options,
                         .config_size = r->ops->config_size,
                         .model_offset = r->model_offset,
                         .train_offset = r->train_offset,
                         .presets = r->ops->presets};
    return GARAM_OK;
  }
  for (size_t i = 0; i < COUNT_OF(of_tokens); i++) {
    names[n++] = of_tokens[i]->name;
    if (strcmp(of_tokens[i]->name, name) != 0) continue;
    *out = (bench_model){.name = name,
                         .model = of_tokens[i],
                         .options = tokens_options,
                         .n_options = COUNT_OF(tokens_options),
                         .config_size = sizeof(tokens_config),
                         .model_offset = offsetof(tokens_config, model),
                         .train_offset = offsetof(tokens_config, train),
                         .presets = tokens_presets};
    return GARAM_OK;
  }
  const char *near = name_nearest(name, names, n);
  return fail(err, GARAM_NOT_FOUND, "there is no model \"%s\" to measure%s%s%s", name,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

garam_status bench_model_config(void **out, const bench_model *m, const char *preset,
                                garam_error *err) {
  void *config = mem_zalloc(m->config_size);
  *out = NULL;
  if (!config) return fail_memory(err, m->config_size);
  opt_defaults(m->options, m->n_options, config);
  /* A learner's record is what presets are applied through; only these three are read there. */
  const learner_ops ops = {
      .name = m->name, .options = m->options, .n_options = m->n_options, .presets = m->presets};
  garam_status status =
      preset && *preset ? learner_apply_preset(&ops, config, preset, err) : GARAM_OK;
  if (status != GARAM_OK) mem_free(config);
  else *out = config;
  return status;
}
