/* An order book and its fills as SVG. */
#include "env/book_draw.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* Colours of the report's page where there is one, else their own. */
static const char bid_colour[] = "var(--good,#1f7a4d)", ask_colour[] = "var(--bad,#a8322a)",
                  own_colour[] = "var(--river,#0b6e8f)", soft_colour[] = "var(--soft,#5c6570)";

static const double path_left = 8, path_right = 248, depth_left = 292, depth_right = 392, top = 24,
                    bottom = 288;

typedef struct canvas {
  book_text text;
  void *context;
  double low, high; /* prices at the bottom and the top */
} canvas;

__attribute__((format(printf, 2, 3))) static void put(const canvas *c, const char *format, ...) {
  char line[512];
  va_list list;
  va_start(list, format);
  vsnprintf(line, sizeof line, format, list);
  va_end(list);
  c->text(c->context, line);
}

static double height(const canvas *c, double price) {
  return bottom - (price - c->low) / (c->high - c->low) * (bottom - top);
}

static void widen(canvas *c, double price) {
  if (price < c->low) c->low = price;
  if (price > c->high) c->high = price;
}

static void draw_side(const canvas *c, const book_picture *p, int side, const char *colour) {
  const double step = (path_right - path_left) / (p->n_path > 1 ? p->n_path - 1 : 1);
  put(c, "<path d=\"");
  bool down = false;
  for (int i = 0; i < p->n_path; i++) {
    if (p->path[i][side] < 0) {
      down = false;
      continue;
    }
    put(c, "%s%.1f %.1f", down ? "L" : "M", path_left + i * step, height(c, p->path[i][side]));
    down = true;
  }
  put(c, "\" style=\"fill:none;stroke:%s;stroke-width:1.2\"/>", colour);
}

/* A triangle up for what was bought, down for what was sold. */
static void draw_fill(const canvas *c, const book_picture *p, const book_picture_fill *f) {
  const double step = (path_right - path_left) / (p->n_path > 1 ? p->n_path - 1 : 1);
  const double x = path_right - f->age * step, y = height(c, f->price);
  const double size = 2.5 + fmin(sqrt(fabs((double)f->lots)), 4), up = f->lots > 0 ? size : -size;
  put(c,
      "<path d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1fZ\" style=\"fill:%s;stroke:%s;stroke-width:.6\">"
      "<title>agent %d %s %lld at %.10g</title></path>",
      x, y - up, x - size, y + up * 0.6, x + size, y + up * 0.6,
      f->lots > 0 ? bid_colour : ask_colour, own_colour, f->agent, f->lots > 0 ? "bought" : "sold",
      (long long)(f->lots > 0 ? f->lots : -f->lots), f->price);
}

static void draw_level(const canvas *c, const book_picture_level *l, double most, double thick) {
  const double y = height(c, l->price) - thick / 2, wide = depth_right - depth_left;
  put(c,
      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" style=\"fill:%s;opacity:.75\"/>",
      depth_left, y, wide * (double)l->lots / most, thick, l->side > 0 ? bid_colour : ask_colour);
  if (l->own > 0)
    put(c, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" style=\"fill:%s\"/>",
        depth_left, y, fmax(2, wide * (double)l->own / most), thick, own_colour);
}

void book_draw(const book_picture *p, book_text text, void *context) {
  canvas c = {.text = text, .context = context, .low = INFINITY, .high = -INFINITY};
  for (int i = 0; i < p->n_path; i++)
    for (int side = 0; side < 2; side++)
      if (p->path[i][side] >= 0) widen(&c, p->path[i][side]);
  double most = 1;
  for (int i = 0; i < p->n_levels; i++) {
    widen(&c, p->levels[i].price);
    most = fmax(most, (double)(p->levels[i].lots > p->levels[i].own ? p->levels[i].lots
                                                                    : p->levels[i].own));
  }
  if (!(c.low < c.high)) { /* nothing, or one price */
    c.low = isfinite(c.low) ? c.low - 1 : 0;
    c.high = c.low + 2;
  }
  put(&c, "<text x=\"%.0f\" y=\"14\" style=\"fill:%s;font:10px sans-serif\">%.200s</text>",
      path_left, soft_colour, p->caption);
  for (int i = 0; i < 2; i++) /* the prices at both ends of the scale */
    put(&c,
        "<text x=\"286\" y=\"%.1f\" style=\"fill:%s;font:9px sans-serif;text-anchor:end\">"
        "%.10g</text>",
        (i ? top : bottom) + 3, soft_colour, i ? c.high : c.low);
  draw_side(&c, p, 0, bid_colour);
  draw_side(&c, p, 1, ask_colour);
  for (int i = 0; i < p->n_fills; i++)
    if (p->fills[i].age >= 0 && p->fills[i].age < p->n_path) draw_fill(&c, p, p->fills + i);
  const double thick = fmin(12, fmax(1, 0.8 * (bottom - top) / (c.high - c.low + 1)));
  for (int i = 0; i < p->n_levels; i++) draw_level(&c, p->levels + i, most, thick);
}
