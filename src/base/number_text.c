/* Decimal to double. Up to 19 significant digits fit 64 bits, and such a number with its point
 * inside is one integer divided by a power of ten: by one double division when both are exact
 * (W. D. Clinger, "How to read floating point numbers accurately", PLDI 1990), else by a 128-bit
 * integer division that is rounded once. What is left goes to strtod. */
#include "base/number_text.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

__extension__ typedef unsigned __int128 wide;

static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static const uint64_t whole_tens[] = {UINT64_C(1),
                                      UINT64_C(10),
                                      UINT64_C(100),
                                      UINT64_C(1000),
                                      UINT64_C(10000),
                                      UINT64_C(100000),
                                      UINT64_C(1000000),
                                      UINT64_C(10000000),
                                      UINT64_C(100000000),
                                      UINT64_C(1000000000),
                                      UINT64_C(10000000000),
                                      UINT64_C(100000000000),
                                      UINT64_C(1000000000000),
                                      UINT64_C(10000000000000),
                                      UINT64_C(100000000000000),
                                      UINT64_C(1000000000000000),
                                      UINT64_C(10000000000000000),
                                      UINT64_C(100000000000000000),
                                      UINT64_C(1000000000000000000),
                                      UINT64_C(10000000000000000000)};

/* digits / 10^places for digits > 0 and places 1 to 19, rounded once to nearest even. */
static double divide_exactly(uint64_t digits, int places) {
  uint64_t divisor = whole_tens[places];
  int bits_of_digits = 64 - __builtin_clzll(digits);
  int bits_of_divisor = 64 - __builtin_clzll(divisor);
  int shift = 63 + bits_of_divisor - bits_of_digits; /* quotient in (2^62, 2^64) */
  wide shifted = (wide)digits << shift;
  uint64_t quotient = (uint64_t)(shifted / divisor);
  if ((wide)quotient * divisor != shifted) quotient |= 1; /* below the last bit that counts */
  uint64_t power_bits = (uint64_t)(1023 - shift) << 52;   /* 2^-shift */
  double power;
  memcpy(&power, &power_bits, sizeof power);
  return (double)quotient * power;
}

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void c_locale_make(void) {
  c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static double slow_parse(const char *text, size_t n, char decimal) {
  char copy[1024];
  memcpy(copy, text, n);
  copy[n] = 0;
  if (decimal != '.')
    for (size_t i = 0; i < n; i++)
      if (copy[i] == decimal) copy[i] = '.';
  pthread_once(&c_locale_once, c_locale_make);
  return c_locale ? strtod_l(copy, NULL, c_locale) : strtod(copy, NULL);
}

static number_kind parse_infinity(double *real, const char *at, size_t n, bool negative) {
  if ((n == 3 && strncasecmp(at, "inf", 3) == 0) ||
      (n == 8 && strncasecmp(at, "infinity", 8) == 0)) {
    *real = negative ? -HUGE_VAL : HUGE_VAL;
    return NUMBER_REAL;
  }
  return NUMBER_NONE;
}

static bool is_digit(char c) {
  return (unsigned char)(c - '0') < 10;
}

number_kind number_parse(int64_t *integer, double *real, const char *text, size_t n, char decimal) {
  const char *at = text, *end = text + n;
  if (n == 0 || n >= 1024) return NUMBER_NONE;
  bool negative = *at == '-';
  if (*at == '-' || *at == '+') at++;
  uint64_t digits = 0;
  const char *first = at;
  while (at < end && *at == '0') at++;
  const char *significant = at;
  while (at < end && is_digit(*at)) digits = digits * 10 + (uint64_t)(*at++ - '0');
  size_t n_digits = (size_t)(at - first), n_significant = (size_t)(at - significant);
  bool is_whole = true;
  long exponent = 0;
  if (at < end && *at == decimal) {
    is_whole = false;
    const char *fraction = ++at;
    if (n_significant == 0) {
      while (at < end && *at == '0') at++;
    }
    significant = at;
    while (at < end && is_digit(*at)) digits = digits * 10 + (uint64_t)(*at++ - '0');
    n_significant += (size_t)(at - significant);
    n_digits += (size_t)(at - fraction);
    exponent = -(long)(at - fraction);
  }
  if (n_digits == 0) return parse_infinity(real, first, (size_t)(end - first), negative);
  if (at < end && (*at == 'e' || *at == 'E')) {
    is_whole = false;
    at++;
    bool down = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) at++;
    if (at == end || !is_digit(*at)) return NUMBER_NONE;
    long written = 0;
    for (; at < end && is_digit(*at); at++)
      if (written < 100000) written = written * 10 + (*at - '0');
    exponent += down ? -written : written;
  }
  if (at != end) return NUMBER_NONE;

  double value;
  if (n_significant > 19) {
    value = slow_parse(text, n, decimal);
  } else if (is_whole && digits <= INT64_MAX) {
    *integer = negative ? -(int64_t)digits : (int64_t)digits;
    *real = negative ? -(double)digits : (double)digits;
    return NUMBER_INTEGER;
  } else if (digits == 0 || exponent == 0) {
    value = negative ? -(double)digits : (double)digits;
  } else if (digits <= UINT64_C(1) << 53 && exponent >= -22 && exponent <= 22) {
    value = exponent < 0 ? (double)digits / tens[-exponent] : (double)digits * tens[exponent];
    if (negative) value = -value;
  } else if (exponent < 0 && exponent >= -19) {
    value = divide_exactly(digits, (int)-exponent);
    if (negative) value = -value;
  } else {
    value = slow_parse(text, n, decimal);
  }
  *real = value;
  return NUMBER_REAL;
}

size_t number_print_short(char out[NUMBER_TEXT_MAX], double value) {
  if (isnan(value)) return (size_t)snprintf(out, NUMBER_TEXT_MAX, "nan");
  if (isinf(value)) return (size_t)snprintf(out, NUMBER_TEXT_MAX, value < 0 ? "-inf" : "inf");
  size_t n = 0;
  for (int digits = 15; digits <= 17; digits++) {
    n = (size_t)snprintf(out, NUMBER_TEXT_MAX, "%.*g", digits, value);
    char *comma = strchr(out, ','); /* the host's locale */
    if (comma) *comma = '.';
    int64_t integer;
    double back = 0;
    if (number_parse(&integer, &back, out, n, '.') != NUMBER_NONE && back == value) break;
  }
  return n;
}

size_t number_print(char out[NUMBER_TEXT_MAX], double value) {
  size_t n = number_print_short(out, value);
  if (!strpbrk(out, ".en")) n += (size_t)snprintf(out + n, NUMBER_TEXT_MAX - n, ".0");
  return n;
}
