/* Confusion matrix: rows are what happened, columns what was predicted. Shading is the share of
 * the row, so that rare classes are seen as well as common ones. */
#include "report/svg.h"

#include <stdio.h>

enum { MAX_CLASSES = 12 };

static double count_at(const json_t *matrix, size_t row, size_t column) {
  return json_number_value(json_array_get(json_array_get(matrix, row), column));
}

static void label(page *p, double x, double y, const char *class, const char *text) {
  page_printf(p, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
  page_text(p, text);
  page_put(p, "</text>");
}

bool svg_confusion(page *p, const json_t *detail) {
  const json_t *matrix = json_object_get(detail, "confusion");
  const json_t *names = json_object_get(detail, "class_names");
  size_t k = json_array_size(matrix);
  if (k < 2 || k > MAX_CLASSES) return false;
  double left = 86, top = 44, width = 430, height = 320;
  double cell_w = (width - left - 14) / (double)k, cell_h = (height - top - 16) / (double)k;
  page_put(p, "<figure><figcaption><b>Confusion</b></figcaption>\n");
  page_printf(p, "<svg viewBox=\"0 0 %g %g\" role=\"img\"><title>Confusion</title>\n", width,
              height);
  label(p, left, 12, "name", "predicted");
  label(p, 2, 12, "name", "happened");
  for (size_t i = 0; i < k; i++) {
    const char *name = json_string_value(json_array_get(names, i));
    char number[16];
    snprintf(number, sizeof number, "%zu", i);
    if (!name) name = number;
    label(p, left + ((double)i + 0.5) * cell_w, top - 8, "tick middle", name);
    label(p, left - 10, top + ((double)i + 0.5) * cell_h + 4, "tick end", name);
    double sum = 0;
    for (size_t j = 0; j < k; j++) sum += count_at(matrix, i, j);
    for (size_t j = 0; j < k; j++) {
      double n = count_at(matrix, i, j), share = sum > 0 ? n / sum : 0;
      double x = left + (double)j * cell_w, y = top + (double)i * cell_h;
      page_printf(p,
                  "<rect class=\"cell %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                  "rx=\"3\" fill-opacity=\"%.3f\"/>",
                  i == j ? "s1" : "s2", x + 1.5, y + 1.5, cell_w - 3, cell_h - 3,
                  0.06 + 0.74 * share);
      char text[PAGE_NUMBER];
      label(p, x + cell_w / 2, y + cell_h / 2 + (k <= 6 ? -1 : 4), "cell-n",
            page_percent(text, share, k <= 4 ? 1 : 0));
      if (k <= 6) label(p, x + cell_w / 2, y + cell_h / 2 + 15, "cell-count", page_count(text, n));
      page_put(p, "\n");
    }
  }
  page_put(p, "</svg>\n<p class=\"note\">Each row adds up to 100 % of what happened; counts below."
              "</p></figure>\n");
  return true;
}
