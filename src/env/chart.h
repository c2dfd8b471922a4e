/* Lines and labels within the 400 x 300 of env_ops.draw. */
#ifndef ENV_CHART_H
#define ENV_CHART_H

typedef struct chart {
  void (*text)(void *context, const char *svg);
  void *context;
} chart;

typedef struct chart_box {
  double x, y, width, height;
} chart_box;

/* A frame with a title above it. */
void chart_frame(const chart *c, chart_box box, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* y[0 .. n) as a line of `color` over the frame, the whole width being `n_full` points; low and
 * high are its edges. Points that are not finite are left out. */
void chart_line(const chart *c, chart_box box, const float *y, int n, int n_full, double low,
                double high, const char *color);
/* Smallest and largest of the finite ones, widened a little; kept when there are none. */
void chart_range(double *low, double *high, const float *y, int n);

#endif
