/* Messages of an exchange into rows: lines, what each says, the book, and the clock that rows
 * follow. */
#include "market/messages.h"

#include "base/io.h"
#include "base/mem.h"
#include "market/depth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define AT(field) OPT_AT(messages_config, field)
const opt_row messages_options[] = {
    {"levels", OPT_INT, AT(levels), .def = 5, .min = 1, .max = 50,
     .help = "prices of each side in a row"},
    {"every", OPT_F64, AT(every), .def = 0.1, .min = 1e-3, .max = 86400, .unit = "seconds",
     .help = "from a row to the next"},
    {"warm-up", OPT_F64, AT(warm_up), .def = 10, .min = 0, .max = 86400, .unit = "seconds",
     .help = "of changes, after which a book without a snapshot counts as complete"},
    {"silence", OPT_F64, AT(silence), .def = 5, .min = 1e-3, .max = 86400, .unit = "seconds",
     .help = "without any message after which no rows are written"},
};
const size_t messages_n_options = COUNT_OF(messages_options);

enum {
  CHUNK = 1 << 16,
  LINE_MOST = 64 << 20,  /* a snapshot of a whole book is large */
  WAITING_MOST = 1 << 14 /* changes that wait for a snapshot */
};

typedef struct ticker {
  int64_t id, bid, bid_size, ask, ask_size; /* id 0: none yet */
} ticker;

typedef struct reading {
  const messages_config *config;
  messages_report *report;
  const char *path;
  depth book;
  ticker best;
  int64_t last_id;   /* of the change applied last; 0: none */
  bool covers;       /* the next change has to cover last_id, not to follow it: after a snapshot */
  bool complete;     /* by a snapshot */
  int64_t since;     /* time of the first change that this book is made of */
  json_t *waiting;   /* changes, for a snapshot to come */
  int64_t now, next; /* time of the last message; of the next row */
  int64_t last_price, volume, buys; /* in units; of trades since the last row */
  double amount;
  double *rows; /* of n_values each */
  size_t n_rows, capacity, n_values;
} reading;

static void reading_deinit(reading *r) {
  depth_deinit(&r->book);
  json_decref(r->waiting);
  mem_free(r->rows);
}

