/* Which type a column has, from its sample; which column is the time. */
#include "table/rows.h"

#include "base/clock.h"
#include "base/number_text.h"
#include "table/cell_text.h"
#include "table/time_text.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

static void look_number(cell_counts *n, const char *text, size_t size, bool is_whole,
                        double value) {
  if (fabs(value) > n->largest) n->largest = fabs(value);
  if (!is_whole) {
    n->real++;
    return;
  }
  n->integer++;
  time_parts parts;
  int64_t ns;
  n->compact += time_parse_compact(&parts, text, size);
  n->clock_digits += time_parse_clock(&ns, text, size, true);
}

void cell_look(cell_counts *n, const cell *c, char decimal) {
  char text[CELL_TEXT_MAX];
  int64_t integer;
  double real;
  switch (c->kind) {
  case CELL_NULL: return;
  case CELL_I64: look_number(n, text, cell_print(text, c), true, (double)c->i64); return;
  case CELL_F64: look_number(n, NULL, 0, false, c->f64); return;
  case CELL_TEXT: break;
  }
  if (text_is_missing(c->text, c->size)) return;
  number_kind kind = number_parse(&integer, &real, c->text, c->size, decimal);
  if (kind != NUMBER_NONE) {
    look_number(n, c->text, c->size, kind == NUMBER_INTEGER, real);
    return;
  }
  time_parts parts;
  int64_t ns;
  if (time_parse_calendar(&parts, c->text, c->size, TIME_ORDER_AUTO)) {
    n->calendar++;
    n->with_clock += parts.has_clock;
    n->with_zone += parts.has_zone;
    n->year_last += parts.year_last;
    n->with_dots += parts.year_last && parts.separator == '.';
    n->first_over_12 += parts.year_last && parts.first > 12;
    n->second_over_12 += parts.year_last && parts.second > 12;
  } else if (time_parse_clock(&ns, c->text, c->size, false)) {
    n->clock++;
  } else {
    n->text++;
  }
}

void rows_sample(row_reader *r, const cell *cells) {
  for (size_t i = 0; i < r->t->n_columns; i++)
    cell_look(&r->columns[i].counts, &cells[i], r->decimal);
}

/* ---- names ----------------------------------------------------------------------------- */

/* Names of time columns, best first; compared without case and without other signs. */
static const char *const time_names[] = {"timestamp", "datetime", "time", "date",
                                         "epochtime", "epoch",    "ts"};

static bool same_letters(const char *name, const char *wanted) {
  for (; *name; name++) {
    if (!isalnum((unsigned char)*name)) continue;
    if (tolower((unsigned char)*name) != *wanted) return false;
    wanted++;
  }
  return !*wanted;
}

static bool word_says_time(const char *word, size_t n) {
  static const char *const words[] = {"time", "date", "ts", "timestamp", "datetime", "epoch"};
  for (size_t i = 0; i < COUNT_OF(words); i++)
    if (strlen(words[i]) == n && strncasecmp(word, words[i], n) == 0) return true;
  return false;
}

/* One of the words of "open_time", "updateTime", "TRADE DATE" is a word for time. */
static bool name_says_time(const char *name) {
  for (const char *at = name; *at;) {
    if (!isalpha((unsigned char)*at)) {
      at++;
      continue;
    }
    const char *end = at + 1;
    while (isalpha((unsigned char)*end) &&
           !(isupper((unsigned char)*end) && islower((unsigned char)end[-1])))
      end++;
    if (word_says_time(at, (size_t)(end - at))) return true;
    at = end;
  }
  return false;
}

static size_t name_rank(const char *name) {
  for (size_t i = 0; i < COUNT_OF(time_names); i++)
    if (same_letters(name, time_names[i])) return i;
  return COUNT_OF(time_names);
}

/* ---- types ------------------------------------------------------------------------------ */

