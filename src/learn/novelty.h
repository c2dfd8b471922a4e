/* Is a row like those that were trained on? The dissimilarity index of Meyer & Pebesma, "Predicting
 * into unknown space?", Methods in Ecology and Evolution 12 (2021): the distance to the nearest
 * training row, features standardised and weighed by importance, over the mean distance between
 * training rows. The training rows' own, each to the nearest of another block in time, say what is
 * usual: beyond their upper whisker (third quartile + 1.5 interquartile ranges) is outside. */
#ifndef LEARN_NOVELTY_H
#define LEARN_NOVELTY_H

#include "learn/dataset.h"
#include "learn/package.h"

typedef struct novelty {
  size_t n, n_features;
  float *center, *scale; /* (n_features): (x - center) x scale; scale holds the weight */
  float *rows;           /* (n, n_features) reference rows, so scaled */
  double mean_distance, threshold;
} novelty;

/* Up to `most` of the rows, evenly taken, are the reference. importance (n_features) may be NULL:
 * all the same; it is brought to mean 1. Missing numbers are the centre. */
garam_status novelty_fit(novelty *out, const dataset *d, row_set rows, const double *importance,
                         size_t most, garam_error *err);
void novelty_deinit(novelty *v);
/* The index of a row x (n_features); at or under 1: within the domain (it is over the threshold).
 * No malloc. */
double novelty_index(const novelty *v, const float *x);

garam_status novelty_save(const novelty *v, package_writer *w, const char *prefix,
                          garam_error *err);
garam_status novelty_load(novelty *out, size_t n_features, const package_reader *r,
                          const char *prefix, garam_error *err);

#endif
