/* Text that grows: see page.h. */
#include "report/page.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void append(page *p, const char *text, size_t n) {
  if (p->failed) return;
  if (mem_grow(&p->text, &p->capacity, p->used + n + 1, 1, NULL) != GARAM_OK) {
    p->failed = true;
    return;
  }
  memcpy(p->text + p->used, text, n);
  p->used += n;
  p->text[p->used] = 0;
}

void page_put(page *p, const char *text) {
  append(p, text, strlen(text));
}

void page_text(page *p, const char *text) {
  if (!text) return;
  while (*text) {
    size_t n = strcspn(text, "&<>\"'");
    append(p, text, n);
    text += n;
    switch (*text) {
    case '&': page_put(p, "&amp;"); break;
    case '<': page_put(p, "&lt;"); break;
    case '>': page_put(p, "&gt;"); break;
    case '"': page_put(p, "&quot;"); break;
    case '\'': page_put(p, "&#39;"); break;
    default: return;
    }
    text++;
  }
}

void page_printf(page *p, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  REQUIRE(n >= 0 && (size_t)n < sizeof text, "page_printf: more than %zu characters", sizeof text);
  append(p, text, (size_t)n);
}

char *page_take(page *p) {
  char *text = p->text;
  if (p->failed) {
    mem_free(text);
    text = NULL;
  }
  *p = (page){0};
  return text;
}

double page_f64(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *page_string(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

static char *nothing(char out[PAGE_NUMBER]) {
  snprintf(out, PAGE_NUMBER, "–");
  return out;
}

/* "-0.00" would make people think; a true minus sign reads better. */
static char *with_sign(char out[PAGE_NUMBER], const char *plain) {
  bool negative = plain[0] == '-' && strspn(plain, "-0., %") != strlen(plain);
  snprintf(out, PAGE_NUMBER, "%s%s", negative ? "−" : "", plain[0] == '-' ? plain + 1 : plain);
  return out;
}

char *page_percent(char out[PAGE_NUMBER], double share, int digits) {
  if (!isfinite(share)) return nothing(out);
  char plain[PAGE_NUMBER - 8];
  snprintf(plain, sizeof plain, "%.*f %%", digits, 100 * share);
  return with_sign(out, plain);
}

char *page_number(char out[PAGE_NUMBER], double value, int digits) {
  if (!isfinite(value)) return nothing(out);
  char plain[PAGE_NUMBER - 8];
  /* Where so many decimals were asked for, zeros alone would not be what is meant. */
  bool tiny = digits >= 3 && fabs(value) > 0 && fabs(value) < pow(10, 1 - digits);
  if (fabs(value) >= 1e7 || tiny) snprintf(plain, sizeof plain, "%.3g", value);
  else snprintf(plain, sizeof plain, "%.*f", digits, value);
  return with_sign(out, plain);
}

char *page_count(char out[PAGE_NUMBER], double n) {
  if (!isfinite(n)) return nothing(out);
  char digits[PAGE_NUMBER / 2];
  int length = snprintf(digits, sizeof digits, "%.0f", n);
  char *to = out;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-') *to++ = ',';
    *to++ = digits[i];
  }
  *to = 0;
  return out;
}

char *page_time(char out[PAGE_NUMBER], double ns) {
  if (!isfinite(ns)) return nothing(out);
  clock_civil t;
  clock_to_civil(&t, (int64_t)ns);
  int n = snprintf(out, PAGE_NUMBER, "%04d-%02d-%02d", t.year, t.month, t.day);
  if (t.hour || t.minute || t.second)
    snprintf(out + n, (size_t)(PAGE_NUMBER - n), " %02d:%02d", t.hour, t.minute);
  return out;
}
