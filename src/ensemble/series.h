/* Members of one spec in a row, each with a weight: what bagging and boosting grow. In a package
 * PREFIXb0., PREFIXb1., ... and PREFIXweights. */
#ifndef ENSEMBLE_SERIES_H
#define ENSEMBLE_SERIES_H

#include "ensemble/member.h"

typedef struct series {
  const member_spec *spec; /* borrowed */
  learner_shape shape;     /* that members see */
  size_t n_features;       /* that each takes of them; 0: all */
  member *items;           /* (n) */
  double *weights;         /* (n) */
  size_t n, capacity, weights_capacity;
} series;

void series_init(series *s, const member_spec *spec, const learner_shape *shape, size_t n_features);
void series_deinit(series *s);
/* A new member at the end, not fitted, weight 0; `features` as member_init, where n_features says
 * so. */
garam_status series_add(member **out, series *s, const uint32_t *features, garam_error *err);
void series_cut(series *s, size_t n); /* drops those after the first n */
size_t series_parameters(const series *s);

/* The window of a member, and that one can be made at all. */
garam_status series_probe(size_t *context, const member_spec *spec, const learner_shape *shape,
                          garam_error *err);

garam_status series_save(const series *s, package_writer *w, const char *prefix, garam_error *err);
/* At most `most` members, at least one; GARAM_CORRUPT when their window is not `context`. */
garam_status series_load(series *s, size_t most, size_t context, const member_scaling *scaling,
                         package_reader *r, const char *prefix, garam_error *err);

#endif
