/* The small parsers: times in every form, numbers, and sqlite: addresses. */
#include "table/table.h"
#include "table/time_text.h"

#include "base/mem.h"
#include "base/number_text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 4096) return 0;
  size_t n = size - 1;
  char *text = malloc(n + 8); /* exactly what is read, so that ASan sees a byte too far */
  if (!text) return 0;
  time_parts parts;
  int64_t ns, integer;
  double real;
  char *exact = malloc(n ? n : 1);
  memcpy(exact, data + 1, n);
  time_parse_calendar(&parts, exact, n, (time_order)(data[0] % 3));
  time_parse_compact(&parts, exact, n);
  time_parse_clock(&ns, exact, n, data[0] & 1);
  time_parse_offset(&ns, exact, n);
  time_parse_epoch(&ns, exact, n, data[0] & 2 ? 1 : 1000000000, '.');
  if (number_parse(&integer, &real, exact, n, data[0] & 4 ? ',' : '.') == NUMBER_REAL &&
      real - real == 0) {
    char again[NUMBER_TEXT_MAX];
    double back = 0;
    size_t length = number_print(again, real);
    number_parse(&integer, &back, again, length, '.');
    REQUIRE(back == real, "%.17g, then %.17g", real, back);
  }
  memcpy(text, "sqlite:", 7);
  memcpy(text + 7, exact, n);
  text[7 + n] = 0;
  table *t;
  garam_error err;
  if (table_open(&t, text, NULL, NULL, NULL, &err) == GARAM_OK) table_free(t);
  free(exact);
  free(text);
  return 0;
}
