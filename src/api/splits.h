/* Price jumps that look like unadjusted splits, where a run would trip over them. */
#ifndef API_SPLITS_H
#define API_SPLITS_H

#include "market/market.h"

/* An array of {row, line, time, ratio, split} for the jumps of t that look like splits; `from` and
 * `to` (ISO times as clock_format writes them, or NULL) bound them. Empty when the table is not
 * read as a market: who needs one says why. */
garam_status splits_find(json_t **out, const table *t, const bars_config *config, const char *from,
                         const char *to, garam_error *err);

/* "1 price jump looks like an unadjusted split (2020-08-31, 4:1)"; false when there are none. */
enum { SPLITS_TEXT = 256 };
bool splits_text(char out[SPLITS_TEXT], const json_t *splits);

#endif
