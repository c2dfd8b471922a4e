/* A cursor over the text and one function a part. */
#include "table/time_text.h"

#include "base/clock.h"

#include <strings.h>

typedef struct cursor {
  const char *at, *end;
} cursor;

static bool is_digit(char c) {
  return (unsigned char)(c - '0') < 10;
}

static void skip_blanks(cursor *c) {
  while (c->at < c->end && *c->at == ' ') c->at++;
}

static cursor trimmed(const char *text, size_t n) {
  cursor c = {text, text + n};
  skip_blanks(&c);
  while (c.end > c.at && c.end[-1] == ' ') c.end--;
  return c;
}

static size_t count_digits(const cursor *c) {
  const char *p = c->at;
  while (p < c->end && is_digit(*p)) p++;
  return (size_t)(p - c->at);
}

static int take_digits(cursor *c, size_t n) {
  int value = 0;
  while (n--) value = value * 10 + (*c->at++ - '0');
  return value;
}

/* A run of 1 to `most` digits; -1 when there is none or it is longer. */
static int take_number(cursor *c, size_t most) {
  size_t n = count_digits(c);
  return n == 0 || n > most ? -1 : take_digits(c, n);
}

static bool take_char(cursor *c, char wanted) {
  if (c->at == c->end || *c->at != wanted) return false;
  c->at++;
  return true;
}

static bool date_exists(int year, int month, int day) {
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1) return false;
  bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return day <= days[month - 1] + (month == 2 && leap);
}

static bool make_date(time_parts *out, int year, int month, int day) {
  if (!date_exists(year, month, day)) return false;
  out->ns = clock_from_civil(&(clock_civil){.year = year, .month = month, .day = day});
  return true;
}

/* Seconds of 60 are leap seconds and run into the next minute; 24:00 is the next midnight. */
static bool make_clock(int64_t *ns, int hour, int minute, int second, int64_t fraction) {
  if (hour > 24 || minute > 59 || second > 60) return false;
  if (hour == 24 && (minute || second || fraction)) return false;
  *ns = ((int64_t)hour * 3600 + minute * 60 + second) * CLOCK_NS_PER_SECOND + fraction;
  return true;
}

/* ".5" or ",5"; digits beyond the ninth are cut. */
static bool take_fraction(cursor *c, int64_t *ns) {
  *ns = 0;
  if (c->at == c->end || (*c->at != '.' && *c->at != ',')) return true;
  c->at++;
  if (c->at == c->end || !is_digit(*c->at)) return false;
  int64_t unit = CLOCK_NS_PER_SECOND / 10;
  for (; c->at < c->end && is_digit(*c->at); c->at++, unit /= 10) *ns += (*c->at - '0') * unit;
  return true;
}

static bool take_clock(cursor *c, int64_t *ns, bool digits) {
  int hour, minute, second = 0;
  int64_t fraction = 0;
  size_t n = count_digits(c);
  if (n == 1 || n == 2) {
    hour = take_digits(c, n);
    if (!take_char(c, ':') || count_digits(c) != 2) return false;
    minute = take_digits(c, 2);
    if (take_char(c, ':')) {
      if (count_digits(c) != 2) return false;
      second = take_digits(c, 2);
      if (!take_fraction(c, &fraction)) return false;
    }
    cursor before = *c;
    skip_blanks(c);
    if (c->end - c->at >= 2 && (c->at[1] | 0x20) == 'm' &&
        ((c->at[0] | 0x20) == 'a' || (c->at[0] | 0x20) == 'p')) {
      if (hour < 1 || hour > 12) return false;
      hour = hour % 12 + ((c->at[0] | 0x20) == 'p' ? 12 : 0);
      c->at += 2;
    } else {
      *c = before;
    }
  } else if (digits && n >= 3 && n <= 6) { /* the leading zero may be lost: 93000, 930 */
    bool with_seconds = n >= 5;
    hour = take_digits(c, n - (with_seconds ? 4 : 2));
    minute = take_digits(c, 2);
    if (with_seconds) second = take_digits(c, 2);
    if (!take_fraction(c, &fraction)) return false;
  } else {
    return false;
  }
  return make_clock(ns, hour, minute, second, fraction);
}

