#include "base/number_text.h"

#include "base/rng.h"
#include "base/status.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void accepts(void **state) {
  (void)state;
  static const struct {
    const char *text;
    char decimal;
    number_kind kind;
    double value;
  } cases[] = {
      {"0", '.', NUMBER_INTEGER, 0},
      {"-0", '.', NUMBER_INTEGER, 0},
      {"+7", '.', NUMBER_INTEGER, 7},
      {"007", '.', NUMBER_INTEGER, 7},
      {"9223372036854775807", '.', NUMBER_INTEGER, 9223372036854775807.0},
      {"9223372036854775808", '.', NUMBER_REAL, 9223372036854775808.0},
      {"-9223372036854775808", '.', NUMBER_REAL, -9223372036854775808.0},
      {"123456789012345678901234567890", '.', NUMBER_REAL, 123456789012345678901234567890.0},
      {"1.", '.', NUMBER_REAL, 1},
      {".5", '.', NUMBER_REAL, .5},
      {"-.5e1", '.', NUMBER_REAL, -5},
      {"1e3", '.', NUMBER_REAL, 1000},
      {"1E-3", '.', NUMBER_REAL, .001},
      {"1e+22", '.', NUMBER_REAL, 1e22},
      {"1e23", '.', NUMBER_REAL, 1e23},
      {"0.1", '.', NUMBER_REAL, .1},
      {"0.30000000000000004", '.', NUMBER_REAL, 0.30000000000000004},
      {"5.827000141143799", '.', NUMBER_REAL, 5.827000141143799},
      {"0.00000000000000000001", '.', NUMBER_REAL, 1e-20},
      {"9007199254740993.0", '.', NUMBER_REAL, 9007199254740992.0},
      {"9007199254740995.0", '.', NUMBER_REAL, 9007199254740996.0},
      {"4.9e-324", '.', NUMBER_REAL, 4.9e-324},
      {"1e400", '.', NUMBER_REAL, HUGE_VAL},
      {"1e-99999999999999999999", '.', NUMBER_REAL, 0},
      {"inf", '.', NUMBER_REAL, HUGE_VAL},
      {"-Infinity", '.', NUMBER_REAL, -HUGE_VAL},
      {"1,5", ',', NUMBER_REAL, 1.5},
      {"-1234567890123456789012,5", ',', NUMBER_REAL, -1234567890123456789012.5},
      {"1,5", '.', NUMBER_NONE, 0},
      {"1.5", ',', NUMBER_NONE, 0},
      {"1,000.5", '.', NUMBER_NONE, 0},
      {"", '.', NUMBER_NONE, 0},
      {"-", '.', NUMBER_NONE, 0},
      {".", '.', NUMBER_NONE, 0},
      {"e5", '.', NUMBER_NONE, 0},
      {"1e", '.', NUMBER_NONE, 0},
      {"1e+", '.', NUMBER_NONE, 0},
      {"0x10", '.', NUMBER_NONE, 0},
      {"1_000", '.', NUMBER_NONE, 0},
      {"--1", '.', NUMBER_NONE, 0},
      {" 1", '.', NUMBER_NONE, 0},
      {"1 ", '.', NUMBER_NONE, 0},
      {"nan", '.', NUMBER_NONE, 0},
      {"1.2.3", '.', NUMBER_NONE, 0},
      {"infx", '.', NUMBER_NONE, 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    int64_t integer = -99;
    double real = -99;
    number_kind kind =
        number_parse(&integer, &real, cases[i].text, strlen(cases[i].text), cases[i].decimal);
    if (kind != cases[i].kind || (kind != NUMBER_NONE && real != cases[i].value))
      fail_msg("\"%s\": kind %d, value %.17g; expected kind %d, value %.17g", cases[i].text,
               (int)kind, real, (int)cases[i].kind, cases[i].value);
    if (kind == NUMBER_INTEGER) assert_true((double)integer == real);
  }
}

/* Every path (one division, 128-bit division, strtod) gives what strtod gives. */
static void agrees_with_strtod(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (int i = 0; i < 300000; i++) {
    char text[64];
    size_t n_digits = 1 + rng_below(&r, 21), n = 0;
    size_t point = rng_below(&r, n_digits + 1);
    if (rng_below(&r, 4) == 0) text[n++] = '-';
    for (size_t k = 0; k < n_digits; k++) {
      if (k == point) text[n++] = '.';
      text[n++] = (char)('0' + rng_below(&r, 10));
    }
    text[n] = 0;
    if (rng_below(&r, 3) == 0)
      n += (size_t)snprintf(text + n, sizeof text - n, "e%d", (int)rng_below(&r, 61) - 30);
    int64_t integer;
    double real = NAN, expected = strtod(text, NULL);
    assert_true(number_parse(&integer, &real, text, n, '.') != NUMBER_NONE);
    if (real != expected) fail_msg("%s: %.17g, strtod %.17g", text, real, expected);
  }
}

/* Halfway between two doubles, and one digit above and below it. */
static void rounds_to_even(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 2, RNG_TEST, 0);
  for (int i = 0; i < 20000; i++) {
    uint64_t odd = ((UINT64_C(1) << 53) + rng_below(&r, UINT64_C(1) << 53)) * 2 + 1; /* 55 bits */
    int places = (int)rng_below(&r, 2) + 1;
    uint64_t scale = places == 1 ? 10 : 100;
    for (int delta = -1; delta <= 1; delta++) {
      char text[64];
      uint64_t shown = odd * scale + (uint64_t)delta; /* fits 62 bits */
      size_t n =
          (size_t)snprintf(text, sizeof text, "%llu.%0*llu", (unsigned long long)(shown / scale),
                           places, (unsigned long long)(shown % scale));
      int64_t integer;
      double real = NAN;
      number_parse(&integer, &real, text, n, '.');
      if (real != strtod(text, NULL)) fail_msg("%s: %.17g", text, real);
    }
  }
}

static void prints_what_reads_back(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } cases[] = {{0, "0.0"},          {-2, "-2.0"},
               {0.1, "0.1"},        {1e22, "1e+22"},
               {1.5, "1.5"},        {HUGE_VAL, "inf"},
               {-HUGE_VAL, "-inf"}, {540700, "540700.0"},
               {1e-7, "1e-07"},     {123456789.125, "123456789.125"}};
  char text[NUMBER_TEXT_MAX];
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    assert_int_equal(number_print(text, cases[i].value), strlen(cases[i].text));
    assert_string_equal(text, cases[i].text);
  }
  rng r;
  rng_init(&r, 3, RNG_TEST, 0);
  for (int i = 0; i < 50000; i++) {
    uint64_t bits = rng_u64(&r);
    double value, back = NAN;
    memcpy(&value, &bits, sizeof value);
    if (!isfinite(value)) continue;
    size_t n = number_print(text, value);
    int64_t integer;
    assert_int_equal(number_parse(&integer, &back, text, n, '.'), NUMBER_REAL);
    if (back != value) fail_msg("%a printed as %s", value, text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(accepts),
      cmocka_unit_test(agrees_with_strtod),
      cmocka_unit_test(rounds_to_even),
      cmocka_unit_test(prints_what_reads_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
