/* What the halves of the reader share: package_read.c (the container) and package_coded.c (weights
 * in fewer bits). */
#ifndef LEARN_PACKAGE_INNER_H
#define LEARN_PACKAGE_INNER_H

#include "base/io.h"
#include "learn/coded.h"

/* A coded tensor, and what it is as floats: decoded when it is first asked for, since whoever only
 * looks what kind of package this is should not pay for it. */
typedef struct package_coded {
  coded_matrix matrix;
  package_tensor floats; /* F32 of the true shape; data is NULL until then */
  const float *scale;    /* NULL: there are none */
} package_coded;

struct package_reader {
  char *name;
  io_map map;
  json_t *header;          /* keeps the names */
  package_tensor *tensors; /* by offset */
  size_t n_tensors;
  const package_tensor **by_name; /* sorted */
  void **copies;                  /* (n_tensors): of those that were not aligned, else NULL */
  package_coded **coded;          /* (n_tensors): NULL where it is as it is; NULL: all are */
};

const package_tensor *package_find(const package_reader *r, const char *name); /* or NULL */

/* After the container was checked: reads and checks CODED_META, where there is one. */
garam_status package_coded_read(package_reader *r, garam_error *err);
void package_coded_free(package_reader *r);
/* The floats of t, which is coded; NULL where it is not. */
package_coded *package_coded_of(const package_reader *r, const package_tensor *t);
garam_status package_coded_decode(package_coded *c, const package_tensor *t, garam_error *err);

#endif
