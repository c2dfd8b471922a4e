/* Missing, printable, UTF-8. */
#include "table/cell_text.h"

#include "base/number_text.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool text_is_missing(const char *text, size_t n) {
  switch (n) {
  case 0: return true;
  case 1: return text[0] == '-';
  case 2: return memcmp(text, "NA", 2) == 0;
  case 3: return strncasecmp(text, "nan", 3) == 0 || strncasecmp(text, "n/a", 3) == 0;
  case 4:
    return strncasecmp(text, "null", 4) == 0 || strncasecmp(text, "none", 4) == 0 ||
           memcmp(text, "#N/A", 4) == 0;
  default: return false;
  }
}

size_t cell_print(char out[CELL_TEXT_MAX], const cell *c) {
  switch (c->kind) {
  case CELL_NULL: break;
  case CELL_I64: return (size_t)snprintf(out, CELL_TEXT_MAX, "%lld", (long long)c->i64);
  case CELL_F64: return number_print(out, c->f64);
  case CELL_TEXT: {
    size_t n = c->size < CELL_TEXT_MAX - 1 ? c->size : CELL_TEXT_MAX - 1;
    /* Not in the middle of a character. */
    while (n < c->size && n > 0 && ((unsigned char)c->text[n] & 0xc0) == 0x80) n--;
    memcpy(out, c->text, n);
    out[n] = 0;
    for (size_t i = 0; i < n; i++)
      if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f) out[i] = '?';
    if (!text_is_utf8(out, n))
      for (size_t i = 0; i < n; i++)
        if ((unsigned char)out[i] >= 0x80) out[i] = '?';
    return n;
  }
  }
  out[0] = 0;
  return 0;
}

bool text_is_utf8(const char *text, size_t n) {
  const unsigned char *p = (const unsigned char *)text, *end = p + n;
  while (p < end) {
    if (*p == 0) return false;
    if (*p < 0x80) {
      p++;
      continue;
    }
    size_t more = 0;
    if (*p >= 0xc2 && *p < 0xe0) more = 1;
    else if ((*p & 0xf0) == 0xe0) more = 2;
    else if (*p >= 0xf0 && *p < 0xf5) more = 3;
    if (more == 0 || (size_t)(end - p) <= more) return false;
    uint32_t code = *p & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
      if ((p[i] & 0xc0) != 0x80) return false;
      code = code << 6 | (p[i] & 0x3f);
    }
    /* Overlong forms, surrogates, beyond the last code point. */
    if ((more == 2 && code < 0x800) || (more == 3 && (code < 0x10000 || code > 0x10ffff)) ||
        (code >= 0xd800 && code < 0xe000))
      return false;
    p += more + 1;
  }
  return true;
}
