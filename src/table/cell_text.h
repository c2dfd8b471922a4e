/* What the text of a cell is before it has a type. */
#ifndef TABLE_CELL_TEXT_H
#define TABLE_CELL_TEXT_H

#include "table/rows.h"

/* "", NA, N/A, #N/A, -, and nan, null, none in any case. */
bool text_is_missing(const char *text, size_t n);

/* The cell as it would be written, cut at CELL_TEXT_MAX - 1 bytes; returns the length. */
#define CELL_TEXT_MAX 64
size_t cell_print(char out[CELL_TEXT_MAX], const cell *c);

/* Decides the type of column i from its counts; nothing when they are all zero. */
garam_status column_decide(row_reader *r, size_t i, uint64_t line, garam_error *err);

#endif
