/* SVG elements of frames. */
#include "env/drawing.h"

#include <stdarg.h>
#include <stdio.h>

void draw_element(const drawing *d, const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  d->text(d->context, line);
}

void draw_page(const drawing *d) {
  d->text(d->context, "<rect width=\"400\" height=\"300\" fill=\"#fff\"/>");
}

void draw_line(const drawing *d, double x1, double y1, double x2, double y2, const char *colour,
               double width) {
  draw_element(d,
               "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
               "stroke-width=\"%.1f\" stroke-linecap=\"round\"/>",
               x1, y1, x2, y2, colour, width);
}

void draw_circle(const drawing *d, double x, double y, double radius, const char *fill) {
  draw_element(d, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/>", x, y, radius, fill);
}

void draw_box(const drawing *d, double x, double y, double width, double height, const char *fill) {
  draw_element(d, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>", x, y,
               width, height, fill);
}

void draw_text(const drawing *d, double x, double y, const char *words) {
  char safe[256];
  size_t n = 0;
  for (; *words && n + 6 < sizeof safe; words++) {
    const char *as = *words == '<' ? "&lt;" : *words == '&' ? "&amp;" : NULL;
    n += (size_t)snprintf(safe + n, sizeof safe - n, as ? "%s" : "%.1s", as ? as : words);
  }
  safe[n] = 0;
  draw_element(d,
               "<text x=\"%.1f\" y=\"%.1f\" font-family=\"sans-serif\" font-size=\"12\" "
               "fill=\"#333\">%s</text>",
               x, y, safe);
}
