/* Unadjusted splits: see splits.h. */
#include "api/splits.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

enum { MAX_JUMPS = 256 };

static bool is_between(const char *time, const char *from, const char *to) {
  return (!from || strcmp(time, from) >= 0) && (!to || strcmp(time, to) <= 0);
}

garam_status splits_find(json_t **out, const table *t, const bars_config *config, const char *from,
                         const char *to, garam_error *err) {
  *out = json_array();
  if (!*out) return fail_memory(err, 0);
  bars *b;
  garam_error why = {0};
  garam_status status = bars_open(&b, t, config, &why);
  if (status == GARAM_NO_MEMORY) return fail_memory(err, 0);
  if (status != GARAM_OK) return GARAM_OK;
  price_jump jumps[MAX_JUMPS];
  size_t n = bars_find_jumps(jumps, MAX_JUMPS, b);
  for (size_t i = 0; i < n && i < MAX_JUMPS; i++) {
    char time[CLOCK_TEXT_MAX] = "";
    if (b->time) clock_format(time, b->time[jumps[i].row]);
    if (jumps[i].split <= 0 || !is_between(time, from, to)) continue;
    json_t *o = json_pack("{s:I, s:I, s:s, s:f, s:f}", "row", (json_int_t)jumps[i].row, "line",
                          (json_int_t)table_line(t, jumps[i].row), "time", time, "ratio",
                          jumps[i].ratio, "split", jumps[i].split);
    if (json_array_append_new(*out, o) != 0) status = fail_memory(err, 0);
  }
  bars_free(b);
  return status;
}

bool splits_text(char out[SPLITS_TEXT], const json_t *splits) {
  size_t n = json_array_size(splits);
  out[0] = 0;
  if (n == 0) return false;
  const json_t *first = json_array_get(splits, 0);
  double split = json_number_value(json_object_get(first, "split"));
  char ratio[64];
  snprintf(ratio, sizeof ratio, split >= 1 ? "%g:1" : "1:%g", split >= 1 ? split : 1 / split);
  snprintf(out, SPLITS_TEXT, "%zu price jump%s like %s (%s%.10s, line %lld, %s)", n,
           n == 1 ? " looks" : "s look", n == 1 ? "an unadjusted split" : "unadjusted splits",
           n == 1 ? "" : "the first ", json_string_value(json_object_get(first, "time")),
           (long long)json_integer_value(json_object_get(first, "line")), ratio);
  return true;
}
