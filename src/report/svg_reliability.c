/* Reliability diagram: how often the model was right, by how sure it said it was (Murphy & Winkler
 * 1977). On the diagonal a stated 60 % is right 60 times in 100. The area of a dot is the number
 * of rows. */
#include "report/svg.h"

#include <math.h>
#include <stdio.h>

bool svg_reliability(page *p, const json_t *detail) {
  const json_t *bins = json_object_get(detail, "reliability");
  double most = 0, low = 1;
  size_t i;
  json_t *bin;
  json_array_foreach(bins, i, bin) {
    most = fmax(most, page_f64(bin, "n"));
    if (page_f64(bin, "n") > 0)
      low = fmin(low, fmin(page_f64(bin, "confidence"), page_f64(bin, "accuracy")));
  }
  if (most <= 0) return false;
  low = fmax(0, floor(low * 10) / 10);
  svg s;
  svg_begin(&s, p, "Reliability", false, (axis){"stated confidence", AXIS_PERCENT, low, 1, true},
            (axis){"share that was right", AXIS_PERCENT, low, 1, true}, NULL, 0);
  svg_line(&s, "s0 dashed", (double[]){low, 1}, (double[]){low, 1}, 2);
  json_array_foreach(bins, i, bin) {
    double n = page_f64(bin, "n"), x = page_f64(bin, "confidence"), y = page_f64(bin, "accuracy");
    if (!(n > 0) || !isfinite(x) || !isfinite(y)) continue;
    char a[PAGE_NUMBER], b[PAGE_NUMBER], c[PAGE_NUMBER], tip[4 * PAGE_NUMBER];
    snprintf(tip, sizeof tip, "said %s, right %s, %s rows", page_percent(a, x, 1),
             page_percent(b, y, 1), page_count(c, n));
    svg_dot(&s, "s1", x, y, 2.5 + 11 * sqrt(n / most), tip);
  }
  svg_end(&s,
          "On the dashed line the model means what it says. A dot’s area is its number of rows.");
  return true;
}
