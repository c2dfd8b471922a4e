/* Reading a tape: roles by market/, whole numbers by their greatest common unit, checks by row. */
#include "env/book_tape.h"

#include "base/arena.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_FILES = 64, MAX_DECIMALS = 8 };

typedef struct reading {
  const book_tape_config *config;
  table *tables[MAX_FILES];
  bars *books[MAX_FILES];
  const column *average[MAX_FILES]; /* NULL: no such column */
  int n_files, n_levels;
  size_t n_rows;
} reading;

static void reading_deinit(reading *r) {
  for (int f = 0; f < r->n_files; f++) {
    bars_free(r->books[f]);
    table_free(r->tables[f]);
  }
}

/* ---- messages ------------------------------------------------------------------------------ */

static const double *values(const bars *b, int side, int level, bool size) {
  if (size) return side ? b->level_bid_size[level] : b->level_ask_size[level];
  return side ? b->level_bid[level] : b->level_ask[level];
}

/* The name in the file of the column that holds x: bars keep values, not names. */
static const char *column_name(const bars *b, const double *x, size_t row) {
  const table *t = b->source;
  const size_t rows[] = {row, 0, b->n_rows / 2, b->n_rows / 3, b->n_rows - 1};
  for (size_t i = 0; i < t->n_columns; i++) {
    if (!bars_is_book_column(t->columns[i].name)) continue;
    bool same = true;
    for (size_t k = 0; k < COUNT_OF(rows) && same; k++) {
      const double y = column_f64(&t->columns[i], rows[k]), z = x[rows[k]];
      same = y == z || (isnan(y) && isnan(z));
    }
    if (same) return t->columns[i].name;
  }
  return "?";
}

static garam_status bad_value(const bars *b, int side, int level, bool size, size_t row,
                              const char *expected, garam_error *err) {
  const double *x = values(b, side, level, size);
  return fail(err, GARAM_INVALID, "%s:%llu: row %zu, column \"%s\": %.10g, expected %s",
              b->source->source, (unsigned long long)table_line(b->source, row), row + 1,
              column_name(b, x, row), x[row], expected);
}

/* ---- units --------------------------------------------------------------------------------- */

static bool is_there(double price) {
  return isfinite(price) && price > 0;
}

/* Whole numbers at 10^decimals? The greatest common divisor of them all. */
static bool common_unit(int64_t *divisor, const reading *r, bool size, double power) {
  int64_t g = 0;
  for (int f = 0; f < r->n_files; f++)
    for (int side = 0; side < 2; side++)
      for (int k = 0; k < r->n_levels; k++) {
        const bars *b = r->books[f];
        const double *x = values(b, side, k, size), *price = values(b, side, k, false);
        for (size_t i = 0; i < b->n_rows; i++) {
          if (!is_there(price[i]) || !isfinite(x[i])) continue;
          const double scaled = x[i] * power, whole = nearbyint(scaled);
          if (fabs(scaled - whole) > 1e-4 || fabs(whole) > 0x1p53) return false;
          int64_t y = (int64_t)fabs(whole);
          while (y) { /* Euclid */
            const int64_t rest = g % y;
            g = y;
            y = rest;
          }
        }
      }
  *divisor = g;
  return true;
}

static garam_status find_unit(double *out, const reading *r, bool size, double given,
                              garam_error *err) {
  *out = given;
  if (given > 0) return GARAM_OK;
  double power = 1;
  for (int decimals = 0; decimals <= MAX_DECIMALS; decimals++, power *= 10) {
    int64_t divisor;
    if (!common_unit(&divisor, r, size, power)) continue;
    *out = divisor > 0 ? (double)divisor / power : 1;
    return GARAM_OK;
  }
  return fail(err, GARAM_INVALID,
              "%s: the book's %s are no whole multiples of a unit of at most %d decimals; say it "
              "with --%s",
              r->tables[0]->source, size ? "sizes" : "prices", MAX_DECIMALS, size ? "lot" : "tick");
}

/* ---- files --------------------------------------------------------------------------------- */