static int64_t unit_of(const row_reader *r, double largest) {
  static const int64_t units[] = {0, CLOCK_NS_PER_SECOND, 1000000, 1000, 1};
  if (r->config->time_unit > 0) return units[r->config->time_unit];
  return largest < 1e11 ? units[1] : largest < 1e14 ? units[2] : largest < 1e17 ? units[3] : 1;
}

garam_status column_decide(row_reader *r, size_t i, uint64_t line, garam_error *err) {
  row_column *rc = &r->columns[i];
  column *c = &r->t->columns[i];
  const cell_counts *n = &rc->counts;
  size_t numbers = n->integer + n->real;
  size_t total = numbers + n->calendar + n->clock + n->text;
  if (total == 0 && !rc->must_be_text) return GARAM_OK;
  rc->decided = true;
  if (rc->must_be_text) {
    c->type = COLUMN_CATEGORY;
    return GARAM_OK;
  }
  if ((rc->is_named || rc->must_be_time) && numbers * 2 >= total) {
    bool asked = r->config->time_unit > 0;
    if (!asked && n->real == 0 && n->compact == n->integer) {
      c->type = COLUMN_TIME;
      rc->form = FORM_COMPACT;
      return GARAM_OK;
    }
    /* A count from zero in a column "time" is no epoch: before 1973 only when asked for. */
    if (asked || rc->must_be_time || n->largest >= 1e8) {
      c->type = COLUMN_TIME;
      rc->form = FORM_EPOCH;
      rc->unit = unit_of(r, n->largest);
      return GARAM_OK;
    }
  }
  if (rc->must_be_time || n->calendar * 2 > total) {
    c->type = COLUMN_TIME;
    rc->form = FORM_CALENDAR;
    rc->order = r->config->date_order;
    if (rc->order == TIME_ORDER_AUTO && n->year_last > 0) {
      if (n->first_over_12) rc->order = TIME_ORDER_DMY;
      else if (n->second_over_12) rc->order = TIME_ORDER_MDY;
      else if (n->with_dots == n->year_last) rc->order = TIME_ORDER_DMY;
      else
        return fail(err, GARAM_PARSE,
                    "%s%s%llu: column \"%s\": day and month cannot be told apart in these dates; "
                    "give --date-order dmy or mdy",
                    r->t->source, r->line_word, (unsigned long long)line, c->name);
    }
  } else if (numbers * 2 >= total) {
    c->type = n->real ? COLUMN_F64 : COLUMN_I64;
  } else {
    c->type = COLUMN_CATEGORY;
  }
  return GARAM_OK;
}

