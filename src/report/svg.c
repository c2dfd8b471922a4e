/* A chart's frame: see svg.h. */
#include "report/svg.h"

#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TICKS = 24, COLUMNS = 500 };

typedef struct ticks {
  size_t n;
  double at[MAX_TICKS];
  char text[MAX_TICKS][PAGE_NUMBER];
} ticks;

/* ---- ticks ----------------------------------------------------------------------------- */

static double nice_step(double span, int wanted, bool whole) {
  double rough = span / wanted, scale = pow(10, floor(log10(rough)));
  double step = rough / scale < 1.5 ? 1 : rough / scale < 3 ? 2 : rough / scale < 7 ? 5 : 10;
  step *= scale;
  return whole && step < 1 ? 1 : step;
}

static void widen(axis *a) {
  if (!isfinite(a->low) || !isfinite(a->high)) a->low = 0, a->high = 1;
  if (a->high <= a->low) {
    double around = a->low == 0 ? 1 : fabs(a->low) * 0.05;
    a->low -= around;
    a->high += around;
  }
}

static void number_ticks(ticks *t, axis *a, int wanted) {
  double step = nice_step(a->high - a->low, wanted, a->kind == AXIS_COUNT);
  if (!a->fixed) {
    a->low = floor(a->low / step + 1e-9) * step;
    a->high = ceil(a->high / step - 1e-9) * step;
  }
  int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
  for (double i = ceil(a->low / step - 1e-9); i * step <= a->high + step * 1e-9; i++) {
    if (t->n == MAX_TICKS) break;
    double value = i * step;
    t->at[t->n] = value;
    if (a->kind == AXIS_PERCENT)
      page_percent(t->text[t->n], value, step * 100 >= 1 ? 0 : digits - 2 > 0 ? digits - 2 : 0);
    else if (a->kind == AXIS_COUNT) page_count(t->text[t->n], value);
    else page_number(t->text[t->n], value, digits);
    t->n++;
  }
}

/* Calendar steps: the name says which field of a date is stepped, and how it is written. */
typedef enum unit { UNIT_SECOND, UNIT_MINUTE, UNIT_HOUR, UNIT_DAY, UNIT_MONTH, UNIT_YEAR } unit;
static const struct {
  unit unit;
  int step;
  double seconds;
} time_steps[] = {
    {UNIT_SECOND, 1, 1},       {UNIT_SECOND, 5, 5},        {UNIT_SECOND, 15, 15},
    {UNIT_SECOND, 30, 30},     {UNIT_MINUTE, 1, 60},       {UNIT_MINUTE, 5, 300},
    {UNIT_MINUTE, 15, 900},    {UNIT_MINUTE, 30, 1800},    {UNIT_HOUR, 1, 3600},
    {UNIT_HOUR, 3, 10800},     {UNIT_HOUR, 6, 21600},      {UNIT_HOUR, 12, 43200},
    {UNIT_DAY, 1, 86400},      {UNIT_DAY, 2, 172800},      {UNIT_DAY, 5, 432000},
    {UNIT_DAY, 10, 864000},    {UNIT_MONTH, 1, 2629800},   {UNIT_MONTH, 3, 7889400},
    {UNIT_MONTH, 6, 15778800}, {UNIT_YEAR, 1, 31557600},   {UNIT_YEAR, 2, 63115200},
    {UNIT_YEAR, 5, 157788000}, {UNIT_YEAR, 10, 315576000}, {UNIT_YEAR, 20, 631152000},
};

static void time_text(char out[PAGE_NUMBER], const clock_civil *c, unit u) {
  static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  switch (u) {
  case UNIT_YEAR: snprintf(out, PAGE_NUMBER, "%d", c->year); break;
  case UNIT_MONTH: snprintf(out, PAGE_NUMBER, "%s %d", months[c->month - 1], c->year); break;
  case UNIT_DAY: snprintf(out, PAGE_NUMBER, "%d %s", c->day, months[c->month - 1]); break;
  case UNIT_SECOND:
    snprintf(out, PAGE_NUMBER, "%02d:%02d:%02d", c->hour, c->minute, c->second);
    break;
  default:
    if (c->hour == 0 && c->minute == 0)
      snprintf(out, PAGE_NUMBER, "%d %s", c->day, months[c->month - 1]);
    else snprintf(out, PAGE_NUMBER, "%02d:%02d", c->hour, c->minute);
  }
}

