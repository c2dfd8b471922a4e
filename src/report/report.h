/* The report: one self-contained HTML file made from the scores that `garam evaluate --json` gives
 * and the package's manifest. No script, nothing from elsewhere, light and dark. The same scores
 * give the same bytes. The map of this room:
 *   page.c      growing text, escaped
 *   svg.c       a chart's frame: axes, ticks, lines, dots
 *   svg_*.c     one chart a file
 *   verdict.c   what the scores allow one to say, in a sentence
 *   html.c      the page */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "base/json.h"

/* `scores`: as evaluate_run gives them, with "detail". `manifest`: the package's; may be NULL.
 * `command`: the line that made the report, or NULL. Durable, whole or not at all. */
garam_status report_write(const char *path, const json_t *scores, const json_t *manifest,
                          const char *command, garam_error *err);
/* The text itself; mem_free. NULL when memory is out. */
char *report_html(const json_t *scores, const json_t *manifest, const char *command);

/* Is it better than the best baseline, worse, or is that not known? */
typedef enum verdict {
  VERDICT_UNKNOWN,
  VERDICT_BETTER,
  VERDICT_NO_EVIDENCE,
  VERDICT_WORSE,
} verdict;
enum { VERDICT_TEXT = 512 };
verdict report_verdict(char out[VERDICT_TEXT], const json_t *scores);
/* A sentence on the direction of the rows that were not flat; false when there is none. */
bool report_direction(char out[VERDICT_TEXT], const json_t *scores);
/* What acting on it would have brought, beside buy-and-hold; false without a backtest. */
bool report_money(char out[VERDICT_TEXT], const json_t *scores);

#endif
