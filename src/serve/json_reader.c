/* A pull reader: the caller says what it expects. */
#include "serve/json_reader.h"

#include "base/number_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void json_reader_init(json_reader *r, const char *data, size_t size, garam_error *err) {
  *r = (json_reader){.begin = data, .at = data, .end = data + size, .err = err};
}

bool json_reader_fail(json_reader *r, const char *format, ...) {
  if (r->status != GARAM_OK) return false;
  char what[512];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  r->status = fail(r->err, GARAM_PARSE, "JSON, byte %zu: %s", (size_t)(r->at - r->begin), what);
  return false;
}

char json_reader_peek(json_reader *r) {
  if (r->status != GARAM_OK) return 0;
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
    r->at++;
  return r->at < r->end ? *r->at : 0;
}

bool json_reader_take(json_reader *r, char c) {
  if (json_reader_peek(r) != c || r->at == r->end) return false;
  r->at++;
  return true;
}

/* What stands here, for a message. */
static bool fail_expected(json_reader *r, const char *expected) {
  char c = json_reader_peek(r);
  size_t left = (size_t)(r->end - r->at);
  static const char *const not_numbers[] = {"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"};
  for (size_t i = 0; i < COUNT_OF(not_numbers); i++)
    if (left >= strlen(not_numbers[i]) &&
        memcmp(r->at, not_numbers[i], strlen(not_numbers[i])) == 0)
      return json_reader_fail(r, "%s is no JSON; finite numbers are expected", not_numbers[i]);
  if (left == 0) return json_reader_fail(r, "expected %s, found the end", expected);
  if (c > 0x20 && c < 0x7f) return json_reader_fail(r, "expected %s, found '%c'", expected, c);
  return json_reader_fail(r, "expected %s, found byte 0x%02x", expected, (unsigned char)c);
}

bool json_reader_expect(json_reader *r, char c) {
  if (json_reader_take(r, c)) return true;
  return fail_expected(r, (char[]){'\'', c, '\'', 0});
}

bool json_reader_end(json_reader *r) {
  json_reader_peek(r);
  if (r->status != GARAM_OK) return false;
  return r->at == r->end || fail_expected(r, "the end");
}

bool json_reader_open(json_reader *r, char bracket) {
  if (r->depth >= JSON_READER_DEPTH)
    return json_reader_fail(r, "more than %d levels", JSON_READER_DEPTH);
  if (!json_reader_take(r, bracket))
    return fail_expected(r, bracket == '{' ? "an object" : "a list");
  r->depth++;
  return true;
}

static bool next(json_reader *r, bool *first, char closing) {
  if (json_reader_take(r, closing)) {
    r->depth--;
    return false;
  }
  if (r->status == GARAM_OK && !*first && !json_reader_take(r, ','))
    return fail_expected(r, closing == '}' ? "',' or '}'" : "',' or ']'");
  *first = false;
  return r->status == GARAM_OK;
}

bool json_reader_member(json_reader *r, bool *first, json_slice *key) {
  return next(r, first, '}') && json_reader_string(r, key) && json_reader_expect(r, ':');
}

bool json_reader_item(json_reader *r, bool *first) {
  return next(r, first, ']');
}

/* Length of the UTF-8 sequence at p, or 0: RFC 3629, no overlong forms, no surrogates. */
static size_t utf8_length(const unsigned char *p, size_t left) {
  unsigned char c = p[0];
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
  if ((c & 0xf0) == 0xe0) {
    unsigned char low = c == 0xe0 ? 0xa0 : 0x80, high = c == 0xed ? 0x9f : 0xbf;
    return left >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    unsigned char low = c == 0xf0 ? 0x90 : 0x80, high = c == 0xf4 ? 0x8f : 0xbf;
    return left >= 4 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 &&
                   (p[3] & 0xc0) == 0x80
               ? 4
               : 0;
  }
  return 0;
}

