/* What the scores allow one to say. The rule is plain: the interval of the accuracy against the
 * best baseline. */
#include "report/report.h"

#include "report/page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool interval_of(double out[2], const json_t *scores, const char *key) {
  const json_t *pair = json_object_get(json_object_get(scores, "interval"), key);
  if (json_array_size(pair) != 2) return false;
  for (size_t i = 0; i < 2; i++) {
    if (!json_is_number(json_array_get(pair, i))) return false;
    out[i] = json_number_value(json_array_get(pair, i));
  }
  return true;
}

verdict report_verdict(char out[VERDICT_TEXT], const json_t *scores) {
  const char *best = NULL, *name;
  double best_accuracy = -1, range[2];
  json_t *baseline;
  json_object_foreach((json_t *)(uintptr_t)json_object_get(scores, "baselines"), name, baseline) {
    double accuracy = page_f64(baseline, "accuracy");
    if (accuracy > best_accuracy) {
      best_accuracy = accuracy;
      best = name;
    }
  }
  out[0] = 0;
  if (!best || !interval_of(range, scores, "accuracy")) return VERDICT_UNKNOWN;
  char a[PAGE_NUMBER], b[PAGE_NUMBER], low[PAGE_NUMBER], high[PAGE_NUMBER];
  page_percent(a, page_f64(scores, "accuracy"), 1);
  page_percent(b, best_accuracy, 1);
  page_percent(low, range[0], 1);
  page_percent(high, range[1], 1);
  if (range[0] > best_accuracy) {
    snprintf(out, VERDICT_TEXT,
             "Better than every baseline: %s of rows are right (95 %% interval %s to %s), where the "
             "best baseline, %s, has %s.",
             a, low, high, best, b);
    return VERDICT_BETTER;
  }
  if (range[1] < best_accuracy) {
    snprintf(out, VERDICT_TEXT,
             "Worse than the simplest rule: %s of rows are right (95 %% interval %s to %s), where "
             "%s has %s.",
             a, low, high, best, b);
    return VERDICT_WORSE;
  }
  snprintf(out, VERDICT_TEXT,
           "No evidence of skill: %s of rows are right (95 %% interval %s to %s), and the best "
           "baseline, %s, has %s, which lies within that interval.",
           a, low, high, best, b);
  return VERDICT_NO_EVIDENCE;
}