static garam_status open_file(reading *r, const char *name, garam_error *err) {
  static const char *const averages[] = {"avgprice", "avg_price", "average_price", "averageprice",
                                         "vwap"};
  const int f = r->n_files;
  table *t;
  TRY(table_open(&t, name, NULL, NULL, NULL, err));
  r->tables[f] = t;
  r->n_files++; /* from here on it is freed with the rest */
  TRY(bars_open(&r->books[f], t, NULL, err));
  const bars *b = r->books[f];
  if (!b->snapshots || b->n_levels < 1 || !b->level_bid_size[0])
    return fail(err, GARAM_MISMATCH,
                "%s: no order book: columns such as bid1, ask1, bidSize1, askSize1 are expected",
                t->source);
  if (!b->time)
    return fail(err, GARAM_MISMATCH, "%s: snapshots without a time: sessions cannot be told apart",
                t->source);
  int levels = 0;
  while (levels < b->n_levels && b->level_bid_size[levels] && b->level_ask_size[levels]) levels++;
  if (f == 0 || levels < r->n_levels) r->n_levels = levels;
  for (size_t i = 0; i < COUNT_OF(averages) && !r->average[f]; i++) {
    const int at = table_find(t, averages[i]);
    if (at >= 0 && t->columns[at].type != COLUMN_CATEGORY) r->average[f] = &t->columns[at];
  }
  if (f > 0 && b->time[0] <= r->books[f - 1]->time[r->books[f - 1]->n_rows - 1])
    return fail(err, GARAM_INVALID, "%s: begins before %s ends: files follow each other in time",
                t->source, r->tables[f - 1]->source);
  r->n_rows += b->n_rows;
  return GARAM_OK;
}

static garam_status open_files(reading *r, const char *data, garam_error *err) {
  char name[1024];
  /* A query may hold commas. */
  const bool one = strncmp(data, "sqlite:", 7) == 0;
  for (const char *at = data; *at;) {
    const size_t n = one ? strlen(at) : strcspn(at, ",");
    if (r->n_files == MAX_FILES || n >= sizeof name)
      return fail(err, GARAM_INVALID, "--data: more than %d files, or a name too long", MAX_FILES);
    memcpy(name, at, n);
    name[n] = 0;
    TRY(open_file(r, name, err));
    at += n + (at[n] == ',');
  }
  return GARAM_OK;
}

/* ---- rows ---------------------------------------------------------------------------------- */

typedef struct columns {
  int32_t *price[2], *lots[2], *hit[2];
  int64_t *time;
} columns;

static garam_status read_level(columns *c, size_t at, const book_tape *t, const bars *b, size_t row,
                               int side, int level, garam_error *err) {
  const double price = values(b, side, level, false)[row], size = values(b, side, level, true)[row];
  int32_t *ticks = c->price[side] + at * (size_t)t->n_levels + (size_t)level;
  int32_t *lots = c->lots[side] + at * (size_t)t->n_levels + (size_t)level;
  if (!is_there(price)) { /* fewer levels here */
    if (level == 0 || price < 0)
      return bad_value(b, side, level, false, row, "a price above zero", err);
    *ticks = -1;
    *lots = 0;
    return GARAM_OK;
  }
  const double p = price / t->tick, q = size / t->lot;
  if (!(fabs(p - nearbyint(p)) < 1e-3) || p > INT32_MAX / 2) {
    char expected[64];
    snprintf(expected, sizeof expected, "a multiple of the tick %.10g", t->tick);
    return bad_value(b, side, level, false, row, expected, err);
  }
  if (!(size >= 0)) return bad_value(b, side, level, true, row, "a size of at least zero", err);
  if (!(fabs(q - nearbyint(q)) < 1e-3) || q > INT32_MAX / 2) {
    char expected[64];
    snprintf(expected, sizeof expected, "a multiple of the lot %.10g", t->lot);
    return bad_value(b, side, level, true, row, expected, err);
  }
  *ticks = (int32_t)nearbyint(p);
  *lots = (int32_t)nearbyint(q);
  if (level > 0 && (ticks[-1] < 0 || (side ? *ticks >= ticks[-1] : *ticks <= ticks[-1])))
    return bad_value(b, side, level, false, row,
                     side ? "less than the level before it" : "more than the level before it", err);
  return GARAM_OK;
}

static garam_status read_row(columns *c, size_t at, const book_tape *t, const bars *b, size_t row,
                             garam_error *err) {
  for (int side = 0; side < 2; side++)
    for (int k = 0; k < t->n_levels; k++) TRY(read_level(c, at, t, b, row, side, k, err));
  const size_t first = at * (size_t)t->n_levels;
  if (c->price[1][first] >= c->price[0][first])
    return bad_value(b, 1, 0, false, row, "less than the best ask: the book is crossed", err);
  c->time[at] = b->time[row];
  return GARAM_OK;
}

/* The volume since the row before, shared between its best bid and ask such that the mean is the
 * average price; rounded down. */
