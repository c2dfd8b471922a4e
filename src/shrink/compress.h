/* A package in fewer bytes: matrices of weights in fewer bits, everything else as it was. */
#ifndef SHRINK_COMPRESS_H
#define SHRINK_COMPRESS_H

#include "base/opt.h"
#include "learn/coded.h"

typedef struct compress_config {
  int to; /* a coding */
  int group;
} compress_config;
extern const opt_row compress_options[];
extern const size_t compress_n_options;

/* Whether a tensor of a package is a matrix of weights that is worth it. */
bool compress_is_weights(const package_tensor *t);

/* What a package comes to, in memory until it is written (more than once, if need be).
 * GARAM_UNSUPPORTED where there is nothing to compress, or it was compressed already;
 * GARAM_MISMATCH where `path` is no package of a model or a policy. */
typedef struct compressed compressed;
garam_status compress_package(compressed **out, const char *path, const compress_config *config,
                              garam_error *err);
void compressed_free(compressed *c);
/* *report (new reference): to, bytes_before, bytes_after, worst_relative_error, kept (tensors left
 * as they were), tensors[]{name, shape, bytes_before, bytes_after, relative_error}, out. */
garam_status compressed_write(json_t **report, const compressed *c, const char *out,
                              garam_error *err);

#endif
