#include "base/clock.h"

#include "base/rng.h"
#include "base/status.h"

#include <setjmp.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void known_times(void **state) {
  (void)state;
  static const struct {
    int64_t ns;
    const char *text;
    int weekday;
  } cases[] = {
      {0, "1970-01-01T00:00:00Z", 3},
      {-1, "1969-12-31T23:59:59.999999999Z", 2},
      {INT64_C(951782400000000000), "2000-02-29T00:00:00Z", 1},
      {INT64_C(951868800000000000), "2000-03-01T00:00:00Z", 2},
      {INT64_C(1700000000500000000), "2023-11-14T22:13:20.5Z", 1},
      {INT64_C(1767409445678000000), "2026-01-03T03:04:05.678Z", 5},
      {INT64_C(4107542399000000001), "2100-02-28T23:59:59.000000001Z", 6},
      {INT64_C(-2208988800000000000), "1900-01-01T00:00:00Z", 0},
      {INT64_MAX, "2262-04-11T23:47:16.854775807Z", 4},
      {INT64_MIN, "1677-09-21T00:12:43.145224192Z", 1},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[CLOCK_TEXT_MAX];
    clock_civil c;
    assert_string_equal(clock_format(text, cases[i].ns), cases[i].text);
    clock_to_civil(&c, cases[i].ns);
    assert_int_equal(c.weekday, cases[i].weekday);
    assert_true(clock_from_civil(&c) == cases[i].ns);
  }
}

/* Every day from 1680 to 2260: the calendar counts on by one, weekdays by one, and back. */
static void every_day(void **state) {
  (void)state;
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t day = clock_from_civil(&(clock_civil){.year = 1680, .month = 1, .day = 1}) / 86400 /
                CLOCK_NS_PER_SECOND;
  int weekday = -1;
  for (int year = 1680; year <= 2260; year++) {
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    for (int month = 1; month <= 12; month++)
      for (int d = 1; d <= days[month - 1] + (leap && month == 2); d++, day++) {
        clock_civil c;
        clock_to_civil(&c, day * 86400 * CLOCK_NS_PER_SECOND);
        if (c.year != year || c.month != month || c.day != d || c.hour || c.minute || c.second)
          fail_msg("day %lld is %d-%d-%d, expected %d-%d-%d", (long long)day, c.year, c.month,
                   c.day, year, month, d);
        if (weekday >= 0) assert_int_equal(c.weekday, (weekday + 1) % 7);
        weekday = c.weekday;
        assert_true(clock_from_civil(&c) == day * 86400 * CLOCK_NS_PER_SECOND);
      }
  }
}

/* Any nanosecond, there and back, and as the C library has it. */
static void any_time(void **state) {
  (void)state;
  rng r;
  rng_init(&r, 1, RNG_TEST, 0);
  for (int i = 0; i < 100000; i++) {
    int64_t ns = (int64_t)rng_u64(&r);
    clock_civil c;
    clock_to_civil(&c, ns);
    assert_true(clock_from_civil(&c) == ns);
    assert_true(c.nanosecond >= 0 && c.nanosecond < 1000000000);
    time_t seconds = (time_t)(ns / CLOCK_NS_PER_SECOND - (ns % CLOCK_NS_PER_SECOND < 0));
    struct tm tm;
    assert_non_null(gmtime_r(&seconds, &tm));
    assert_int_equal(c.year, tm.tm_year + 1900);
    assert_int_equal(c.month, tm.tm_mon + 1);
    assert_int_equal(c.day, tm.tm_mday);
    assert_int_equal(c.hour, tm.tm_hour);
    assert_int_equal(c.minute, tm.tm_min);
    assert_int_equal(c.second, tm.tm_sec);
    assert_int_equal(c.weekday, (tm.tm_wday + 6) % 7);
  }
}

static void clocks_run(void **state) {
  (void)state;
  int64_t a = clock_monotonic_ns(), b = clock_monotonic_ns();
  assert_true(b >= a);
  assert_true(clock_wall_ns() > INT64_C(1700000000) * CLOCK_NS_PER_SECOND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_times),
      cmocka_unit_test(every_day),
      cmocka_unit_test(any_time),
      cmocka_unit_test(clocks_run),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
