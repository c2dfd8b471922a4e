/* A learner is anything with fit, predict, save, load and a list of options. The keystone: the
 * command, the server, the report, ensembles and searches speak only to this header. */
#ifndef LEARN_LEARNER_H
#define LEARN_LEARNER_H

#include "base/opt.h"
#include "learn/dataset.h"
#include "learn/package.h"

typedef struct learner learner;

/* One line of the training curve. */
typedef struct fit_epoch {
  int epoch, n_epochs;
  double train_loss, valid_loss, train_accuracy, valid_accuracy; /* NaN: not there */
  double learning_rate, seconds;
  bool best;
} fit_epoch;

/* What a fit may ask of its caller. All may be NULL or zero. */
typedef struct fit_context {
  uint64_t seed;
  void (*on_epoch)(void *context, const fit_epoch *epoch);
  void (*on_step)(void *context, int epoch, uint64_t step, uint64_t n_steps, double loss);
  bool (*interrupted)(void *context); /* true: save the checkpoint, return GARAM_INTERRUPTED */
  void *context;
  const char *checkpoint;  /* folder for last and best, made when absent; NULL: none is written */
  bool resume;             /* go on from the checkpoint, bit-identically */
  const char *events;      /* folder for TensorBoard event files, or NULL */
  const char *fingerprint; /* of data and options: a checkpoint of other ones is refused */
} fit_context;

typedef struct fit_summary {
  int epochs, best_epoch;
  double seconds, best_valid_loss;
  size_t parameters;
  double *train_loss, *valid_loss; /* (epochs), owned */
} fit_summary;
void fit_summary_deinit(fit_summary *s);

typedef struct learner_shape {
  task task;
  size_t n_features;
  int n_classes;
} learner_shape;

typedef struct learner_preset {
  const char *name;
  const char *const *settings; /* "d-model=64", ...; NULL at the end */
} learner_preset;

/* A learner that goes on learning from outcomes (a dynamic ensemble). What a row says is worked out
 * once, in batches, by `view`; an answer or an outcome then is one tick, without an allocation.
 * predict is view and answer. stream.h walks rows in time, outcomes when they are known. Such a
 * learner takes raw inputs and values (not wants_scaled). */
typedef struct learner_stream {
  size_t (*width)(const learner *l); /* floats of a view */
  garam_status (*view)(learner *l, const float *x, const int32_t *begin, size_t n, float *views,
                       garam_error *err); /* x, begin as in predict; views (n, width) */
  void (*answer)(learner *l, const float *view, float *out); /* by what is known now */
  /* Values: out (2), the ends of an interval that holds the outcome in a share of CONFORMAL_TARGET
   * (conformal.h); an end may be infinite. NULL: it has none of its own. */
  void (*bounds)(const learner *l, const float *view, float *out);
  void (*observe)(learner *l, const float *view, int32_t y, float value); /* what became of it */
  void (*keep)(learner *l);   /* what it knows now is what save writes and rewind goes back to */
  void (*rewind)(learner *l); /* to what was kept last: by fit, load or keep */
  /* The parts it is made of, for comparison; the last is their plain mean. */
  size_t (*n_parts)(const learner *l);
  const char *(*part_name)(const learner *l, size_t i);
  void (*part)(learner *l, const float *view, size_t i, float *out); /* as answer */
  json_t *(*describe)(const learner *l); /* weights and counts as they stand; NULL: no memory */
} learner_stream;

/* The record of one kind of learner. */
typedef struct learner_ops {
  const char *name, *summary;
  unsigned tasks; /* bit 1 << task for each that it can do */
  const opt_row *options;
  size_t n_options, config_size; /* bytes of the config that the rows fill */
  const learner_preset *presets; /* name NULL at the end; may be NULL */
  bool takes_init;   /* fits what is left over the scores in dataset.init; one output only */
  bool wants_scaled; /* standardised inputs, missing as 0 */

  garam_status (*create)(learner **out, const void *config, const learner_shape *shape,
                         garam_error *err);
  void (*destroy)(learner *l);
  /* Rows of window ending at the row that a prediction reads: 1 for tabular learners. */
  size_t (*context)(const learner *l);
  garam_status (*fit)(learner *l, const dataset *d, row_set train, row_set valid,
                      const fit_context *fit, fit_summary *summary, garam_error *err);
  /* x (n, context, n_features); begin[i] rows in front of window i are padding (NULL: none).
   * out (n, K): class scores before softmax (logits); regression (n, 1): the value. No malloc
   * once warm for an n that was seen before. Not thread-safe on one learner. */
  garam_status (*predict)(learner *l, const float *x, const int32_t *begin, size_t n, float *out,
                          garam_error *err);
  garam_status (*save)(const learner *l, package_writer *w, const char *prefix, garam_error *err);
  garam_status (*load)(learner **out, const void *config, const learner_shape *shape,
                       package_reader *r, const char *prefix, garam_error *err);
  size_t (*parameters)(const learner *l);
  const learner_stream *stream; /* NULL: it does not change once fitted */
} learner_ops;

struct learner {
  const learner_ops *ops; /* first member of every learner's own struct */
};

/* Every kind there is: one visible list (registry.c, in the room that knows them all). */
extern const learner_ops *const learner_registry[];
const learner_ops *learner_find(const char *name, garam_error *err); /* nearest name on failure */

/* Settings of a preset into a config that holds the defaults. */
garam_status learner_apply_preset(const learner_ops *ops, void *config, const char *preset,
                                  garam_error *err);
/* The same for anything that has rows and presets. */
garam_status preset_apply(const char *whose, const learner_preset *presets, const opt_set *set,
                          const char *preset, garam_error *err);

#endif
