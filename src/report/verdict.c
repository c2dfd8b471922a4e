/* What the scores allow one to say. The rule is plain: the interval of the difference of accuracy
 * from the best baseline, row by row, has to lie above zero. */
#include "report/report.h"

#include "report/page.h"

#include <math.h>
#include <stdio.h>

static bool pair_of(double out[2], const json_t *pair) {
  if (json_array_size(pair) != 2) return false;
  for (size_t i = 0; i < 2; i++) {
    if (!json_is_number(json_array_get(pair, i))) return false;
    out[i] = json_number_value(json_array_get(pair, i));
  }
  return true;
}

/* Values: the interval of the squared error against the least one of a baseline. */
static verdict value_verdict(char out[VERDICT_TEXT], const json_t *scores) {
  const char *best = NULL, *name;
  json_t *baseline;
  double least = INFINITY, range[2];
  json_object_foreach((json_t *)(uintptr_t)json_object_get(scores, "baselines"), name, baseline) {
    double mse = page_f64(baseline, "mse");
    if (mse < least) {
      least = mse;
      best = name;
    }
  }
  const json_t *interval = json_object_get(json_object_get(scores, "interval"), "mse");
  if (!best || !pair_of(range, interval)) return VERDICT_UNKNOWN;
  double ratio = page_f64(scores, "mse") / least;
  verdict v = range[1] < least   ? VERDICT_BETTER
              : range[0] > least ? VERDICT_WORSE
                                 : VERDICT_NO_EVIDENCE;
  static const char *const sentences[] = {"", "Better than every baseline", "No evidence of skill",
                                          "Worse than a simple rule"};
  snprintf(
      out, VERDICT_TEXT,
      "%s: the mean squared error is %.3g times that of the best baseline, %s (95 %% interval: "
      "%.3g to %.3g times).",
      sentences[v], ratio, best, range[0] / least, range[1] / least);
  return v;
}

verdict report_verdict(char out[VERDICT_TEXT], const json_t *scores) {
  const json_t *over = json_object_get(scores, "over_best_baseline");
  const char *best = page_string(over, "baseline");
  const json_t *baseline = json_object_get(json_object_get(scores, "baselines"), best ? best : "");
  double range[2];
  out[0] = 0;
  if (json_is_number(json_object_get(scores, "mse"))) return value_verdict(out, scores);
  if (!best || !pair_of(range, json_object_get(over, "interval"))) return VERDICT_UNKNOWN;
  char ours[PAGE_NUMBER], theirs[PAGE_NUMBER], by[PAGE_NUMBER], low[PAGE_NUMBER], high[PAGE_NUMBER];
  page_percent(ours, page_f64(scores, "accuracy"), 1);
  page_percent(theirs, page_f64(baseline, "accuracy"), 1);
  page_number(by, 100 * fabs(page_f64(over, "accuracy")), 1);
  page_number(low, 100 * range[0], 1);
  page_number(high, 100 * range[1], 1);
  if (range[0] > 0) {
    snprintf(out, VERDICT_TEXT,
             "Better than every baseline: %s of rows are right, %s points more than the best of "
             "them, %s, at %s (95 %% interval of the difference: %s to %s).",
             ours, by, best, theirs, low, high);
    return VERDICT_BETTER;
  }
  if (range[1] < 0) {
    snprintf(
        out, VERDICT_TEXT,
        "Worse than a simple rule: %s of rows are right, %s points fewer than %s, at %s (95 %% "
        "interval of the difference: %s to %s).",
        ours, by, best, theirs, low, high);
    return VERDICT_WORSE;
  }
  snprintf(
      out, VERDICT_TEXT,
      "No evidence of skill: %s of rows are right, and the best baseline, %s, has %s. The 95 %% "
      "interval of the difference, %s to %s points, holds zero.",
      ours, best, theirs, low, high);
  return VERDICT_NO_EVIDENCE;
}

bool report_money(char out[VERDICT_TEXT], const json_t *scores) {
  const json_t *b = json_object_get(scores, "backtest");
  double net = page_f64(b, "net_return"), hold = page_f64(b, "buy_and_hold");
  out[0] = 0;
  if (!isfinite(net) || !isfinite(hold)) return false;
  char ours[PAGE_NUMBER], theirs[PAGE_NUMBER], gross[PAGE_NUMBER] = "";
  page_percent(ours, net, 1);
  page_percent(theirs, hold, 1);
  double before = page_f64(b, "gross_return");
  bool costs_decide = net < 0 && before > 0;
  if (costs_decide) page_percent(gross, before, 1);
  snprintf(out, VERDICT_TEXT,
           "Acted on, it returns %s net of costs%s%s%s; buy and hold returns %s.", ours,
           costs_decide ? " (" : "", gross, costs_decide ? " before them)" : "", theirs);
  return true;
}

bool report_direction(char out[VERDICT_TEXT], const json_t *scores) {
  const json_t *d = json_object_get(scores, "direction");
  const json_t *interval = json_object_get(d, "interval");
  double share = page_f64(d, "accuracy"), commoner = page_f64(d, "majority");
  out[0] = 0;
  if (!isfinite(share) || !isfinite(commoner)) return false;
  char ours[PAGE_NUMBER], theirs[PAGE_NUMBER], low[PAGE_NUMBER], high[PAGE_NUMBER];
  char between[160] = "";
  const char *word = "";
  if (json_array_size(interval) == 2) {
    double from = json_number_value(json_array_get(interval, 0));
    double to = json_number_value(json_array_get(interval, 1));
    snprintf(between, sizeof between, " (95 %% interval %s to %s)", page_percent(low, from, 1),
             page_percent(high, to, 1));
    word = from > commoner ? ": it knows something of direction"
           : to < commoner ? ": worse than always naming the commoner one"
                           : ": no more than always naming the commoner one";
  }
  snprintf(out, VERDICT_TEXT,
           "Of the rows that moved, it gives the larger odds to the right direction on %s%s; the "
           "commoner direction is %s of them%s.",
           page_percent(ours, share, 1), between, page_percent(theirs, commoner, 1), word);
  return true;
}
