/* Equity of the backtest against buy-and-hold, both net of costs. */
#include "report/svg.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void take(double *out, const json_t *array, size_t n, double *low, double *high) {
  for (size_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(array, i);
    out[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    if (!isfinite(out[i])) continue;
    *low = fmin(*low, out[i]);
    *high = fmax(*high, out[i]);
  }
}

/* A rule at each split, whose time is text: found among the curve's own times by its text. */
static void mark_splits(svg *s, const json_t *splits, const double *t, size_t n) {
  size_t k;
  json_t *split;
  json_array_foreach(splits, k, split) {
    const char *time = page_string(split, "time");
    for (size_t i = 0; time && i < n; i++) {
      char text[CLOCK_TEXT_MAX];
      if (strcmp(clock_format(text, (int64_t)t[i]), time) < 0) continue;
      svg_rule_x(s, "s3 dashed", t[i]);
      break;
    }
  }
}

bool svg_equity(page *p, const json_t *scores) {
  const json_t *equity = json_object_get(json_object_get(scores, "detail"), "equity");
  const json_t *times = json_object_get(equity, "time");
  const json_t *ours = json_object_get(equity, "strategy");
  const json_t *hold = json_object_get(equity, "buy_and_hold");
  size_t n = json_array_size(ours);
  if (n < 2 || json_array_size(hold) != n) return false;
  bool timed = json_array_size(times) == n;
  double *t = mem_array(n, sizeof *t), *a = mem_array(n, sizeof *a), *b = mem_array(n, sizeof *b);
  if (t && a && b) {
    double low = INFINITY, high = -INFINITY, first = INFINITY, last = -INFINITY;
    take(a, ours, n, &low, &high);
    take(b, hold, n, &low, &high);
    if (timed) take(t, times, n, &first, &last);
    else
      for (size_t i = 0; i < n; i++) t[i] = last = (double)i;
    if (!timed) first = 0;
    svg s;
    svg_begin(&s, p, "Equity, net of costs", true,
              (axis){timed ? "time" : "rows", timed ? AXIS_TIME : AXIS_COUNT, first, last, true},
              (axis){"value of 1", AXIS_NUMBER, low, high, false},
              (svg_legend[]){{"s1", "model"}, {"s2", "buy and hold"}, {"s3", "unadjusted split"}},
              timed && json_array_size(json_object_get(scores, "splits")) > 0 ? 3 : 2);
    svg_rule_y(&s, "s0", 1);
    if (timed) mark_splits(&s, json_object_get(scores, "splits"), t, n);
    svg_line(&s, "s2", t, b, n);
    svg_line(&s, "s1", t, a, n);
    const json_t *costs = json_object_get(json_object_get(scores, "backtest"), "costs_assumed");
    char text[PAGE_NUMBER * 4] = "", spread[PAGE_NUMBER], fee[PAGE_NUMBER], slippage[PAGE_NUMBER];
    if (costs)
      snprintf(text, sizeof text,
               "Orders fill on the next bar. Spread %s where no quotes are, fee %s and slippage %s "
               "a side.",
               page_percent(spread, page_f64(costs, "spread"), 3),
               page_percent(fee, page_f64(costs, "fee"), 3),
               page_percent(slippage, page_f64(costs, "slippage"), 3));
    svg_end(&s, text[0] ? text : "Orders fill on the next bar, at bid or ask.");
  } else {
    p->failed = true;
  }
  mem_free(t);
  mem_free(a);
  mem_free(b);
  return true;
}
