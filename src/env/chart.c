/* What chart.h says, as SVG elements. */
#include "env/chart.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void chart_frame(const chart *c, chart_box box, const char *format, ...) {
  char title[128], out[512];
  va_list list;
  va_start(list, format);
  vsnprintf(title, sizeof title, format, list);
  va_end(list);
  snprintf(out, sizeof out,
           "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" fill=\"none\" stroke=\"#999\"/>"
           "<text x=\"%g\" y=\"%g\" font-size=\"11\" fill=\"#333\">%s</text>\n",
           box.x, box.y, box.width, box.height, box.x, box.y - 4, title);
  c->text(c->context, out);
}

void chart_line(const chart *c, chart_box box, const float *y, int n, int n_full, double low,
                double high, const char *color) {
  char out[96];
  snprintf(out, sizeof out, "<polyline fill=\"none\" stroke=\"%s\" points=\"", color);
  c->text(c->context, out);
  for (int i = 0; i < n; i++) {
    if (!isfinite(y[i])) continue;
    const double at = fmin(fmax(((double)y[i] - low) / (high - low), 0), 1);
    snprintf(out, sizeof out, "%.1f,%.1f ", box.x + box.width * i / (n_full > 1 ? n_full - 1 : 1),
             box.y + box.height * (1 - at));
    c->text(c->context, out);
  }
  c->text(c->context, "\"/>\n");
}

void chart_range(double *low, double *high, const float *y, int n) {
  double least = INFINITY, most = -INFINITY;
  for (int i = 0; i < n; i++) {
    if (!isfinite(y[i])) continue;
    least = fmin(least, (double)y[i]);
    most = fmax(most, (double)y[i]);
  }
  if (!(least <= most)) return;
  const double room = fmax(.05 * (most - least), 1e-6 * (1 + fabs(most)));
  *low = least - room;
  *high = most + room;
}