/* The last moment at or before ns at which the field is at a multiple of step. */
static void floor_to(clock_civil *c, unit u, int step) {
  c->nanosecond = 0;
  if (u == UNIT_SECOND) c->second -= c->second % step;
  if (u >= UNIT_MINUTE) c->second = 0;
  if (u == UNIT_MINUTE) c->minute -= c->minute % step;
  if (u >= UNIT_HOUR) c->minute = 0;
  if (u == UNIT_HOUR) c->hour -= c->hour % step;
  if (u >= UNIT_DAY) c->hour = 0;
  if (u == UNIT_DAY) c->day -= (c->day - 1) % step;
  if (u >= UNIT_MONTH) c->day = 1;
  if (u == UNIT_MONTH) c->month -= (c->month - 1) % step;
  if (u == UNIT_YEAR) {
    c->month = 1;
    c->year -= c->year % step;
  }
}

static void time_ticks(ticks *t, const axis *a, int wanted) {
  double span = (a->high - a->low) / (double)CLOCK_NS_PER_SECOND;
  size_t k = 0;
  while (k + 1 < COUNT_OF(time_steps) && span / time_steps[k].seconds > wanted) k++;
  unit u = time_steps[k].unit;
  double at = a->low, before = -INFINITY;
  while (at <= a->high && t->n < MAX_TICKS) {
    clock_civil c;
    clock_to_civil(&c, (int64_t)at);
    floor_to(&c, u, time_steps[k].step);
    double tick = (double)clock_from_civil(&c);
    if (tick >= a->low && tick > before) {
      t->at[t->n] = before = tick;
      time_text(t->text[t->n++], &c, u);
    }
    /* A step and a bit further is in the next cell; days of short months only come early. */
    at = tick + time_steps[k].seconds * 1.02 * (double)CLOCK_NS_PER_SECOND;
  }
}

static ticks find_ticks(axis *a, int wanted) {
  ticks t = {0};
  widen(a);
  if (a->kind == AXIS_TIME) time_ticks(&t, a, wanted);
  else number_ticks(&t, a, wanted);
  return t;
}

/* ---- the frame ------------------------------------------------------------------------- */

double svg_x(const svg *s, double value) {
  return s->left + (value - s->x.low) / (s->x.high - s->x.low) * (s->right - s->left);
}

double svg_y(const svg *s, double value) {
  return s->bottom - (value - s->y.low) / (s->y.high - s->y.low) * (s->bottom - s->top);
}

static void axis_label(page *p, const char *class, const char *place, const char *text) {
  page_printf(p, "<text class=\"%s\" %s>", class, place);
  page_text(p, text);
  page_put(p, "</text>");
}

void svg_begin(svg *s, page *p, const char *title, bool wide, axis x, axis y,
               const svg_legend *legend, size_t n_legend) {
  *s = (svg){.p = p, .x = x, .y = y, .width = wide ? 880 : 430, .height = wide ? 300 : 320};
  s->left = 58;
  s->right = s->width - 14;
  s->top = 26;
  s->bottom = s->height - 44;
  ticks tx = find_ticks(&s->x, wide ? 8 : 5), ty = find_ticks(&s->y, 5);

  page_printf(p, "<figure%s><figcaption><b>", wide ? " class=\"wide\"" : "");
  page_text(p, title);
  page_put(p, "</b>");
  for (size_t i = 0; i < n_legend; i++) {
    page_printf(p, "<span><i class=\"%s\"></i>", legend[i].mark);
    page_text(p, legend[i].text);
    page_put(p, "</span>");
  }
  page_printf(p, "</figcaption>\n<svg viewBox=\"0 0 %g %g\" role=\"img\"><title>", s->width,
              s->height);
  page_text(p, title);
  page_put(p, "</title>\n");
  char place[128];
  for (size_t i = 0; i < ty.n; i++) {
    double at = svg_y(s, ty.at[i]);
    page_printf(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                s->left, s->right, at, at);
    snprintf(place, sizeof place, "x=\"%.1f\" y=\"%.1f\"", s->left - 8, at + 4);
    axis_label(p, "tick end", place, ty.text[i]);
  }
  page_put(p, "\n");
  for (size_t i = 0; i < tx.n; i++) {
    double at = svg_x(s, tx.at[i]);
    page_printf(p, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", at, at,
                s->bottom, s->bottom + 4);
    snprintf(place, sizeof place, "x=\"%.1f\" y=\"%.1f\"", at, s->bottom + 18);
    axis_label(p, "tick middle", place, tx.text[i]);
  }
  page_printf(p, "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
              s->left, s->right, s->bottom, s->bottom);
  snprintf(place, sizeof place, "x=\"%.1f\" y=\"12\"", 2.0);
  axis_label(p, "name", place, s->y.label);
  snprintf(place, sizeof place, "x=\"%.1f\" y=\"%.1f\"", s->right, s->height - 6);
  axis_label(p, "name end", place, s->x.label);
  page_put(p, "\n");
}