static garam_status find_named(size_t *out, const row_reader *r, const char *option,
                               const char *name, garam_error *err) {
  int at = table_find(r->t, name);
  if (at >= 0) {
    *out = (size_t)at;
    return GARAM_OK;
  }
  const char *near = NULL;
  for (size_t i = 0; i < r->t->n_columns; i++) {
    const char *pair[2] = {near ? near : r->t->columns[i].name, r->t->columns[i].name};
    const char *found = name_nearest(name, pair, 2);
    if (found) near = found;
  }
  return fail(err, GARAM_NOT_FOUND, "%s: --%s: no column \"%s\"%s%s%s", r->t->source, option, name,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static garam_status mark_text_columns(row_reader *r, garam_error *err) {
  char list[sizeof r->config->text_columns];
  memcpy(list, r->config->text_columns, sizeof list);
  char *rest = list;
  for (char *name; (name = strsep(&rest, ",")) != NULL;) {
    size_t at = 0;
    if (!*name) continue;
    TRY(find_named(&at, r, "text-columns", name, err));
    r->columns[at].must_be_text = true;
  }
  return GARAM_OK;
}

/* --time-column "a" or "a,b"; a column whose own name holds a comma comes first. */
static garam_status mark_time_column(row_reader *r, garam_error *err) {
  size_t date = 0, clock = 0;
  char name[sizeof r->config->time_column];
  memcpy(name, r->config->time_column, sizeof name);
  char *comma = strchr(name, ',');
  if (comma && table_find(r->t, name) < 0) {
    *comma = 0;
    TRY(find_named(&clock, r, "time-column", comma + 1, err));
    TRY(find_named(&date, r, "time-column", name, err));
    if (clock == date)
      return fail(err, GARAM_INVALID, "%s: --time-column: \"%s\" is named twice", r->t->source,
                  name);
    r->columns[date].clock_from = (int)clock;
    r->columns[clock].is_dropped = true;
  } else {
    TRY(find_named(&date, r, "time-column", name, err));
  }
  r->columns[date].must_be_time = true;
  r->t->time_column = (int)date;
  return GARAM_OK;
}

static bool is_time(const row_reader *r, size_t i) {
  return r->columns[i].decided && r->t->columns[i].type == COLUMN_TIME;
}

/* By name, best name first and then leftmost; else the first column, when it holds calendar
 * times (a table without header, or an index without a name). */
static int choose_time_column(const row_reader *r) {
  int best = -1;
  size_t best_rank = SIZE_MAX;
  for (size_t i = 0; i < r->t->n_columns; i++) {
    if (!is_time(r, i) || !r->columns[i].is_named) continue;
    size_t rank = name_rank(r->t->columns[i].name);
    if (rank < best_rank) {
      best = (int)i;
      best_rank = rank;
    }
  }
  if (best < 0 && is_time(r, 0) && r->columns[0].form == FORM_CALENDAR) best = 0;
  return best;
}

/* Every cell is a time of day, and so is not a column to learn from but half of an index. */
static bool is_clock(const row_reader *r, size_t i) {
  const cell_counts *n = &r->columns[i].counts;
  if (r->columns[i].must_be_text || n->real || n->calendar || n->text) return false;
  if (n->clock && !n->integer) return true;
  return n->integer && n->clock_digits == n->integer && !n->clock &&
         same_letters(r->t->columns[i].name, "time");
}

/* A date without a time of day beside a column of times of day: joined to it when that is named
 * "time" or stands just right of it. */
static void pair_clock(row_reader *r, size_t date) {
  const cell_counts *n = &r->columns[date].counts;
  bool date_only = r->columns[date].form == FORM_CALENDAR
                       ? n->with_clock == 0
                       : r->columns[date].form == FORM_COMPACT && n->largest < 1e8;
  if (!date_only) return;
  for (size_t i = 0; i < r->t->n_columns; i++) {
    if (i == date || !is_clock(r, i)) continue;
    if (i != date + 1 && !same_letters(r->t->columns[i].name, "time")) continue;
    r->columns[date].clock_from = (int)i;
    r->columns[i].is_dropped = true;
    return;
  }
}

garam_status rows_decide(row_reader *r, uint64_t first_line, garam_error *err) {
  const table_read_config *config = r->config;
  if (config->zone_offset[0]) {
    r->has_offset = true;
    if (!time_parse_offset(&r->offset, config->zone_offset, strlen(config->zone_offset)))
      return fail(err, GARAM_INVALID,
                  "--zone-offset: expected an offset such as +09:00, found \"%s\"",
                  config->zone_offset);
  }
  for (size_t i = 1; i < r->n_columns; i++)
    for (size_t j = 0; j < i; j++)
      if (strcmp(r->t->columns[i].name, r->t->columns[j].name) == 0)
        return fail(err, GARAM_PARSE, "%s: columns %zu and %zu have the same name, \"%s\"",
                    r->t->source, j + 1, i + 1, r->t->columns[i].name);
  bool none = strcmp(config->time_column, "none") == 0 && table_find(r->t, "none") < 0;
  TRY(mark_text_columns(r, err));
  if (config->time_column[0] && !none) TRY(mark_time_column(r, err));
  for (size_t i = 0; i < r->t->n_columns; i++) {
    r->columns[i].is_named = name_says_time(r->t->columns[i].name);
    TRY(column_decide(r, i, first_line, err));
  }
  if (!config->time_column[0]) {
    r->t->time_column = choose_time_column(r);
    if (r->t->time_column >= 0) pair_clock(r, (size_t)r->t->time_column);
  }
  return GARAM_OK;
}
