/* What environments draw frames with: SVG elements within 0 0 400 300, given piece by piece to
 * whoever collects them (env_ops.draw). */
#ifndef ENV_DRAWING_H
#define ENV_DRAWING_H

typedef struct drawing {
  void (*text)(void *context, const char *svg);
  void *context;
} drawing;

void draw_page(const drawing *d); /* white, 400 by 300 */
void draw_line(const drawing *d, double x1, double y1, double x2, double y2, const char *colour,
               double width);
void draw_circle(const drawing *d, double x, double y, double radius, const char *fill);
void draw_box(const drawing *d, double x, double y, double width, double height, const char *fill);
/* Words that are markup's own are written as what they mean. */
void draw_text(const drawing *d, double x, double y, const char *words);
/* Whatever else: one element or a part of one, at most 511 characters. */
void draw_element(const drawing *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