void svg_end(svg *s, const char *note) {
  page_put(s->p, "</svg>\n");
  if (note) {
    page_put(s->p, "<p class=\"note\">");
    page_text(s->p, note);
    page_put(s->p, "</p>");
  }
  page_put(s->p, "</figure>\n");
}

/* ---- marks ----------------------------------------------------------------------------- */

static void point(svg *s, bool *open, double x, double y) {
  page_printf(s->p, "%s%.1f %.1f", *open ? "L" : "M", svg_x(s, x), svg_y(s, y));
  *open = true;
}

void svg_line(svg *s, const char *mark, const double *x, const double *y, size_t n) {
  page_printf(s->p, "<path class=\"line %s\" d=\"", mark);
  bool open = false;
  size_t per_column = (n + COLUMNS - 1) / COLUMNS;
  for (size_t begin = 0; begin < n;) {
    size_t end = begin + per_column < n ? begin + per_column : n;
    size_t low = begin, high = begin;
    bool broken = false;
    for (size_t i = begin; i < end; i++) {
      broken |= !isfinite(y[i]);
      if (!isfinite(y[low]) || y[i] < y[low]) low = i;
      if (!isfinite(y[high]) || y[i] > y[high]) high = i;
    }
    if (broken && !isfinite(y[low])) open = false;
    else {
      size_t first = low < high ? low : high, second = low < high ? high : low;
      point(s, &open, x[first], y[first]);
      if (second != first) point(s, &open, x[second], y[second]);
    }
    begin = end;
  }
  page_put(s->p, "\"/>\n");
}

void svg_band(svg *s, const char *mark, const double *x, const double *low, const double *high,
              size_t n) {
  bool open = false;
  page_printf(s->p, "<path class=\"band %s\" d=\"", mark);
  for (size_t i = 0; i < n; i++)
    if (isfinite(high[i])) point(s, &open, x[i], high[i]);
  for (size_t i = n; i-- > 0;)
    if (isfinite(low[i])) point(s, &open, x[i], low[i]);
  page_put(s->p, "Z\"/>\n");
}

static void put_tip(page *p, const char *tip) {
  if (!tip) return;
  page_put(p, "<title>");
  page_text(p, tip);
  page_put(p, "</title>");
}

void svg_dot(svg *s, const char *mark, double x, double y, double radius, const char *tip) {
  page_printf(s->p, "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\">", mark,
              svg_x(s, x), svg_y(s, y), radius);
  put_tip(s->p, tip);
  page_put(s->p, "</circle>\n");
}

void svg_rule_y(svg *s, const char *mark, double y) {
  page_printf(s->p, "<line class=\"rule %s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
              mark, s->left, s->right, svg_y(s, y), svg_y(s, y));
}

void svg_rule_x(svg *s, const char *mark, double x) {
  page_printf(s->p, "<line class=\"rule %s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
              mark, svg_x(s, x), svg_x(s, x), s->top, s->bottom);
}

void svg_bar(svg *s, const char *mark, double x0, double x1, double y, const char *tip) {
  double top = svg_y(s, y);
  page_printf(s->p, "<rect class=\"bar %s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">",
              mark, svg_x(s, x0), top, svg_x(s, x1) - svg_x(s, x0), s->bottom - top);
  put_tip(s->p, tip);
  page_put(s->p, "</rect>\n");
}
