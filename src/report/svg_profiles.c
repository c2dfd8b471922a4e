/* Performance profiles: for every score, the share of runs that were over it. */
#include "report/svg.h"

#include "base/mem.h"

#include <math.h>

enum { MOST_SHOWN = 5 };

static void take(double *out, const json_t *array, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const json_t *value = json_array_get(array, i);
    out[i] = json_is_number(value) ? json_number_value(value) : (double)NAN;
  }
}

bool svg_profiles(page *p, const json_t *compare) {
  static const char *const marks[MOST_SHOWN] = {"s1", "s2", "s4", "s3", "s0"};
  const json_t *profiles = json_object_get(compare, "profiles");
  const json_t *tau = json_object_get(profiles, "tau"), *all = json_object_get(profiles, "players");
  const size_t n = json_array_size(tau);
  size_t n_players = json_array_size(all);
  if (n < 2 || n_players < 1) return false;
  if (n_players > MOST_SHOWN) n_players = MOST_SHOWN;
  double *x = mem_array(4 * n, sizeof *x);
  if (!x) return p->failed = true;
  double *share = x + n, *low = share + n, *high = low + n;
  svg_legend legend[MOST_SHOWN];
  for (size_t k = 0; k < n_players; k++)
    legend[k] = (svg_legend){marks[k], page_string(json_array_get(all, k), "name")};
  take(x, tau, n);
  svg s;
  svg_begin(&s, p, "Performance profiles", true,
            (axis){page_string(profiles, "unit"), AXIS_NUMBER, x[0], x[n - 1], true},
            (axis){"share of runs over it", AXIS_PERCENT, 0, 1, true}, legend, n_players);
  for (size_t k = 0; k < n_players; k++) {
    const json_t *one = json_array_get(all, k);
    take(share, json_object_get(one, "share"), n);
    take(low, json_object_get(one, "low"), n);
    take(high, json_object_get(one, "high"), n);
    svg_band(&s, marks[k], x, low, high, n);
    svg_line(&s, marks[k], x, share, n);
  }
  svg_end(&s, "A line over another at every score is better at every level. Bands are 95 % "
              "intervals of the stratified bootstrap.");
  mem_free(x);
  return true;
}
