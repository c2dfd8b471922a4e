#include "table/time_text.h"

#include "base/clock.h"
#include "base/status.h"

#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

static int64_t at(int year, int month, int day, int hour, int minute, int second, int ns) {
  return clock_from_civil(&(clock_civil){.year = year,
                                         .month = month,
                                         .day = day,
                                         .hour = hour,
                                         .minute = minute,
                                         .second = second,
                                         .nanosecond = ns});
}

/* The expected time as ISO text; "" when it must be refused. */
static void calendar(void **state) {
  (void)state;
  static const struct {
    const char *text;
    time_order order;
    const char *expected;
    bool clock, zone;
  } cases[] = {
      {"2026-01-03", 0, "2026-01-03T00:00:00Z", false, false},
      {"2026-1-3", 0, "2026-01-03T00:00:00Z", false, false},
      {"2026/01/03", 0, "2026-01-03T00:00:00Z", false, false},
      {"2026.01.03", 0, "2026-01-03T00:00:00Z", false, false},
      {" 2026-01-03 ", 0, "2026-01-03T00:00:00Z", false, false},
      {"2026-01-03T09:30", 0, "2026-01-03T09:30:00Z", true, false},
      {"2026-01-03 9:30:15", 0, "2026-01-03T09:30:15Z", true, false},
      {"2026-01-03  09:30:15", 0, "2026-01-03T09:30:15Z", true, false},
      {"2026-01-03t09:30:15z", 0, "2026-01-03T09:30:15Z", true, true},
      {"2026-01-03T09:30:15.123456789Z", 0, "2026-01-03T09:30:15.123456789Z", true, true},
      {"2026-01-03T09:30:15.1234567899999", 0, "2026-01-03T09:30:15.123456789Z", true, false},
      {"2026-01-03 09:30:15,5", 0, "2026-01-03T09:30:15.5Z", true, false},
      {"2026-01-03T09:30:15+09:00", 0, "2026-01-03T00:30:15Z", true, true},
      {"2026-01-03T09:30:15 -0530", 0, "2026-01-03T15:00:15Z", true, true},
      {"2026-01-03 09:30:15+09", 0, "2026-01-03T00:30:15Z", true, true},
      {"2026-01-03 09:30:15 UTC", 0, "2026-01-03T09:30:15Z", true, true},
      {"2026-01-03 12:05 AM", 0, "2026-01-03T00:05:00Z", true, false},
      {"2026-01-03 12:05:30pm", 0, "2026-01-03T12:05:30Z", true, false},
      {"2026-01-03 1:05 PM", 0, "2026-01-03T13:05:00Z", true, false},
      {"2026-01-03T24:00", 0, "2026-01-04T00:00:00Z", true, false},
      {"2016-12-31T23:59:60Z", 0, "2017-01-01T00:00:00Z", true, true},
      {"20260103 093015", 0, "2026-01-03T09:30:15Z", true, false},
      {"20260103T093015Z", 0, "2026-01-03T09:30:15Z", true, true},
      {"20260103 09:30", 0, "2026-01-03T09:30:00Z", true, false},
      {"03.01.2026", TIME_ORDER_DMY, "2026-01-03T00:00:00Z", false, false},
      {"03.01.2026 09:30", TIME_ORDER_DMY, "2026-01-03T09:30:00Z", true, false},
      {"01/03/2026", TIME_ORDER_MDY, "2026-01-03T00:00:00Z", false, false},
      {"1/3/2026 16:00", TIME_ORDER_MDY, "2026-01-03T16:00:00Z", true, false},
      {"13/01/2026", TIME_ORDER_AUTO, "2026-01-13T00:00:00Z", false, false},
      {"01/13/2026", TIME_ORDER_AUTO, "2026-01-13T00:00:00Z", false, false},
      {"2024-02-29", 0, "2024-02-29T00:00:00Z", false, false},
      {"1678-01-01", 0, "1678-01-01T00:00:00Z", false, false},
      {"2261-12-31T23:59:59.999999999", 0, "2261-12-31T23:59:59.999999999Z", true, false},
      {"13/01/2026", TIME_ORDER_MDY, "", false, false},
      {"01/13/2026", TIME_ORDER_DMY, "", false, false},
      {"13/13/2026", TIME_ORDER_AUTO, "", false, false},
      {"2025-02-29", 0, "", false, false},
      {"2026-13-01", 0, "", false, false},
      {"2026-00-01", 0, "", false, false},
      {"2026-01-00", 0, "", false, false},
      {"2026-01-32", 0, "", false, false},
      {"1677-12-31", 0, "", false, false},
      {"2262-01-01", 0, "", false, false},
      {"2026-01/03", 0, "", false, false},
      {"2026-01", 0, "", false, false},
      {"2026-01-", 0, "", false, false},
      {"20260103", 0, "", false, false},
      {"20260103 ", 0, "", false, false},
      {"2026-01-03T", 0, "", false, false},
      {"2026-01-03T09", 0, "", false, false},
      {"2026-01-03T09:3", 0, "", false, false},
      {"2026-01-03T09:60", 0, "", false, false},
      {"2026-01-03T09:30:61", 0, "", false, false},
      {"2026-01-03T24:01", 0, "", false, false},
      {"2026-01-03T09:30:15.", 0, "", false, false},
      {"2026-01-03T09:30:15+", 0, "", false, false},
      {"2026-01-03T09:30:15+25:00", 0, "", false, false},
      {"2026-01-03T09:30:15X", 0, "", false, false},
      {"2026-01-03 13:05 PM", 0, "", false, false},
      {"2026-01-03x09:30", 0, "", false, false},
      {"", 0, "", false, false},
      {"abc", 0, "", false, false},
      {"26-01-03", 0, "", false, false},
      {"-2026-01-03", 0, "", false, false},
      {"127.0.0.1", 0, "", false, false},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    time_parts parts;
    char text[CLOCK_TEXT_MAX] = "";
    if (time_parse_calendar(&parts, cases[i].text, strlen(cases[i].text), cases[i].order))
      clock_format(text, parts.ns);
    if (strcmp(text, cases[i].expected) != 0)
      fail_msg("\"%s\": found \"%s\", expected \"%s\"", cases[i].text, text, cases[i].expected);
    if (text[0] && (parts.has_clock != cases[i].clock || parts.has_zone != cases[i].zone))
      fail_msg("\"%s\": clock %d, zone %d", cases[i].text, parts.has_clock, parts.has_zone);
  }
}

