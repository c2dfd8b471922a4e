/* Training and validation loss by epoch, as the package recorded them. */
#include "report/svg.h"

#include "base/mem.h"

#include <math.h>

static double *numbers(const json_t *array) {
  size_t n = json_array_size(array);
  double *out = mem_array(n > 0 ? n : 1, sizeof *out);
  for (size_t i = 0; out && i < n; i++) {
    const json_t *value = json_array_get(array, i);
    out[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
  }
  return out;
}

bool svg_curves(page *p, const json_t *detail) {
  const json_t *fit = json_object_get(detail, "training");
  const json_t *train = json_object_get(fit, "train_loss");
  const json_t *valid = json_object_get(fit, "valid_loss");
  size_t n = json_array_size(train), n_valid = json_array_size(valid);
  if (n < 2) return false;
  double *a = numbers(train), *b = numbers(valid), *epoch = mem_array(n, sizeof *epoch);
  if (a && b && epoch) {
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
      epoch[i] = (double)i + 1;
      low = fmin(low, a[i]);
      high = fmax(high, a[i]);
      if (i >= n_valid) continue;
      low = fmin(low, b[i]);
      high = fmax(high, b[i]);
    }
    svg s;
    svg_begin(&s, p, "Training", false, (axis){"epoch", AXIS_COUNT, 1, (double)n, true},
              (axis){"loss", AXIS_NUMBER, low, high, false},
              (svg_legend[]){{"s2", "train"}, {"s1", "validation"}, {"s0", "kept"}},
              n_valid > 1 ? 3 : 1);
    double best = page_f64(fit, "best_epoch");
    if (best >= 1 && best <= (double)n) svg_rule_x(&s, "s0 dashed", best);
    svg_line(&s, "s2", epoch, a, n);
    if (n_valid > 1) svg_line(&s, "s1", epoch, b, n < n_valid ? n : n_valid);
    svg_end(&s, "The package holds the weights of the epoch at the dashed line.");
  } else {
    p->failed = true;
  }
  mem_free(a);
  mem_free(b);
  mem_free(epoch);
  return true;
}
