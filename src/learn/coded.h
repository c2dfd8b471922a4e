/* Weights in fewer bits than a float: how they lie in a package, and how they are read back.
 *
 * A matrix of weights is (..., outputs): its last dimension is what the product gives, the others
 * together are its inputs. Coded, the tensor NAME is
 *
 *   bf16   BF16, the same shape: the upper half of the float
 *   int8   I8, the same shape; NAME_scale is F32 (outputs): w = code * scale of the column
 *   int4   U8 (ceil(inputs / 2), outputs): input 2 i in the low half of byte i, 2 i + 1 in the
 *          high one, each code + 8; NAME_scale is F32 (ceil(inputs / group), outputs)
 *
 * and the metadata entry "garam.weights" says which, so that nothing is guessed from a dtype:
 *
 *   {"version": 1, "tensors": {NAME: {"to": "int4", "group": 32, "shape": [64, 512]}, ...}}
 *
 * "shape" is that of the floats; "group" is there for int4 alone. package_get() decodes. Choosing
 * the codes is shrink/'s: a reader needs none of it. */
#ifndef LEARN_CODED_H
#define LEARN_CODED_H

#include "learn/package.h"

#include <float.h>

#define CODED_META "garam.weights"
#define CODED_SCALE "_scale"
#define CODED_MAX_SCALE (FLT_MAX / 128) /* no code is more: a weight is finite */
enum { CODED_VERSION = 1, CODED_MAX_GROUP = 1 << 16 };

typedef enum coding { CODING_BF16, CODING_INT8, CODING_INT4 } coding;
extern const char *const coding_names[]; /* NULL at the end */

typedef struct coded_matrix {
  coding to;
  int rank; /* 2 at least */
  int64_t dims[PACKAGE_MAX_RANK];
  size_t inputs, outputs;
  size_t group; /* inputs that share a scale: all of them but for int4 */
} coded_matrix;

/* False when the shape is no matrix: a rank under 2, a dimension of 0, a size that overflows. */
bool coded_matrix_init(coded_matrix *m, coding to, int rank, const int64_t *dims, size_t group);

/* What stands in the file. */
package_dtype coded_type(const coded_matrix *m);
void coded_dims(int *rank, int64_t dims[PACKAGE_MAX_RANK], const coded_matrix *m);
size_t coded_bytes(const coded_matrix *m);
/* Rank 0: there are no scales. */
void coded_scale_dims(int *rank, int64_t dims[2], const coded_matrix *m);
size_t coded_n_scales(const coded_matrix *m);

/* out (inputs, outputs). scale is NULL where there are none. */
void coded_decode(float *out, const coded_matrix *m, const void *codes, const float *scale);

#endif
