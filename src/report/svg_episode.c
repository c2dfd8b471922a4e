/* One episode: what the environment draws of it, the return as it grows, and each number that the
 * environment tells of itself. */
#include "report/svg.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>

enum { MOST_AGENTS_SHOWN = 5, MOST_INFO = 12 };

static void put_frames(page *p, const json_t *frames) {
  size_t i;
  json_t *frame;
  page_put(p, "<div class=\"frames\">\n");
  json_array_foreach((json_t *)(uintptr_t)frames, i, frame) {
    char step[PAGE_NUMBER];
    page_put(p, "<figure><svg viewBox=\"0 0 400 300\" role=\"img\">");
    page_put(p, page_string(frame, "svg")); /* made by an environment of this process */
    page_put(p, "</svg><figcaption><span>step ");
    page_put(p, page_count(step, page_f64(frame, "step")));
    page_put(p, "</span></figcaption></figure>\n");
  }
  page_put(p, "</div>\n");
}

typedef struct lines {
  double *x, *y; /* (n), (n_lines, n) */
  size_t n, n_lines;
  const char *names[MOST_AGENTS_SHOWN];
} lines;

static void draw_lines(page *p, const char *title, const char *label, const lines *l, bool wide) {
  static const char *const marks[MOST_AGENTS_SHOWN] = {"s1", "s2", "s4", "s3", "s0"};
  double low = INFINITY, high = -INFINITY;
  svg_legend legend[MOST_AGENTS_SHOWN];
  for (size_t i = 0; i < l->n_lines * l->n; i++) {
    if (!isfinite(l->y[i])) continue;
    low = fmin(low, l->y[i]);
    high = fmax(high, l->y[i]);
  }
  for (size_t k = 0; k < l->n_lines; k++) legend[k] = (svg_legend){marks[k], l->names[k]};
  svg s;
  svg_begin(&s, p, title, wide, (axis){"step", AXIS_COUNT, 0, (double)l->n, true},
            (axis){label, AXIS_NUMBER, low, high, false}, legend, l->n_lines > 1 ? l->n_lines : 0);
  for (size_t k = 0; k < l->n_lines; k++) svg_line(&s, marks[k], l->x, l->y + k * l->n, l->n);
  svg_end(&s, NULL);
}

static double number_at(const json_t *array, size_t i) {
  const json_t *value = json_array_get(array, i);
  return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static void put_return(page *p, const json_t *steps, lines *l) {
  for (size_t k = 0; k < l->n_lines; k++) {
    double sum = 0;
    for (size_t i = 0; i < l->n; i++) {
      sum += number_at(json_object_get(json_array_get(steps, i), "reward"), k);
      l->y[k * l->n + i] = sum;
    }
  }
  draw_lines(p, "Return so far", "return", l, true);
}

/* The first number that each agent does. */
static void put_actions(page *p, const json_t *steps, lines *l) {
  for (size_t k = 0; k < l->n_lines; k++)
    for (size_t i = 0; i < l->n; i++)
      l->y[k * l->n + i] =
          number_at(json_array_get(json_object_get(json_array_get(steps, i), "action"), k), 0);
  draw_lines(p, "Actions", "first number, or the choice", l, false);
}

static void put_info(page *p, const json_t *steps, lines *l) {
  const char *key;
  json_t *unused;
  size_t shown = 0;
  l->n_lines = 1;
  json_object_foreach(json_object_get(json_array_get(steps, 0), "info"), key, unused) {
    if (shown++ == MOST_INFO) break;
    for (size_t i = 0; i < l->n; i++)
      l->y[i] = page_f64(json_object_get(json_array_get(steps, i), "info"), key);
    draw_lines(p, key, key, l, false);
  }
}

bool svg_episode(page *p, const json_t *play) {
  const json_t *steps = json_object_get(play, "trajectory"),
               *frames = json_object_get(play, "frames"), *agents = json_object_get(play, "agents");
  lines l = {.n = json_array_size(steps), .n_lines = json_array_size(agents)};
  if (l.n < 1) return false;
  if (l.n_lines > MOST_AGENTS_SHOWN) l.n_lines = MOST_AGENTS_SHOWN;
  if (json_array_size(frames) > 0) put_frames(p, frames);
  l.x = mem_array(l.n * (1 + l.n_lines) + 1, sizeof *l.x);
  if (!l.x) return p->failed = true;
  l.y = l.x + l.n;
  for (size_t i = 0; i < l.n; i++) l.x[i] = (double)i + 1;
  for (size_t k = 0; k < l.n_lines; k++) l.names[k] = json_string_value(json_array_get(agents, k));
  page_put(p, "<div class=\"charts\">\n");
  put_return(p, steps, &l);
  put_actions(p, steps, &l);
  put_info(p, steps, &l);
  page_put(p, "</div>\n");
  mem_free(l.x);
  return true;
}