static void year_last_shows_its_parts(void **state) {
  (void)state;
  time_parts parts;
  assert_true(time_parse_calendar(&parts, "03.04.2026", 10, TIME_ORDER_AUTO));
  assert_true(parts.year_last);
  assert_int_equal(parts.first, 3);
  assert_int_equal(parts.second, 4);
  assert_int_equal(parts.separator, '.');
  assert_true(parts.ns == at(2026, 4, 3, 0, 0, 0, 0));
  assert_true(time_parse_calendar(&parts, "2026.03.04", 10, TIME_ORDER_AUTO));
  assert_false(parts.year_last);
}

static void compact(void **state) {
  (void)state;
  static const struct {
    const char *text, *expected;
  } cases[] = {
      {"20260103", "2026-01-03T00:00:00Z"},
      {"202601030930", "2026-01-03T09:30:00Z"},
      {"20260103093015", "2026-01-03T09:30:15Z"},
      {"20260103093015123", "2026-01-03T09:30:15.123Z"},
      {"20261303", ""},
      {"2026010", ""},
      {"2026010309", ""},
      {"20260103246015", ""},
      {"2026010a", ""},
      {"1749041940518", ""},
      {"-20260103", ""},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    time_parts parts;
    char text[CLOCK_TEXT_MAX] = "";
    if (time_parse_compact(&parts, cases[i].text, strlen(cases[i].text)))
      clock_format(text, parts.ns);
    assert_string_equal(text, cases[i].expected);
  }
}

