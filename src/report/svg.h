/* A chart's frame: a figure with title and legend in HTML, and an inline SVG with axes, ticks and
 * units. Colours are the page's CSS classes (s1, s2, s3), so that charts follow light and dark. */
#ifndef REPORT_SVG_H
#define REPORT_SVG_H

#include "report/page.h"

typedef enum axis_kind {
  AXIS_NUMBER,
  AXIS_PERCENT, /* shares */
  AXIS_COUNT,   /* whole numbers */
  AXIS_TIME,    /* ns since 1970 */
} axis_kind;

typedef struct axis {
  const char *label; /* with its unit */
  axis_kind kind;
  double low, high; /* of the data; widened to ticks unless fixed */
  bool fixed;
} axis;

typedef struct svg {
  page *p;
  axis x, y;
  double width, height;            /* of the whole */
  double left, right, top, bottom; /* of the plot, in the whole's units */
} svg;

typedef struct svg_legend {
  const char *mark; /* CSS class: "s1" */
  const char *text;
} svg_legend;

/* `wide`: the page's whole width; else half of it. The note (or NULL) stands under the chart. */
void svg_begin(svg *s, page *p, const char *title, bool wide, axis x, axis y,
               const svg_legend *legend, size_t n_legend);
void svg_end(svg *s, const char *note);

double svg_x(const svg *s, double value);
double svg_y(const svg *s, double value);

/* A line through points; where one is not finite, it is broken. `mark` is the CSS class. At most
 * about a thousand points are drawn: of more, the extremes of each column of pixels. */
void svg_line(svg *s, const char *mark, const double *x, const double *y, size_t n);
/* What lies between low and high. */
void svg_band(svg *s, const char *mark, const double *x, const double *low, const double *high,
              size_t n);
void svg_dot(svg *s, const char *mark, double x, double y, double radius, const char *tip);
void svg_rule_y(svg *s, const char *mark, double y);
void svg_rule_x(svg *s, const char *mark, double x);
void svg_bar(svg *s, const char *mark, double x0, double x1, double y, const char *tip);

/* ---- the charts: each draws nothing and returns false when its data is not there ------- */
bool svg_curves(page *p, const json_t *detail);      /* svg_curves.c */
bool svg_reliability(page *p, const json_t *detail); /* svg_reliability.c */
bool svg_coverage(page *p, const json_t *scores);    /* svg_coverage.c */
bool svg_confusion(page *p, const json_t *detail);   /* svg_confusion.c */
bool svg_equity(page *p, const json_t *scores);      /* svg_equity.c */
bool svg_influence(page *p, const json_t *detail);   /* svg_influence.c: with its heading */

/* Of reinforcement learning: `result` as garam rl train has it, `play` as garam rl play. */
bool svg_learning(page *p, const json_t *result);  /* svg_learning.c */
bool svg_seeds(page *p, const json_t *result);     /* svg_learning.c */
bool svg_episode(page *p, const json_t *play);     /* svg_episode.c: pictures and lines */
bool svg_profiles(page *p, const json_t *compare); /* svg_profiles.c */

#endif