static int hex_digit(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

bool json_reader_string(json_reader *r, json_slice *out) {
  if (json_reader_peek(r) != '"') return fail_expected(r, "a string");
  const char *begin = r->at++;
  while (r->at < r->end) {
    unsigned char c = (unsigned char)*r->at;
    if (c == '"') {
      *out = (json_slice){begin, (size_t)(++r->at - begin)};
      return true;
    }
    if (c < 0x20) return json_reader_fail(r, "a control character in a string");
    if (c == '\\') {
      r->at++;
      if (r->at == r->end) break;
      if (*r->at == 'u') {
        for (int i = 1; i <= 4; i++)
          if (r->end - r->at <= i || hex_digit(r->at[i]) < 0)
            return json_reader_fail(r, "\\u without four hexadecimal digits");
        r->at += 5;
      } else if (*r->at != 0 && strchr("\"\\/bfnrt", *r->at)) {
        r->at++;
      } else {
        return json_reader_fail(r, "an escape that JSON does not have");
      }
      continue;
    }
    size_t n = utf8_length((const unsigned char *)r->at, (size_t)(r->end - r->at));
    if (n == 0) return json_reader_fail(r, "a string that is not UTF-8");
    r->at += n;
  }
  return json_reader_fail(r, "a string without its end");
}

static const char *digits_end(const char *at, const char *end) {
  while (at < end && (unsigned char)(*at - '0') < 10) at++;
  return at;
}

bool json_reader_number(json_reader *r, double *real, int64_t *integer, bool *is_integer) {
  json_reader_peek(r);
  if (r->status != GARAM_OK) return false;
  const char *at = r->at + (r->at < r->end && *r->at == '-'), *whole = at;
  at = digits_end(at, r->end);
  if (at == whole) return fail_expected(r, "a number");
  if (*whole == '0' && at > whole + 1) return json_reader_fail(r, "a number with a leading zero");
  if (at < r->end && *at == '.') {
    const char *fraction = at + 1;
    at = digits_end(fraction, r->end);
    if (at == fraction) return json_reader_fail(r, "a number with nothing after its point");
  }
  if (at < r->end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < r->end && (*at == '+' || *at == '-')) at++;
    const char *exponent = at;
    at = digits_end(exponent, r->end);
    if (at == exponent) return json_reader_fail(r, "a number with an empty exponent");
  }
  number_kind kind = number_parse(integer, real, r->at, (size_t)(at - r->at), '.');
  if (kind == NUMBER_NONE) return json_reader_fail(r, "a number of over a thousand characters");
  *is_integer = kind == NUMBER_INTEGER;
  r->at = at;
  return true;
}

static bool take_word(json_reader *r, const char *word) {
  size_t n = strlen(word);
  json_reader_peek(r);
  if (r->status != GARAM_OK || (size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
    return false;
  r->at += n;
  return true;
}

bool json_reader_bool(json_reader *r, bool *out) {
  *out = take_word(r, "true");
  return *out || take_word(r, "false") || fail_expected(r, "true or false");
}

bool json_reader_skip(json_reader *r) {
  json_slice s;
  double real;
  int64_t integer;
  bool first = true, is_integer;
  switch (json_reader_peek(r)) {
  case '{':
    if (!json_reader_open(r, '{')) return false;
    while (json_reader_member(r, &first, &s))
      if (!json_reader_skip(r)) return false;
    return r->status == GARAM_OK;
  case '[':
    if (!json_reader_open(r, '[')) return false;
    while (json_reader_item(r, &first))
      if (!json_reader_skip(r)) return false;
    return r->status == GARAM_OK;
  case '"': return json_reader_string(r, &s);
  case 't':
  case 'f': return json_reader_bool(r, &is_integer);
  case 'n': return take_word(r, "null") || fail_expected(r, "a value");
  case '-':
  case '0':
  case '1':
  case '2':
  case '3':
  case '4':
  case '5':
  case '6':
  case '7':
  case '8':
  case '9': return json_reader_number(r, &real, &integer, &is_integer);
  default: return fail_expected(r, "a value");
  }
}

static unsigned hex4(const char *at) {
  unsigned value = 0;
  for (int i = 0; i < 4; i++) value = value << 4 | (unsigned)hex_digit(at[i]);
  return value;
}

static size_t utf8_put(char out[4], unsigned code) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 0x3f));
  out[2] = (char)(0x80 | (code >> 6 & 0x3f));
  out[3] = (char)(0x80 | (code & 0x3f));
  return 4;
}

/* One character of a checked string at *at, resolved into out; returns its bytes. */
static size_t resolve(char out[4], const char **at, const char *end) {
  const char *p = *at;
  if (*p != '\\') {
    size_t n = utf8_length((const unsigned char *)p, (size_t)(end - p));
    memcpy(out, p, n);
    *at = p + n;
    return n;
  }
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  if (p[1] != 'u') {
    out[0] = to[strchr(from, p[1]) - from];
    *at = p + 2;
    return 1;
  }
  unsigned code = hex4(p + 2);
  *at = p + 6;
  if (code >= 0xd800 && code <= 0xdbff && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
    unsigned low = hex4(*at + 2);
    if (low >= 0xdc00 && low <= 0xdfff) {
      *at += 6;
      return utf8_put(out, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
    }
  }
  return utf8_put(out, code >= 0xd800 && code <= 0xdfff ? 0xfffd : code);
}

void json_slice_text(char *out, size_t size, json_slice s) {
  const char *at = s.at + 1, *end = s.at + s.size - 1;
  size_t n = 0;
  while (at < end) {
    char c[4];
    size_t bytes = resolve(c, &at, end);
    if (n + bytes >= size) break;
    memcpy(out + n, c, bytes);
    n += bytes;
  }
  out[n] = 0;
}

bool json_slice_is(json_slice s, const char *text) {
  const char *at = s.at + 1, *end = s.at + s.size - 1;
  size_t left = strlen(text);
  while (at < end) {
    char c[4];
    size_t bytes = resolve(c, &at, end);
    if (bytes > left || memcmp(c, text, bytes) != 0) return false;
    text += bytes;
    left -= bytes;
  }
  return left == 0;
}