static garam_status read_trades(columns *c, size_t at, const book_tape *t, const bars *b,
                                const column *average, size_t row, garam_error *err) {
  const double volume = b->volume[row], mean = column_f64(average, row);
  if (!(volume > 0) || isnan(mean)) {
    if (volume < 0)
      return fail(err, GARAM_INVALID, "%s:%llu: row %zu: a traded volume of %.10g",
                  b->source->source, (unsigned long long)table_line(b->source, row), row + 1,
                  volume);
    return GARAM_OK;
  }
  const double bid = b->bid[row - 1], ask = b->ask[row - 1];
  if (!(mean > 0.5 * bid && mean < 2 * ask))
    return fail(err, GARAM_INVALID,
                "%s:%llu: row %zu: an average price of %.10g beside quotes of %.10g and %.10g; "
                "--no-trades leaves trades out",
                b->source->source, (unsigned long long)table_line(b->source, row), row + 1, mean,
                bid, ask);
  const double sold = volume * fmin(fmax((ask - mean) / (ask - bid), 0), 1);
  c->hit[1][at] = (int32_t)fmin(floor(sold / t->lot + 1e-6), INT32_MAX / 2);
  c->hit[0][at] = (int32_t)fmin(floor((volume - sold) / t->lot + 1e-6), INT32_MAX / 2);
  return GARAM_OK;
}

static garam_status read_rows(book_tape *t, const reading *r, garam_error *err) {
  const size_t cells = t->n_rows * (size_t)t->n_levels;
  bool trades = r->config->trades;
  for (int f = 0; f < r->n_files; f++) trades = trades && r->average[f] && r->books[f]->volume;
  columns c = {.time = arena_array(t->memory, t->n_rows, sizeof *c.time)};
  bool there = c.time != NULL;
  for (int side = 0; side < 2; side++) {
    c.price[side] = arena_array(t->memory, cells, sizeof *c.price[side]);
    c.lots[side] = arena_array(t->memory, cells, sizeof *c.lots[side]);
    c.hit[side] = trades ? arena_array(t->memory, t->n_rows, sizeof *c.hit[side]) : NULL;
    there = there && c.price[side] && c.lots[side] && (c.hit[side] || !trades);
  }
  book_session *sessions = arena_array(t->memory, t->n_rows, sizeof *sessions);
  if (!there || !sessions) return fail_memory(err, 4 * cells * sizeof(int32_t));
  const int64_t gap = (int64_t)(r->config->gap * 1e9);
  size_t at = 0;
  for (int f = 0; f < r->n_files; f++) {
    const bars *b = r->books[f];
    for (size_t row = 0; row < b->n_rows; row++, at++) {
      TRY(read_row(&c, at, t, b, row, err));
      const bool begins = row == 0 || b->time[row] - b->time[row - 1] > gap;
      if (begins) sessions[t->n_sessions++].begin = at;
      else if (trades) TRY(read_trades(&c, at, t, b, r->average[f], row, err));
      sessions[t->n_sessions - 1].end = at + 1;
    }
  }
  t->time = c.time;
  t->sessions = sessions;
  for (int side = 0; side < 2; side++) {
    t->price[side] = c.price[side];
    t->lots[side] = c.lots[side];
    t->hit[side] = c.hit[side];
  }
  return GARAM_OK;
}

garam_status book_tape_open(book_tape **out, const char *data, const book_tape_config *config,
                            garam_error *err) {
  *out = NULL;
  if (!data[0])
    return fail(err, GARAM_INVALID, "no snapshots to replay; name the files with --data");
  garam_status status = GARAM_OK;
  reading r = {.config = config};
  book_tape *t = mem_zalloc(sizeof *t);
  if (!t) return fail_memory(err, sizeof *t);
  t->memory = mem_zalloc(sizeof *t->memory);
  if (!t->memory) {
    status = fail_memory(err, sizeof *t->memory);
    goto done;
  }
  arena_init(t->memory, 0);
  TRY_GOTO(done, open_files(&r, data, err));
  t->n_rows = r.n_rows;
  t->n_levels = r.n_levels;
  TRY_GOTO(done, find_unit(&t->tick, &r, false, config->tick, err));
  TRY_GOTO(done, find_unit(&t->lot, &r, true, config->lot, err));
  TRY_GOTO(done, read_rows(t, &r, err));
done:
  reading_deinit(&r);
  if (status != GARAM_OK) book_tape_free(t);
  else *out = t;
  return status;
}

void book_tape_free(book_tape *t) {
  if (!t) return;
  if (t->memory) {
    arena_deinit(t->memory);
    mem_free(t->memory);
  }
  mem_free(t);
}
