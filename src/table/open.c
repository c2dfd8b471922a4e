/* DATA by its form, and the options that say how it is read. */
#include "table/rows.h"

#include <string.h>

static const char *const delimiters[] = {"auto",  "comma", "semicolon", "tab",
                                         "space", "pipe",  NULL};
static const char *const headers[] = {"auto", "yes", "no", NULL};
static const char *const units[] = {"auto", "s", "ms", "us", "ns", NULL};
static const char *const orders[] = {"auto", "dmy", "mdy", NULL};

const opt_row table_read_options[] = {
    {"delimiter", OPT_ENUM, OPT_AT(table_read_config, delimiter), .choices = delimiters,
     .help = "what separates the fields"},
    {"header", OPT_ENUM, OPT_AT(table_read_config, header), .choices = headers,
     .help = "whether the first record names the columns"},
    {"time-column", OPT_STRING, OPT_AT(table_read_config, time_column),
     .help = "column of times, or \"date,time\" for two; \"none\": rows are no time series"},
    {"time-unit", OPT_ENUM, OPT_AT(table_read_config, time_unit), .choices = units,
     .help = "unit of times that are numbers since 1970"},
    {"date-order", OPT_ENUM, OPT_AT(table_read_config, date_order), .choices = orders,
     .help = "order of day and month in dates that end in the year"},
    {"zone-offset", OPT_STRING, OPT_AT(table_read_config, zone_offset),
     .help = "offset from UTC of times that name no zone, such as +09:00"},
    {"text-columns", OPT_STRING, OPT_AT(table_read_config, text_columns),
     .help = "columns, separated by commas, that are text even where they look like numbers"},
};
const size_t table_read_n_options = COUNT_OF(table_read_options);

garam_status table_open(table **out, const char *data, const table_read_config *config,
                        table_progress_fn progress, void *context, garam_error *err) {
  table_read_config defaults = {0};
  *out = NULL;
  if (!config) config = &defaults;
  if (strncmp(data, "postgresql:", 11) == 0 || strncmp(data, "postgres:", 9) == 0)
    return fail(err, GARAM_UNSUPPORTED, "%s: PostgreSQL is not supported yet", data);
  if (strncmp(data, "sqlite:", 7) == 0)
    return table_read_sqlite(out, data, config, progress, context, err);
  return table_read_csv(out, data, config, progress, context, err);
}
