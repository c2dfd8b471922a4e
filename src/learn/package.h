/* A package: one .safetensors file that holds a fitted pipeline: arrays, and a manifest as JSON
 * in __metadata__. It is data, never code; it is mapped, not parsed. Loading validates everything
 * before anything is used: header at most 100,000,000 bytes and starting with '{', offsets
 * contiguous from 0 to the end of the file, no duplicate keys, checked multiplication, known
 * dtypes. Also the container of checkpoints. */
#ifndef LEARN_PACKAGE_H
#define LEARN_PACKAGE_H

#include "base/json.h"

#define PACKAGE_MAX_RANK 8

typedef enum package_dtype { /* safetensors' names: F32 ... */
                             PACKAGE_F64,
                             PACKAGE_F32,
                             PACKAGE_BF16,
                             PACKAGE_F16,
                             PACKAGE_I64,
                             PACKAGE_I32,
                             PACKAGE_I16,
                             PACKAGE_I8,
                             PACKAGE_U64,
                             PACKAGE_U32,
                             PACKAGE_U16,
                             PACKAGE_U8,
                             PACKAGE_BOOL,
} package_dtype;
size_t package_dtype_size(package_dtype type); /* bytes of one element */
const char *package_dtype_name(package_dtype type);

typedef struct package_writer package_writer;
typedef struct package_reader package_reader;

garam_status package_writer_new(package_writer **out, garam_error *err);
void package_writer_free(package_writer *w);
/* `data` is borrowed until package_write. Names are unique (a second one is GARAM_INVALID).
 * rank 0 is one element; a dimension of 0 is allowed and has no bytes. */
garam_status package_add(package_writer *w, const char *name, package_dtype type, int rank,
                         const int64_t *dims, const void *data, garam_error *err);
/* A metadata entry; values in safetensors are strings: `value` is dumped as compact JSON under
 * its key ("garam" is the manifest). */
garam_status package_set_meta(package_writer *w, const char *key, const json_t *value,
                              garam_error *err);
/* The same with text that stands as it is: an entry of another package, taken over. */
garam_status package_set_meta_text(package_writer *w, const char *key, const char *text,
                                   garam_error *err);
/* Durable. Tensors stand in the order of their element size, largest first, then as added, and
 * the header is padded with spaces: every tensor starts at a multiple of its element's size. */
garam_status package_write(package_writer *w, const char *path, garam_error *err);

typedef struct package_tensor {
  const char *name;
  package_dtype type;
  int rank;
  int64_t dims[PACKAGE_MAX_RANK];
  size_t count, bytes;
  const void *data; /* in the map, or a copy where the file's writer did not align it: always
                       aligned for its type */
} package_tensor;

garam_status package_open(package_reader **out, const char *path, garam_error *err);
/* The same over memory that stays (fuzzing, embedding). */
garam_status package_open_memory(package_reader **out, const void *data, size_t size,
                                 const char *name, garam_error *err);
void package_close(package_reader *r);
const char *package_name(const package_reader *r);
size_t package_count(const package_reader *r);
const package_tensor *package_at(const package_reader *r, size_t i); /* in order of offsets */
bool package_has(const package_reader *r, const char *name);
/* Exact name, type and shape (a dim of -1 takes any); messages name file and tensor. Weights that
 * are coded (coded.h) are found as F32 of their true shape too: the reader decodes them when they
 * are first asked for, and owns the floats; not from two threads at once. package_at shows them as
 * they are stored. */
garam_status package_get(const package_tensor **out, const package_reader *r, const char *name,
                         package_dtype type, int rank, const int64_t *dims, garam_error *err);
/* The same, and every value must be finite: F32 and F64 only. */
garam_status package_get_finite(const package_tensor **out, const package_reader *r,
                                const char *name, package_dtype type, int rank, const int64_t *dims,
                                garam_error *err);
garam_status package_get_meta(json_t **out, const package_reader *r, const char *key,
                              garam_error *err);     /* parsed; new reference */
const json_t *package_meta(const package_reader *r); /* all entries, of strings; may be NULL */

#endif
