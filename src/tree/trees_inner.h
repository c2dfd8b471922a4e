/* The arrays of a set of trees as a table, for trees*.c only: freeing, growing, saving and loading
 * walk it. */
#ifndef TREE_TREES_INNER_H
#define TREE_TREES_INNER_H

#include "tree/trees.h"

/* How many elements an array has. */
typedef enum trees_unit {
  TREES_PER_OUTPUT,
  TREES_PER_TREE,
  TREES_PER_TREE_END, /* n_trees + 1 */
  TREES_PER_SPLIT,
  TREES_PER_SET_END, /* n_sets + 1 */
  TREES_PER_WORD,
  TREES_PER_LEAF,
  TREES_PER_VALUE,      /* n_leaves x width */
  TREES_PER_LINEAR_END, /* n_leaves + 1 where leaves are linear, else none */
  TREES_PER_LINEAR_LEAF,
  TREES_PER_LINEAR,
} trees_unit;

typedef struct trees_field {
  const char *name;
  size_t offset; /* of the pointer in trees */
  package_dtype type;
  trees_unit unit;
} trees_field;

enum { TREES_N_FIELDS = 20 };
extern const trees_field trees_fields[TREES_N_FIELDS];

void **trees_array(trees *t, const trees_field *f);
const void *trees_array_of(const trees *t, const trees_field *f);
size_t trees_array_count(const trees *t, const trees_field *f);

/* Is tree `tree` one: children in range, every node reached once, not too deep, numbers as they
 * must be? `scratch` holds trees_check_scratch() bytes for it. */
size_t trees_check_scratch(size_t n_splits);
garam_status trees_check(const trees *t, size_t tree, void *scratch, garam_error *err);

#endif
