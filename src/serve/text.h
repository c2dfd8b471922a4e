/* A growing text for answers. It is kept from request to request, so that a warm connection
 * allocates nothing. Failure to grow is sticky: checked once, at the end. */
#ifndef SERVE_TEXT_H
#define SERVE_TEXT_H

#include "base/status.h"

#include <string.h>

typedef struct text {
  char *data;
  size_t size, capacity;
  bool failed; /* memory was out: data is not complete */
} text;

void text_clear(text *t); /* keeps the memory, forgets a failure */
void text_deinit(text *t);
char *text_extend(text *t, size_t size); /* room for size more bytes, counted; NULL: failed */
void text_add(text *t, const char *data, size_t size);
void text_format(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_json_string(text *t, const char *s); /* quoted and escaped */
void text_html(text *t, const char *s);        /* & < > " escaped */
void text_f32(text *t, float value);           /* 9 significant digits, finite; '.' in any locale */
void text_f64(text *t, double value);          /* shortest that reads back the same; finite */

static inline void text_string(text *t, const char *s) {
  text_add(t, s, strlen(s));
}

#endif
