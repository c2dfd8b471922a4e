/* Answers, put together. */
#include "serve/text.h"

#include "base/mem.h"
#include "base/number_text.h"

#include <stdarg.h>
#include <stdio.h>

void text_clear(text *t) {
  t->size = 0;
  t->failed = false;
}

void text_deinit(text *t) {
  mem_free(t->data);
  *t = (text){0};
}

char *text_extend(text *t, size_t size) {
  size_t needed;
  if (t->failed || !size_add(&needed, t->size, size) ||
      mem_grow(&t->data, &t->capacity, needed, 1, NULL) != GARAM_OK) {
    t->failed = true;
    return NULL;
  }
  char *at = t->data + t->size;
  t->size = needed;
  return at;
}

void text_add(text *t, const char *data, size_t size) {
  char *at = text_extend(t, size);
  if (at && size > 0) memcpy(at, data, size);
}

void text_format(text *t, const char *format, ...) {
  char small[512];
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(small, sizeof small, format, args);
  if (n < 0) {
    t->failed = true;
  } else if ((size_t)n < sizeof small) {
    text_add(t, small, (size_t)n);
  } else {
    char *at = text_extend(t, (size_t)n + 1); /* vsnprintf's NUL needs a place */
    if (at) {
      vsnprintf(at, (size_t)n + 1, format, again);
      t->size--;
    }
  }
  va_end(again);
  va_end(args);
}

void text_json_string(text *t, const char *s) {
  text_add(t, "\"", 1);
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\') {
      text_add(t, (const char[]){'\\', *s}, 2);
    } else if (c < 0x20 || c == 0x7f) {
      text_format(t, "\\u%04x", c);
    } else {
      text_add(t, s, 1);
    }
  }
  text_add(t, "\"", 1);
}

void text_html(text *t, const char *s) {
  for (; *s; s++) {
    const char *escaped = *s == '&'    ? "&amp;"
                          : *s == '<'  ? "&lt;"
                          : *s == '>'  ? "&gt;"
                          : *s == '"'  ? "&quot;"
                          : *s == '\'' ? "&#39;"
                                       : NULL;
    if (escaped) text_string(t, escaped);
    else text_add(t, s, 1);
  }
}

void text_f32(text *t, float value) {
  char digits[48], *to = digits;
  snprintf(digits, sizeof digits, "%.9g", (double)value);
  for (const char *at = digits; *at; at++) { /* a host's locale may have another point */
    if (strchr("0123456789+-e", *at)) *to++ = *at;
    else if (to == digits || to[-1] != '.') *to++ = '.';
  }
  text_add(t, digits, (size_t)(to - digits));
}

void text_f64(text *t, double value) {
  char digits[NUMBER_TEXT_MAX];
  text_add(t, digits, number_print(digits, value));
}
