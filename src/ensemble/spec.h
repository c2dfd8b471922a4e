/* Members as text, for one option row and one line of a shell:
 *
 *   linear,mlp:small,gbdt:leaves=31,rounds=200,stack:members=(linear,lstm),folds=3
 *
 * A member is the name of a learner; after a colon come its settings, parted by commas: NAME=VALUE
 * as its flags have them, or the bare name of a preset. A piece without '=' begins the next member.
 * Parentheses keep a value's own commas together. What is not given has the learner's default. */
#ifndef ENSEMBLE_SPEC_H
#define ENSEMBLE_SPEC_H

#include "learn/learner.h"

enum { SPEC_TEXT_MAX = 1024 }; /* bytes of an option row that holds members */

typedef struct member_spec {
  const learner_ops *ops;
  void *config; /* of ops->config_size, owned */
  char *text;   /* as given, owned */
} member_spec;

typedef struct member_specs {
  member_spec *items;
  size_t n;
} member_specs;

/* `where` ("--members") begins every message. GARAM_NOT_FOUND with the nearest name for an unknown
 * learner, preset or setting; GARAM_UNSUPPORTED for one that does not do the task; GARAM_INVALID
 * for text that is not of the form above, and for no member at all. */
garam_status member_specs_parse(member_specs *out, const char *text, task kind, const char *where,
                                garam_error *err);
void member_specs_deinit(member_specs *s);

#endif