#define SECOND CLOCK_NS_PER_SECOND

static void clocks_and_offsets(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool digits, good;
    int64_t ns;
  } clocks[] = {
      {"9:30", false, true, 34200 * SECOND},
      {"09:30:00.5", false, true, 34200 * SECOND + SECOND / 2},
      {"12:05 PM", false, true, 43500 * SECOND},
      {"093000", true, true, 34200 * SECOND},
      {"93000", true, true, 34200 * SECOND},
      {"930", true, true, 34200 * SECOND},
      {"0930", true, true, 34200 * SECOND},
      {"093000.250", true, true, 34200 * SECOND + SECOND / 4},
      {"0", true, false, 0},
      {"0000", true, true, 0},
      {"093000", false, false, 0},
      {"9", false, false, 0},
      {"0960", true, false, 0},
      {"250000", true, false, 0},
      {"09:30Z", false, false, 0},
      {"", true, false, 0},
  };
  for (size_t i = 0; i < COUNT_OF(clocks); i++) {
    int64_t ns = 0;
    bool good = time_parse_clock(&ns, clocks[i].text, strlen(clocks[i].text), clocks[i].digits);
    if (good != clocks[i].good || (good && ns != clocks[i].ns))
      fail_msg("\"%s\": %d, %lld", clocks[i].text, good, (long long)ns);
  }
  static const struct {
    const char *text;
    bool good;
    int64_t seconds;
  } offsets[] = {
      {"+09:00", true, 32400}, {"-0530", true, -19800}, {"+9", true, 32400}, {"Z", true, 0},
      {"UTC", true, 0},        {"09:00", false, 0},     {"+", false, 0},     {"+9:0", false, 0},
      {"+19:00", false, 0},    {"+09:00x", false, 0},   {"+900", false, 0},  {"", false, 0},
  };
  for (size_t i = 0; i < COUNT_OF(offsets); i++) {
    int64_t ns = 0;
    bool good = time_parse_offset(&ns, offsets[i].text, strlen(offsets[i].text));
    if (good != offsets[i].good || (good && ns != offsets[i].seconds * SECOND))
      fail_msg("\"%s\": %d, %lld", offsets[i].text, good, (long long)ns);
  }
}

static void epochs(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int64_t unit;
    char decimal;
    bool good;
    int64_t ns;
  } cases[] = {
      {"1700000000", SECOND, '.', true, INT64_C(1700000000000000000)},
      {"1700000000.123456789", SECOND, '.', true, INT64_C(1700000000123456789)},
      {"1700000000,5", SECOND, ',', true, INT64_C(1700000000500000000)},
      {"1700000000000", 1000000, '.', true, INT64_C(1700000000000000000)},
      {"1700000000000.25", 1000000, '.', true, INT64_C(1700000000000250000)},
      {"1749041940518402", 1000, '.', true, INT64_C(1749041940518402000)},
      {"1700000000000000001", 1, '.', true, INT64_C(1700000000000000001)},
      {"-1", SECOND, '.', true, -SECOND},
      {"99999999999", SECOND, '.', false, 0},
      {"99999999999999999999", 1, '.', false, 0},
      {"1700000000x", SECOND, '.', false, 0},
      {"", SECOND, '.', false, 0},
      {"-", SECOND, '.', false, 0},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    int64_t ns = 0;
    bool good = time_parse_epoch(&ns, cases[i].text, strlen(cases[i].text), cases[i].unit,
                                 cases[i].decimal);
    if (good != cases[i].good || (good && ns != cases[i].ns))
      fail_msg("\"%s\": %d, %lld", cases[i].text, good, (long long)ns);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(calendar), cmocka_unit_test(year_last_shows_its_parts),
      cmocka_unit_test(compact),  cmocka_unit_test(clocks_and_offsets),
      cmocka_unit_test(epochs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
