/* Coverage against accuracy: what is right among the rows on which the model is surest. */
#include "report/svg.h"

#include "base/mem.h"

#include <math.h>

bool svg_coverage(page *p, const json_t *scores) {
  const json_t *curve = json_object_get(json_object_get(scores, "detail"), "coverage");
  size_t n = json_array_size(curve);
  if (n < 2) return false;
  double *x = mem_array(n, sizeof *x), *y = mem_array(n, sizeof *y);
  if (!x || !y) {
    mem_free(x);
    mem_free(y);
    p->failed = true;
    return false;
  }
  double low = 1, high = 0;
  for (size_t i = 0; i < n; i++) {
    const json_t *at = json_array_get(curve, i);
    x[i] = page_f64(at, "coverage");
    y[i] = page_f64(at, "accuracy");
    if (isfinite(y[i])) {
      low = fmin(low, y[i]);
      high = fmax(high, y[i]);
    }
  }
  double overall = page_f64(scores, "accuracy");
  if (isfinite(overall)) low = fmin(low, overall);
  svg s;
  svg_begin(&s, p, "Accuracy where it is surest", false,
            (axis){"share of rows called, surest first", AXIS_PERCENT, 0, 1, true},
            (axis){"accuracy on them", AXIS_PERCENT, low, fmax(high, low + 0.02), false},
            (svg_legend[]){{"s1", "model"}, {"s0", "all rows"}}, isfinite(overall) ? 2 : 1);
  if (isfinite(overall)) svg_rule_y(&s, "s0 dashed", overall);
  svg_line(&s, "s1", x, y, n);
  svg_end(&s, NULL);
  mem_free(x);
  mem_free(y);
  return true;
}