static garam_status bad(const reading *r, garam_error *err, const char *what) {
  return fail(err, GARAM_INVALID, "%s:%lld: %s", r->path, (long long)r->report->lines, what);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static garam_status get_id(int64_t *out, const reading *r, const json_t *o, const char *key,
                           garam_error *err) {
  const json_t *x = json_object_get(o, key);
  *out = 0;
  if (!json_is_integer(x) || json_integer_value(x) < 0)
    return fail(err, GARAM_INVALID, "%s:%lld: \"%s\" is not a number of a message", r->path,
                (long long)r->report->lines, key);
  *out = json_integer_value(x);
  return GARAM_OK;
}

static garam_status get_amount(int64_t *out, const reading *r, const json_t *x, const char *key,
                               garam_error *err) {
  if (!json_is_string(x) || !depth_parse(out, json_string_value(x)))
    return fail(err, GARAM_INVALID,
                "%s:%lld: \"%s\" is not a decimal number of at most eight places", r->path,
                (long long)r->report->lines, key);
  return GARAM_OK;
}

/* ---- the book -------------------------------------------------------------------------------- */

static garam_status set_levels(reading *r, depth_side *side, const json_t *levels, const char *key,
                               garam_error *err) {
  if (!json_is_array(levels)) return bad(r, err, "bids or asks are not a list");
  for (size_t i = 0; i < json_array_size(levels); i++) {
    const json_t *level = json_array_get(levels, i);
    int64_t price, size;
    if (!json_is_array(level) || json_array_size(level) < 2)
      return bad(r, err, "a level is not a price and a size");
    TRY(get_amount(&price, r, json_array_get(level, 0), key, err));
    TRY(get_amount(&size, r, json_array_get(level, 1), key, err));
    if (price == 0) return bad(r, err, "a price of zero");
    TRY(depth_set(side, price, size, err));
  }
  return GARAM_OK;
}

static garam_status correct_best(reading *r, garam_error *err) {
  const ticker *t = &r->best;
  if (t->id <= r->last_id) return GARAM_OK;
  depth_trim(&r->book.bids, t->bid);
  depth_trim(&r->book.asks, t->ask);
  TRY(depth_set(&r->book.bids, t->bid, t->bid_size, err));
  return depth_set(&r->book.asks, t->ask, t->ask_size, err);
}

static void begin_anew(reading *r) {
  depth_clear(&r->book);
  json_array_clear(r->waiting);
  r->best = (ticker){0};
  r->last_id = 0;
  r->complete = r->covers = false;
  r->since = r->now;
}

/* Does this change follow what the book holds? first, last: its numbers. */
static bool follows(const reading *r, const json_t *change, int64_t first) {
  const json_t *before = json_object_get(change, "pu");
  if (r->covers) return first <= r->last_id + 1;
  return before ? json_integer_value(before) == r->last_id : first == r->last_id + 1;
}

static garam_status apply_change(reading *r, json_t *change, garam_error *err) {
  int64_t first, last;
  TRY(get_id(&first, r, change, "U", err));
  TRY(get_id(&last, r, change, "u", err));
  if (r->last_id && last <= r->last_id) {
    r->report->old++;
    return GARAM_OK;
  }
  if (r->last_id && !follows(r, change, first)) {
    r->report->gaps++;
    begin_anew(r);
  }
  if (!r->last_id) r->since = r->now;
  r->covers = false;
  r->last_id = last;
  TRY(set_levels(r, &r->book.bids, json_object_get(change, "b"), "b", err));
  TRY(set_levels(r, &r->book.asks, json_object_get(change, "a"), "a", err));
  return correct_best(r, err);
}

static garam_status on_change(reading *r, json_t *change, garam_error *err) {
  r->report->changes++;
  TRY(apply_change(r, change, err));
  if (!r->complete && json_array_size(r->waiting) < WAITING_MOST &&
      json_array_append(r->waiting, change) != 0)
    return fail_memory(err, sizeof *change);
  return GARAM_OK;
}

/* A whole book, as of its number: what waited and is newer goes on top. */
static garam_status on_snapshot(reading *r, const json_t *snapshot, garam_error *err) {
  r->report->snapshots++;
  if (r->complete) return GARAM_OK; /* it knows no more than we do */
  int64_t id;
  TRY(get_id(&id, r, snapshot, "lastUpdateId", err));
  if (id == 0) return bad(r, err, "\"lastUpdateId\" is 0");
  json_t *waiting = r->waiting;
  r->waiting = json_array();
  if (!r->waiting) {
    r->waiting = waiting;
    return fail_memory(err, sizeof *waiting);
  }
  ticker best = r->best;
  begin_anew(r);
  r->best = best;
  r->last_id = id;
  r->covers = r->complete = true;
  garam_status status =
      set_levels(r, &r->book.bids, json_object_get(snapshot, "bids"), "bids", err);
  if (status == GARAM_OK)
    status = set_levels(r, &r->book.asks, json_object_get(snapshot, "asks"), "asks", err);
  if (status == GARAM_OK) status = correct_best(r, err);
  for (size_t i = 0; status == GARAM_OK && i < json_array_size(waiting); i++)
    status = apply_change(r, json_array_get(waiting, i), err);
  json_decref(waiting);
  return status;
}

static garam_status on_ticker(reading *r, const json_t *o, garam_error *err) {
  ticker t;
  r->report->tickers++;
  TRY(get_id(&t.id, r, o, "u", err));
  TRY(get_amount(&t.bid, r, json_object_get(o, "b"), "b", err));
  TRY(get_amount(&t.bid_size, r, json_object_get(o, "B"), "B", err));
  TRY(get_amount(&t.ask, r, json_object_get(o, "a"), "a", err));
  TRY(get_amount(&t.ask_size, r, json_object_get(o, "A"), "A", err));
  if (t.bid == 0 || t.ask == 0 || t.bid >= t.ask) return GARAM_OK; /* a side is empty */
  if (t.id < r->best.id) return GARAM_OK;
  r->best = t;
  return correct_best(r, err);
}

static double number(int64_t units) {
  return (double)units / DEPTH_UNIT;
}

static garam_status on_trade(reading *r, const json_t *o, garam_error *err) {
  int64_t price, size;
  r->report->trades++;
  TRY(get_amount(&price, r, json_object_get(o, "p"), "p", err));
  TRY(get_amount(&size, r, json_object_get(o, "q"), "q", err));
  const json_t *bought = json_object_get(o, "m");
  if (!json_is_boolean(bought)) return bad(r, err, "\"m\" of a trade is not true or false");
  if (price == 0 || size == 0) return GARAM_OK; /* of insurance funds and the like */
  if (size > INT64_MAX - r->volume) return bad(r, err, "more traded than can be counted");
  r->last_price = price;
  r->volume += size;
  if (json_is_false(bought)) r->buys += size; /* the maker is not the buyer */
  r->amount += number(price) * number(size);
  return GARAM_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static garam_status row_add(reading *r, int64_t time, garam_error *err) {
  const int n = r->config->levels;
  const depth_side *sides[] = {&r->book.bids, &r->book.asks};
  if (!r->complete && (!r->last_id || (double)(time - r->since) < r->config->warm_up * 1e9))
    return GARAM_OK;
  if (r->book.bids.n < (size_t)n || r->book.asks.n < (size_t)n) {
    r->report->shallow++;
    return GARAM_OK;
  }
  if (depth_price(sides[0], 0) >= depth_price(sides[1], 0)) {
    r->report->crossed++;
    return GARAM_OK;
  }
  TRY(mem_grow(&r->rows, &r->capacity, (r->n_rows + 1) * r->n_values, sizeof *r->rows, err));
  double *to = r->rows + r->n_rows++ * r->n_values;
  memcpy(to++, &time, sizeof time); /* all bits of it */
  *to++ = r->last_price ? number(r->last_price) : NAN;
  for (int side = 0; side < 2; side++) {
    for (int i = 0; i < n; i++) *to++ = number(depth_price(sides[side], (size_t)i));
    for (int i = 0; i < n; i++) *to++ = number(sides[side]->size[i]);
  }
  *to++ = number(r->volume);
  *to++ = r->volume ? r->amount / number(r->volume) : NAN;
  *to++ = number(r->buys);
  r->volume = r->buys = 0;
  r->amount = 0;
  return GARAM_OK;
}

/* Rows that are due before a message of this time is heard. */
static garam_status clock_to(reading *r, int64_t time, garam_error *err) {
  const int64_t every = (int64_t)(r->config->every * 1e9 + 0.5);
  if (r->now == 0) r->next = (time + every - 1) / every * every; /* the first message */
  else if (time < r->now) return bad(r, err, "it arrived before the line above");
  const int64_t heard = r->now + (int64_t)(r->config->silence * 1e9);
  for (; r->next < time && r->next <= heard; r->next += every) TRY(row_add(r, r->next, err));
  if (r->next < time) r->next = (time + every - 1) / every * every;
  r->now = time;
  return GARAM_OK;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static garam_status check_symbol(reading *r, const json_t *o, garam_error *err) {
  const char *symbol = json_string_value(json_object_get(o, "s"));
  if (!symbol) return GARAM_OK;
  if (strlen(symbol) >= sizeof r->report->symbol) return bad(r, err, "the symbol is too long");
  if (!r->report->symbol[0]) strcpy(r->report->symbol, symbol);
  if (strcmp(symbol, r->report->symbol) != 0)
    return fail(err, GARAM_INVALID, "%s:%lld: a message of \"%s\" among those of \"%s\"", r->path,
                (long long)r->report->lines, symbol, r->report->symbol);
  return GARAM_OK;
}

static garam_status hear(reading *r, json_t *message, garam_error *err) {
  json_t *data = json_object_get(message, "data"), *o = json_is_object(data) ? data : message;
  if (!json_is_object(o)) return bad(r, err, "the message is not an object");
  TRY(check_symbol(r, o, err));
  const char *kind = json_string_value(json_object_get(o, "e"));
  if (kind && strcmp(kind, "depthUpdate") == 0) return on_change(r, o, err);
  if (kind && (strcmp(kind, "trade") == 0 || strcmp(kind, "aggTrade") == 0))
    return on_trade(r, o, err);
  if (json_object_get(o, "lastUpdateId")) return on_snapshot(r, o, err);
  bool quotes = json_object_get(o, "B") && json_object_get(o, "A");
  if (quotes && (!kind || strcmp(kind, "bookTicker") == 0)) return on_ticker(r, o, err);
  r->report->others++;
  return GARAM_OK;
}

static garam_status read_line(reading *r, const char *line, size_t n, garam_error *err) {
  r->report->lines++;
  uint64_t time = 0; /* nineteen digits fit */
  size_t at = 0;
  for (; at < n && at < 19 && line[at] >= '0' && line[at] <= '9'; at++)
    time = time * 10 + (uint64_t)(line[at] - '0');
  if (at < 16 || at == n || line[at] != ' ' || time > INT64_MAX / 4 * 3)
    return bad(r, err, "expected a time in nanoseconds, a space and a message as JSON");
  TRY(clock_to(r, (int64_t)time, err));
  json_error_t why;
  json_t *message = json_loadb(line + at + 1, n - at - 1, JSON_REJECT_DUPLICATES, &why);
  if (!message)
    return fail(err, GARAM_INVALID, "%s:%lld: column %zu: %s", r->path, (long long)r->report->lines,
                at + 1 + (size_t)why.position, why.text);
  garam_status status = hear(r, message, err);
  json_decref(message);
  return status;
}

static garam_status read_lines(reading *r, io_stream *in, char **text, garam_error *err) {
  size_t capacity = 0, held = 0, got;
  do {
    if (held > LINE_MOST) return bad(r, err, "a line of more than 64 MiB follows");
    TRY(mem_grow(text, &capacity, held + CHUNK, 1, err));
    TRY(io_stream_read(in, *text + held, CHUNK, &got, err));
    size_t from = 0, seen = held, end = held + got; /* what is held has no end of a line */
    for (char *stop; (stop = memchr(*text + seen, '\n', end - seen));
         from = seen = (size_t)(stop - *text) + 1) {
      size_t n = (size_t)(stop - *text) - from;
      if (n > 0 && (*text)[from + n - 1] == '\r') n--;
      if (n > 0) TRY(read_line(r, *text + from, n, err));
      else r->report->lines++;
    }
    held = end - from;
    memmove(*text, *text + from, held);
  } while (got > 0);
  if (held > 0) TRY(read_line(r, *text, held, err)); /* the last line has no end */
  return GARAM_OK;
}

/* ---- the table ------------------------------------------------------------------------------- */

static garam_status make_table(table **out, const reading *r, garam_error *err) {
  const int n = r->config->levels;
  char name[32];
  column *c;
  table *t;
  TRY(table_new(&t, r->path, r->n_rows, err));
  garam_status status = GARAM_OK;
  for (size_t k = 0; k < r->n_values && status == GARAM_OK; k++) {
    static const char *const first[] = {"time", "last"};
    static const char *const sides[] = {"bid", "bidSize", "ask", "askSize"};
    static const char *const last[] = {"volume_chg", "avgprice", "buy_volume"};
    const int level = (int)k - 2;
    if (k < 2) snprintf(name, sizeof name, "%s", first[k]);
    else if (level < 4 * n) snprintf(name, sizeof name, "%s%d", sides[level / n], level % n + 1);
    else snprintf(name, sizeof name, "%s", last[level - 4 * n]);
    status = table_add_column(&c, t, name, k == 0 ? COLUMN_TIME : COLUMN_F64, err);
    for (size_t i = 0; status == GARAM_OK && i < r->n_rows; i++) {
      const double *x = r->rows + i * r->n_values + k;
      if (k == 0) memcpy(&c->i64[i], x, sizeof *x);
      else c->f64[i] = *x, c->n_missing += isnan(*x);
    }
    if (k == 0 && status == GARAM_OK) c->is_utc = true;
  }
  t->time_column = 0;
  snprintf(t->zone, sizeof t->zone, "UTC");
  if (status == GARAM_OK) *out = t;
  else table_free(t);
  return status;
}

garam_status messages_read(table **out, messages_report *report, const char *path,
                           const messages_config *config, garam_error *err) {
  *out = NULL;
  *report = (messages_report){0};
  reading r = {.config = config,
               .report = report,
               .path = path,
               .book = DEPTH_EMPTY,
               .waiting = json_array(),
               .n_values = 5 + 4 * (size_t)config->levels};
  io_stream *in = NULL;
  char *text = NULL;
  garam_status status = r.waiting ? GARAM_OK : fail_memory(err, sizeof r);
  if (status == GARAM_OK) status = io_stream_open(&in, path, err);
  if (status == GARAM_OK) status = read_lines(&r, in, &text, err);
  if (status == GARAM_OK && r.n_rows == 0)
    status =
        fail(err, GARAM_INVALID,
             "%s: no row: %lld changes, %lld snapshots of a book in %lld lines; rows with fewer "
             "than %d levels: %lld",
             path, (long long)report->changes, (long long)report->snapshots,
             (long long)report->lines, config->levels, (long long)report->shallow);
  if (status == GARAM_OK) status = make_table(out, &r, err);
  io_stream_close(in);
  mem_free(text);
  reading_deinit(&r);
  return status;
}
