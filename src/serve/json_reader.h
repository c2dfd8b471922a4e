/* Reads JSON (RFC 8259) from memory without building a tree: an inference request is mostly one
 * long list of numbers, and goes straight into floats. Strict: no comments, no trailing commas, no
 * NaN, UTF-8 checked, depth limited. Errors are sticky and name the byte. */
#ifndef SERVE_JSON_READER_H
#define SERVE_JSON_READER_H

#include "base/status.h"

typedef struct json_slice {
  const char *at; /* a string with its quotes and escapes, as it was written */
  size_t size;
} json_slice;

typedef struct json_reader {
  const char *begin, *at, *end;
  garam_error *err;
  garam_status status;
  int depth;
} json_reader;

enum { JSON_READER_DEPTH = 32 };

void json_reader_init(json_reader *r, const char *data, size_t size, garam_error *err);

/* The first character of the next token, not taken; 0 at the end. */
char json_reader_peek(json_reader *r);
/* Takes the character if it is next. */
bool json_reader_take(json_reader *r, char c);
/* Takes it or fails. */
bool json_reader_expect(json_reader *r, char c);
bool json_reader_end(json_reader *r); /* nothing but white space is left; else fails */

/* After '{' or '[': true while there is a member or item to read (`first` starts true). */
bool json_reader_open(json_reader *r, char bracket);
bool json_reader_member(json_reader *r, bool *first, json_slice *key); /* takes key and ':' */
bool json_reader_item(json_reader *r, bool *first);

bool json_reader_string(json_reader *r, json_slice *out);
/* A whole number that int64 holds sets *is_integer and *integer. */
bool json_reader_number(json_reader *r, double *real, int64_t *integer, bool *is_integer);
bool json_reader_bool(json_reader *r, bool *out);
bool json_reader_skip(json_reader *r); /* any value */

/* The string as text, cut to fit (size includes the NUL). Lone surrogates become U+FFFD. */
void json_slice_text(char *out, size_t size, json_slice s);
bool json_slice_is(json_slice s, const char *text); /* by meaning: escapes are resolved */

bool json_reader_fail(json_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3))); /* returns false */

#endif
