/* What features are worth (the growth of the loss when one is taken from other rows), and the mean
 * prediction as one of them changes. */
#include "report/svg.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>

enum { MOST_BARS = 20 };

/* A table with bars: names need room that an axis does not have. */
static void put_worth(page *p, const json_t *influence) {
  const json_t *list = json_object_get(influence, "features");
  double most = page_f64(json_array_get(list, 0), "permutation");
  bool gain = json_is_number(json_object_get(json_array_get(list, 0), "gain"));
  char text[PAGE_NUMBER];
  page_put(p, "<div class=\"scroll\"><table><thead><tr><th>feature</th><th>growth of the loss</th>"
              "<th>least to most</th>");
  if (gain) page_put(p, "<th>gain</th><th>splits</th><th>cover</th><th>mean |SHAP|</th>");
  page_put(p, "<th></th></tr></thead><tbody>\n");
  for (size_t i = 0; i < json_array_size(list) && i < MOST_BARS; i++) {
    const json_t *one = json_array_get(list, i), *range = json_object_get(one, "range");
    double v = page_f64(one, "permutation");
    page_put(p, "<tr><td>");
    page_text(p, page_string(one, "feature"));
    page_printf(p, "</td><td>%s</td>", page_number(text, v, 5));
    page_printf(p, "<td>%s", page_number(text, json_number_value(json_array_get(range, 0)), 5));
    page_printf(p, " – %s</td>", page_number(text, json_number_value(json_array_get(range, 1)), 5));
    if (gain) {
      page_printf(p, "<td>%s</td>", page_number(text, page_f64(one, "gain"), 1));
      page_printf(p, "<td>%s</td>", page_count(text, page_f64(one, "splits")));
      page_printf(p, "<td>%s</td>", page_count(text, page_f64(one, "cover")));
      page_printf(p, "<td>%s</td>", page_number(text, page_f64(one, "mean_abs_shap"), 4));
    }
    double share = most > 0 && v > 0 ? v / most : 0;
    page_printf(p,
                "<td><svg width=\"120\" height=\"10\" role=\"img\" aria-label=\"%.0f %%\">"
                "<rect class=\"cell s1\" width=\"%.1f\" height=\"10\"/></svg></td></tr>\n",
                100 * share, 120 * share);
  }
  page_put(p, "</tbody></table></div>\n");
}

static void put_dependence(page *p, const json_t *one, bool odds) {
  const json_t *at = json_object_get(one, "at"), *mean = json_object_get(one, "mean");
  size_t n = json_array_size(at);
  if (n < 2 || json_array_size(mean) != n) return;
  double *x = mem_array(n, sizeof *x), *y = mem_array(n, sizeof *y);
  if (!x || !y) {
    mem_free(x);
    mem_free(y);
    p->failed = true;
    return;
  }
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < n; i++) {
    x[i] = json_number_value(json_array_get(at, i));
    y[i] = json_number_value(json_array_get(mean, i));
    low = fmin(low, y[i]);
    high = fmax(high, y[i]);
  }
  char label[160];
  const char *output = page_string(one, "output"), *name = page_string(one, "feature");
  snprintf(label, sizeof label, odds ? "mean odds of %.100s" : "mean %.100s", output ? output : "");
  svg s;
  svg_begin(
      &s, p, name ? name : "", false, (axis){name ? name : "", AXIS_NUMBER, x[0], x[n - 1], false},
      (axis){label, odds ? AXIS_PERCENT : AXIS_NUMBER, low, high > low ? high : low + 1, false},
      NULL, 0);
  svg_line(&s, "s1", x, y, n);
  svg_end(&s, NULL);
  mem_free(x);
  mem_free(y);
}

bool svg_influence(page *p, const json_t *detail) {
  const json_t *influence = json_object_get(detail, "influence");
  const json_t *curves = json_object_get(influence, "dependence");
  const char *loss = page_string(influence, "loss");
  char text[PAGE_NUMBER];
  if (json_array_size(json_object_get(influence, "features")) == 0) return false;
  page_put(p, "<h2>What the features are worth</h2>\n");
  put_worth(p, influence);
  page_put(p, "<p class=\"note\">Growth of the loss (");
  page_text(p, loss);
  page_printf(p, ") over %s scored rows when a feature is taken from other rows, ",
              page_count(text, page_f64(influence, "rows")));
  page_printf(p, "the mean of %s draws. Features that say the same cover for each other.</p>\n",
              page_count(text, page_f64(influence, "repeats")));
  page_put(p, "<div class=\"charts\">\n");
  for (size_t i = 0; i < json_array_size(curves); i++)
    put_dependence(p, json_array_get(curves, i), loss && loss[0] == 'l');
  page_put(p, "</div>\n");
  return true;
}
