/* Text that grows. Failure (memory is out) is sticky: later calls do nothing, page_take gives
 * NULL. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include "base/json.h"

typedef struct page {
  char *text;
  size_t used, capacity;
  bool failed;
} page;

void page_put(page *p, const char *text);          /* as it stands */
void page_text(page *p, const char *text);         /* escaped; NULL is nothing */
void page_printf(page *p, const char *format, ...) /* as it stands: numbers */
    __attribute__((format(printf, 2, 3)));
char *page_take(page *p); /* mem_free */

/* ---- section.c ---- */
void page_open(page *p); /* up to the title's text, which the caller puts */
void page_body(page *p); /* the rest of the head: what follows stands in <main> */
void page_section(page *p, const char *title, const json_t *object); /* folded; nothing if empty */

/* Fields of scores and manifests that may not be there. */
double page_f64(const json_t *object, const char *key);         /* NaN */
const char *page_string(const json_t *object, const char *key); /* NULL */
/* Numbers for people, into out: "41.23 %", "0.6612", "1,234"; "–" when it is NaN. */
enum { PAGE_NUMBER = 64 };
char *page_percent(char out[PAGE_NUMBER], double share, int digits);
char *page_number(char out[PAGE_NUMBER], double value, int digits);
char *page_count(char out[PAGE_NUMBER], double n);
char *page_time(char out[PAGE_NUMBER], double ns);

#endif
