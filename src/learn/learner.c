/* What all learners share: finding one by name, presets, the summary of a fit. */
#include "learn/learner.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void fit_summary_deinit(fit_summary *s) {
  mem_free(s->train_loss);
  mem_free(s->valid_loss);
  *s = (fit_summary){0};
}

const learner_ops *learner_find(const char *name, garam_error *err) {
  enum { MOST = 256 };
  const char *names[MOST];
  size_t n = 0;
  for (; n < MOST && learner_registry[n]; n++) {
    if (strcmp(learner_registry[n]->name, name) == 0) return learner_registry[n];
    names[n] = learner_registry[n]->name;
  }
  const char *near = name_nearest(name, names, n);
  fail(err, GARAM_NOT_FOUND, "no model is named \"%s\"%s%s%s", name,
       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  return NULL;
}

static garam_status apply_setting(const char *whose, const opt_set *set, const char *setting,
                                  garam_error *err) {
  char name[64];
  const char *equals = strchr(setting, '=');
  REQUIRE(equals && (size_t)(equals - setting) < sizeof name, "%s: preset setting \"%s\"", whose,
          setting);
  snprintf(name, sizeof name, "%.*s", (int)(equals - setting), setting);
  const opt_row *row = opt_find(set->rows, set->n_rows, name);
  REQUIRE(row, "%s: preset setting \"%s\": no such option", whose, setting);
  return opt_set_text(row, set->config, equals + 1, err);
}

garam_status preset_apply(const char *whose, const learner_preset *presets, const opt_set *set,
                          const char *preset, garam_error *err) {
  enum { MOST = 64 };
  const char *names[MOST];
  size_t n = 0;
  for (; presets && n < MOST && presets[n].name; n++) {
    names[n] = presets[n].name;
    if (strcmp(names[n], preset) != 0) continue;
    for (const char *const *s = presets[n].settings; *s; s++)
      TRY(apply_setting(whose, set, *s, err));
    return GARAM_OK;
  }
  if (n == 0) return fail(err, GARAM_NOT_FOUND, "--preset: %s has no presets", whose);
  char all[256] = "";
  for (size_t i = 0; i < n; i++) {
    size_t used = strlen(all);
    snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", names[i]);
  }
  return fail(err, GARAM_NOT_FOUND, "--preset: %s has no \"%s\"; it has %s", whose, preset, all);
}

garam_status learner_apply_preset(const learner_ops *ops, void *config, const char *preset,
                                  garam_error *err) {
  const opt_set set = {.rows = ops->options, .n_rows = ops->n_options, .config = config};
  return preset_apply(ops->name, ops->presets, &set, preset, err);
}