static bool take_offset(cursor *c, int64_t *ns) {
  *ns = 0;
  size_t left = (size_t)(c->end - c->at);
  if (left >= 3 && (strncasecmp(c->at, "UTC", 3) == 0 || strncasecmp(c->at, "GMT", 3) == 0)) {
    c->at += 3;
    return true;
  }
  if (take_char(c, 'Z') || take_char(c, 'z')) return true;
  bool west = left > 0 && *c->at == '-';
  if (!take_char(c, '-') && !take_char(c, '+')) return false;
  size_t n = count_digits(c);
  int hour, minute = 0;
  if (n == 4) {
    hour = take_digits(c, 2);
    minute = take_digits(c, 2);
  } else if (n == 1 || n == 2) {
    hour = take_digits(c, n);
    if (take_char(c, ':')) {
      if (count_digits(c) != 2) return false;
      minute = take_digits(c, 2);
    }
  } else {
    return false;
  }
  if (hour > 18 || minute > 59) return false;
  *ns = ((int64_t)hour * 3600 + minute * 60) * CLOCK_NS_PER_SECOND * (west ? -1 : 1);
  return true;
}

static bool take_date(cursor *c, time_parts *out, time_order order) {
  size_t n = count_digits(c);
  if (n == 8) {
    int year = take_digits(c, 4), month = take_digits(c, 2), day = take_digits(c, 2);
    /* Only with a time behind it: bare digits are not calendar form. */
    return c->at < c->end && make_date(out, year, month, day);
  }
  if (n != 4 && n != 1 && n != 2) return false;
  int first = take_digits(c, n);
  if (c->at == c->end) return false;
  char separator = *c->at++;
  if (separator != '-' && separator != '/' && separator != '.') return false;
  int second = take_number(c, 2);
  if (second < 0 || !take_char(c, separator)) return false;
  out->separator = separator;
  if (n == 4) return make_date(out, first, second, take_number(c, 2));
  if (count_digits(c) != 4) return false;
  int year = take_digits(c, 4);
  out->year_last = true;
  out->first = first;
  out->second = second;
  bool month_first = order == TIME_ORDER_MDY || (order == TIME_ORDER_AUTO && second > 12);
  return month_first ? make_date(out, year, first, second) : make_date(out, year, second, first);
}

bool time_parse_calendar(time_parts *out, const char *text, size_t n, time_order order) {
  *out = (time_parts){0};
  cursor c = trimmed(text, n);
  if (!take_date(&c, out, order)) return false;
  if (c.at == c.end) return true;
  if (*c.at == 'T' || *c.at == 't') c.at++;
  else if (*c.at == ' ') skip_blanks(&c);
  else return false;
  int64_t clock, offset;
  if (!take_clock(&c, &clock, true)) return false;
  out->has_clock = true;
  out->ns += clock;
  skip_blanks(&c);
  if (c.at == c.end) return true;
  if (!take_offset(&c, &offset) || c.at != c.end) return false;
  out->has_zone = true;
  out->ns -= offset;
  return true;
}

bool time_parse_compact(time_parts *out, const char *text, size_t n) {
  *out = (time_parts){0};
  cursor c = trimmed(text, n);
  size_t digits = count_digits(&c);
  if (digits != (size_t)(c.end - c.at)) return false;
  if (digits != 8 && digits != 12 && digits != 14 && digits != 17) return false;
  int year = take_digits(&c, 4), month = take_digits(&c, 2), day = take_digits(&c, 2);
  if (!make_date(out, year, month, day)) return false;
  if (digits == 8) return true;
  int hour = take_digits(&c, 2), minute = take_digits(&c, 2);
  int second = digits >= 14 ? take_digits(&c, 2) : 0;
  int millisecond = digits == 17 ? take_digits(&c, 3) : 0;
  int64_t clock;
  if (!make_clock(&clock, hour, minute, second, (int64_t)millisecond * 1000000)) return false;
  out->has_clock = true;
  out->ns += clock;
  return true;
}

bool time_parse_clock(int64_t *ns, const char *text, size_t n, bool digits) {
  cursor c = trimmed(text, n);
  return take_clock(&c, ns, digits) && c.at == c.end;
}

bool time_parse_offset(int64_t *ns, const char *text, size_t n) {
  cursor c = trimmed(text, n);
  return take_offset(&c, ns) && c.at == c.end;
}

bool time_parse_epoch(int64_t *ns, const char *text, size_t n, int64_t unit, char decimal) {
  cursor c = trimmed(text, n);
  bool negative = c.at < c.end && *c.at == '-';
  if (negative) c.at++;
  if (c.at == c.end || !is_digit(*c.at)) return false;
  int64_t value = 0;
  for (; c.at < c.end && is_digit(*c.at); c.at++)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, *c.at - '0', &value))
      return false;
  if (__builtin_mul_overflow(value, unit, &value)) return false;
  if (c.at < c.end && *c.at == decimal) {
    int64_t fraction = 0, scale = unit;
    for (c.at++; c.at < c.end && is_digit(*c.at); c.at++) {
      scale /= 10;
      fraction += (*c.at - '0') * scale;
    }
    if (__builtin_add_overflow(value, fraction, &value)) return false;
  }
  *ns = negative ? -value : value;
  return c.at == c.end;
}
