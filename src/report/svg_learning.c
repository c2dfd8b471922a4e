/* Learning curves: the interquartile mean over seeds with its interval, and every seed. */
#include "report/svg.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>

static void take(double *out, const json_t *array, size_t n, double *low, double *high) {
  for (size_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(array, i);
    out[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
    if (!isfinite(out[i])) continue;
    *low = fmin(*low, out[i]);
    *high = fmax(*high, out[i]);
  }
}

bool svg_learning(page *p, const json_t *result) {
  const json_t *curve = json_object_get(result, "curve");
  const json_t *steps = json_object_get(curve, "steps"), *seeds = json_object_get(curve, "seeds");
  const size_t n = json_array_size(steps), n_seeds = json_array_size(seeds);
  if (n < 2) return false;
  double *x = mem_array(n * (4 + n_seeds), sizeof *x);
  if (!x) return p->failed = true;
  double *iqm = x + n, *low = iqm + n, *high = low + n, *each = high + n;
  double least = INFINITY, most = -INFINITY, first = INFINITY, last = -INFINITY;
  take(x, steps, n, &first, &last);
  take(iqm, json_object_get(curve, "iqm"), n, &least, &most);
  take(low, json_object_get(curve, "low"), n, &least, &most);
  take(high, json_object_get(curve, "high"), n, &least, &most);
  for (size_t k = 0; k < n_seeds; k++)
    take(each + k * n, json_array_get(seeds, k), n, &least, &most);
  svg s;
  svg_begin(&s, p, "Learning", true, (axis){"world steps", AXIS_COUNT, 0, last, true},
            (axis){"return on held-out episodes", AXIS_NUMBER, least, most, false},
            (svg_legend[]){{"s1", "interquartile mean, 95 %"}, {"s0", "each seed"}},
            n_seeds > 1 ? 2 : 1);
  svg_band(&s, "s1", x, low, high, n);
  for (size_t k = 0; n_seeds > 1 && k < n_seeds; k++) svg_line(&s, "s0 thin", x, each + k * n, n);
  svg_line(&s, "s1", x, iqm, n);
  svg_end(&s, "Evaluated without exploring, on episodes that were never learnt from; intervals are "
              "of the stratified bootstrap over seeds.");
  mem_free(x);
  return true;
}

bool svg_seeds(page *p, const json_t *result) {
  const json_t *returns = json_object_get(result, "returns");
  const json_t *last = json_object_get(json_object_get(result, "last"), "returns");
  const size_t n = json_array_size(returns);
  if (n < 2 || json_array_size(last) != n) return false;
  double *kept = mem_array(2 * n, sizeof *kept), least = INFINITY, most = -INFINITY;
  if (!kept) return p->failed = true;
  take(kept, returns, n, &least, &most);
  take(kept + n, last, n, &least, &most);
  svg s;
  svg_begin(&s, p, "Every seed", true, (axis){"seed", AXIS_COUNT, -0.5, (double)n - 0.5, true},
            (axis){"return", AXIS_NUMBER, least, most, false},
            (svg_legend[]){{"s1", "the policy that is kept"}, {"s2", "the last one"}}, 2);
  svg_rule_y(&s, "s1 dashed", page_f64(result, "iqm"));
  for (size_t k = 0; k < n; k++) {
    char tip[2 * PAGE_NUMBER], text[PAGE_NUMBER];
    snprintf(tip, sizeof tip, "seed %zu: %s", k, page_number(text, kept[n + k], 2));
    svg_dot(&s, "s2", (double)k, kept[n + k], 4, tip);
    snprintf(tip, sizeof tip, "seed %zu: %s", k, page_number(text, kept[k], 2));
    svg_dot(&s, "s1", (double)k, kept[k], 5, tip);
  }
  svg_end(&s, "Means of the episodes at the end, which decided nothing. The dashed line is their "
              "interquartile mean.");
  mem_free(kept);
  return true;
}
