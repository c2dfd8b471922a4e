/* Which column is what: a table's columns by their names as a market's roles, checked row by
 * row, and the time at which each row is complete. */
#include "market/market.h"

#include "base/arena.h"
#include "base/clock.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STAMP_AUTO, STAMP_START, STAMP_END };
enum { ONE_SIDED_REFUSE, ONE_SIDED_USE };

static const char *const stamp_choices[] = {"auto", "start", "end", NULL};
static const char *const one_sided_choices[] = {"refuse", "use", NULL};

const opt_row bars_options[] = {
    {"price", OPT_STRING, OPT_AT(bars_config, price), .def_text = "",
     .help = "column to trade; empty: adj close, close, mid, last or price, or mid of bid and ask"},
    {"stamp", OPT_ENUM, OPT_AT(bars_config, stamp), .choices = stamp_choices,
     .help = "what a row's time means; auto: bars begin at it, snapshots are taken at it"},
    {"one-sided", OPT_ENUM, OPT_AT(bars_config, one_sided), .choices = one_sided_choices,
     .help = "book rows with only bids or only asks: refuse, or use the side that is there"},
};
const size_t bars_n_options = COUNT_OF(bars_options);

/* ---- names ------------------------------------------------------------------------------ */

enum { SIDE_BID, SIDE_ASK, N_SIDES };
enum { BAR_OPEN, BAR_HIGH, BAR_LOW, BAR_CLOSE, N_BAR };
static const char *const bar_names[N_BAR] = {"open", "high", "low", "close"};

/* Columns of the table by role; -1 is absent. */
typedef struct role_map {
  int bar[N_BAR]; /* trades */
  int adjusted, mid, last, price, volume, volume_change;
  int quote[N_SIDES][N_BAR]; /* bid_open ... ask_close */
  int level[N_SIDES][BARS_MAX_LEVELS], level_size[N_SIDES][BARS_MAX_LEVELS];
  int zero_level[N_SIDES], zero_level_size[N_SIDES]; /* books that count from 0 */
} role_map;

static void simplify(char out[64], const char *name) {
  size_t n = 0;
  for (; *name && n < 63; name++)
    if (isalnum((unsigned char)*name)) out[n++] = (char)tolower((unsigned char)*name);
  out[n] = 0;
}

static bool is_one_of(const char *name, const char *const *names) {
  for (; *names; names++)
    if (strcmp(name, *names) == 0) return true;
  return false;
}

static const char *skip(const char *text, const char *prefix) {
  size_t n = strlen(prefix);
  return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* "bidsize1", "askpx02", "bid3price", "bestask", "bidclose": side, then words and a level. */
static void take_book_role(role_map *map, const char *name, int at) {
  static const char *const sides[] = {"bestbid", "bid", "bestask", "ask", "bestoffer", "offer"};
  static const int side_of[] = {SIDE_BID, SIDE_BID, SIDE_ASK, SIDE_ASK, SIDE_ASK, SIDE_ASK};
  static const char *const prices[] = {"price", "px", "p", "", NULL};
  static const char *const sizes[] = {"size", "sz", "quantity", "qty", "volume", "vol",
                                      "q",    "v",  "amount",   "amt", NULL};
  const char *rest = NULL;
  int side = 0;
  for (size_t i = 0; i < COUNT_OF(sides) && !rest; i++) {
    rest = skip(name, sides[i]);
    side = side_of[i];
  }
  if (!rest) return;
  for (int i = 0; i < N_BAR; i++)
    if (strcmp(rest, bar_names[i]) == 0) {
      map->quote[side][i] = at;
      return;
    }
  char word[64];
  size_t n = 0;
  int level = -1, n_digits = 0;
  for (; *rest; rest++) {
    if (isdigit((unsigned char)*rest)) {
      level = (level < 0 ? 0 : level * 10) + (*rest - '0');
      if (++n_digits > 2) return;
    } else {
      word[n++] = *rest;
    }
  }
  word[n] = 0;
  bool is_size = is_one_of(word, sizes);
  if (!is_size && !is_one_of(word, prices)) return;
  if (level == 0) {
    *(is_size ? &map->zero_level_size[side] : &map->zero_level[side]) = at;
  } else {
    if (level < 0) level = 1;
    if (level > BARS_MAX_LEVELS) return;
    int *slot = is_size ? &map->level_size[side][level - 1] : &map->level[side][level - 1];
    if (*slot < 0) *slot = at;
  }
}

static void take_role(role_map *map, const char *column_name, int at) {
  static const char *const adjusted[] = {"adjclose", "adjustedclose", "closeadj", NULL};
  static const char *const volumes[] = {"volume", "vol", "tickvolume", "basevolume", "v", NULL};
  static const char *const changes[] = {"volumechg",  "volumechange", "volumedelta",
                                        "volumediff", "tradedvolume", NULL};
  char name[64];
  simplify(name, column_name);
  for (int i = 0; i < N_BAR; i++)
    if (strcmp(name, bar_names[i]) == 0 || (name[0] == bar_names[i][0] && name[1] == 0)) {
      if (map->bar[i] < 0) map->bar[i] = at;
      return;
    }
  if (is_one_of(name, adjusted)) map->adjusted = at;
  else if (strcmp(name, "mid") == 0 || strcmp(name, "midprice") == 0) map->mid = at;
  else if (strcmp(name, "last") == 0 || strcmp(name, "lastprice") == 0) map->last = at;
  else if (strcmp(name, "price") == 0) map->price = at;
  else if (is_one_of(name, volumes)) map->volume = map->volume < 0 ? at : map->volume;
  else if (is_one_of(name, changes)) map->volume_change = at;
  else take_book_role(map, name, at);
}

/* A book that counts its levels from 0 has its best there: all levels move up by one. */
static void shift_levels(int level[BARS_MAX_LEVELS], int zero) {
  if (zero < 0) return;
  memmove(level + 1, level, (BARS_MAX_LEVELS - 1) * sizeof level[0]);
  level[0] = zero;
}

static void role_map_fill(role_map *map, const table *t) {
  memset(map, -1, sizeof *map); /* every int becomes -1 */
  for (size_t i = 0; i < t->n_columns; i++)
    if ((int)i != t->time_column) take_role(map, t->columns[i].name, (int)i);
  for (int side = 0; side < N_SIDES; side++) {
    shift_levels(map->level[side], map->zero_level[side]);
    shift_levels(map->level_size[side], map->zero_level_size[side]);
  }
}

bool bars_is_book_column(const char *name) {
  role_map map, none;
  char simple[64];
  memset(&none, -1, sizeof none);
  memset(&map, -1, sizeof map);
  simplify(simple, name);
  take_book_role(&map, simple, 1);
  return memcmp(&map, &none, sizeof map) != 0;
}

static void note_role(bars *b, const char *role, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void note_role(bars *b, const char *role, const char *format, ...) {
  size_t used = strlen(b->role_names);
  int n =
      snprintf(b->role_names + used, sizeof b->role_names - used, "%s%s=", used ? ", " : "", role);
  if (n < 0 || (size_t)n >= sizeof b->role_names - used) return;
  used += (size_t)n;
  va_list args;
  va_start(args, format);
  vsnprintf(b->role_names + used, sizeof b->role_names - used, format, args);
  va_end(args);
}

/* ---- values ----------------------------------------------------------------------------- */

/* A numeric column as doubles: borrowed where it is that already. */
static garam_status numbers(const double **out, bars *b, int at, garam_error *err) {
  const column *c = &b->source->columns[at];
  if (c->type == COLUMN_F64) {
    *out = c->f64;
    return GARAM_OK;
  }
  if (c->type == COLUMN_CATEGORY) {
    size_t row = 0;
    while (row + 1 < b->n_rows && c->code[row] < 0) row++;
    bool some = row < b->n_rows && c->code[row] >= 0;
    return fail(err, GARAM_PARSE, "%s:%llu: column \"%s\" should be numbers, found text%s%.60s%s",
                b->source->source, (unsigned long long)table_line(b->source, row), c->name,
                some ? " such as \"" : "", some ? c->names[c->code[row]] : "", some ? "\"" : "");
  }
  if (c->type == COLUMN_TIME)
    return fail(err, GARAM_PARSE, "%s: column \"%s\" should be numbers, found times",
                b->source->source, c->name);
  double *x = arena_array(b->memory, b->n_rows, sizeof *x);
  if (!x) return fail_memory(err, b->n_rows * sizeof *x);
  for (size_t i = 0; i < b->n_rows; i++) x[i] = column_f64(c, i);
  *out = x;
  return GARAM_OK;
}

static garam_status optional_numbers(const double **out, bars *b, int at, garam_error *err) {
  *out = NULL;
  return at < 0 ? GARAM_OK : numbers(out, b, at, err);
}

static bool is_price(double x) {
  return isfinite(x) && x > 0;
}

static garam_status check_prices(const bars *b, const double *x, const char *name,
                                 garam_error *err) {
  for (size_t i = 0; i < b->n_rows; i++) {
    if (is_price(x[i])) continue;
    size_t n = 0;
    for (size_t j = i; j < b->n_rows; j++) n += !is_price(x[j]);
    unsigned long long line = table_line(b->source, i);
    if (isnan(x[i]))
      return fail(err, GARAM_INVALID,
                  "%s:%llu: row %zu: the price \"%s\" is missing, in %zu of %zu rows; "
                  "--repair drop-missing leaves them out",
                  b->source->source, line, i + 1, name, n, b->n_rows);
    return fail(err, GARAM_INVALID,
                "%s:%llu: row %zu: the price \"%s\" is %g; prices are above zero (%zu of %zu rows "
                "are not); name another column with --price",
                b->source->source, line, i + 1, name, x[i], n, b->n_rows);
  }
  return GARAM_OK;
}

static garam_status mean_of(const double **out, bars *b, const double *x, const double *y,
                            garam_error *err) {
  double *mean = arena_array(b->memory, b->n_rows, sizeof *mean);
  if (!mean) return fail_memory(err, b->n_rows * sizeof *mean);
  for (size_t i = 0; i < b->n_rows; i++) mean[i] = 0.5 * (x[i] + y[i]);
  *out = mean;
  return GARAM_OK;
}

/* ---- kinds of table --------------------------------------------------------------------- */

static const char *name_of(const bars *b, int at) {
  return b->source->columns[at].name;
}

/* bid_open ... ask_close: open to close are mids. */
static garam_status open_quote_bars(bars *b, const role_map *map, garam_error *err) {
  const double *quote[N_SIDES][N_BAR];
  const double *mid[N_BAR] = {NULL};
  for (int i = 0; i < N_BAR; i++) {
    if (map->quote[SIDE_BID][i] < 0 || map->quote[SIDE_ASK][i] < 0) continue;
    for (int side = 0; side < N_SIDES; side++) {
      TRY(numbers(&quote[side][i], b, map->quote[side][i], err));
      TRY(check_prices(b, quote[side][i], name_of(b, map->quote[side][i]), err));
    }
    TRY(mean_of(&mid[i], b, quote[SIDE_BID][i], quote[SIDE_ASK][i], err));
    note_role(b, bar_names[i], "mid(%s,%s)", name_of(b, map->quote[SIDE_BID][i]),
              name_of(b, map->quote[SIDE_ASK][i]));
  }
  b->open = mid[BAR_OPEN];
  b->high = mid[BAR_HIGH];
  b->low = mid[BAR_LOW];
  b->close = mid[BAR_CLOSE];
  b->bid = quote[SIDE_BID][BAR_CLOSE];
  b->ask = quote[SIDE_ASK][BAR_CLOSE];
  if (b->open) {
    b->bid_open = quote[SIDE_BID][BAR_OPEN];
    b->ask_open = quote[SIDE_ASK][BAR_OPEN];
  }
  return GARAM_OK;
}

static garam_status open_levels(bars *b, const role_map *map, garam_error *err) {
  int n = 0;
  while (n < BARS_MAX_LEVELS && map->level[SIDE_BID][n] >= 0 && map->level[SIDE_ASK][n] >= 0) {
    TRY(numbers(&b->level_bid[n], b, map->level[SIDE_BID][n], err));
    TRY(numbers(&b->level_ask[n], b, map->level[SIDE_ASK][n], err));
    if (map->level_size[SIDE_BID][n] >= 0 && map->level_size[SIDE_ASK][n] >= 0) {
      TRY(numbers(&b->level_bid_size[n], b, map->level_size[SIDE_BID][n], err));
      TRY(numbers(&b->level_ask_size[n], b, map->level_size[SIDE_ASK][n], err));
    }
    n++;
  }
  b->n_levels = n;
  b->bid = b->level_bid[0];
  b->ask = b->level_ask[0];
  b->bid_size = b->level_bid_size[0];
  b->ask_size = b->level_ask_size[0];
  note_role(b, "bid", "%s", name_of(b, map->level[SIDE_BID][0]));
  note_role(b, "ask", "%s", name_of(b, map->level[SIDE_ASK][0]));
  if (n > 1) note_role(b, "levels", "%d", n);
  return GARAM_OK;
}

/* The mid of the best level. At a price limit one side of a book is empty (0 or missing): there
 * is no mid, and a made-up one would be traded at. Refused, or the side that is there is taken,
 * and then the missing side stays NaN. */
static garam_status open_snapshots(bars *b, const bars_config *config, garam_error *err) {
  size_t n_one_sided = 0, first = 0;
  for (size_t i = 0; i < b->n_rows; i++) {
    bool bid = is_price(b->bid[i]), ask = is_price(b->ask[i]);
    if (!bid && !ask)
      return fail(
          err, GARAM_INVALID,
          "%s:%llu: row %zu: neither bid nor ask is there; --repair drop-missing leaves out "
          "rows with missing values",
          b->source->source, (unsigned long long)table_line(b->source, i), i + 1);
    if (bid != ask && n_one_sided++ == 0) first = i;
  }
  if (n_one_sided > 0 && config->one_sided == ONE_SIDED_REFUSE)
    return fail(
        err, GARAM_INVALID,
        "%s:%llu: row %zu: the book has only %s here, as in %zu of %zu rows (a price limit, "
        "or no quote): there is no mid; --one-sided use takes the side that is there",
        b->source->source, (unsigned long long)table_line(b->source, first), first + 1,
        is_price(b->bid[first]) ? "bids" : "asks", n_one_sided, b->n_rows);
  if (n_one_sided == 0) {
    note_role(b, "close", "mid(bid,ask)");
    return mean_of(&b->close, b, b->bid, b->ask, err);
  }
  b->n_one_sided = n_one_sided;
  double *x[3];
  for (int i = 0; i < 3; i++)
    if (!(x[i] = arena_array(b->memory, b->n_rows, sizeof *x[i])))
      return fail_memory(err, b->n_rows * sizeof *x[i]);
  for (size_t i = 0; i < b->n_rows; i++) {
    bool bid = is_price(b->bid[i]), ask = is_price(b->ask[i]);
    x[0][i] = bid && ask ? 0.5 * (b->bid[i] + b->ask[i]) : bid ? b->bid[i] : b->ask[i];
    x[1][i] = bid ? b->bid[i] : NAN;
    x[2][i] = ask ? b->ask[i] : NAN;
  }
  b->close = x[0];
  b->bid = b->level_bid[0] = x[1];
  b->ask = b->level_ask[0] = x[2];
  note_role(b, "close", "mid(bid,ask) or the one side there is (%zu rows)", n_one_sided);
  return GARAM_OK;
}

/* Trades: close, and open, high, low when they are all there. An adjusted close adjusts them
 * too: returns are those of holding the share. */
static garam_status open_trade_bars(bars *b, const role_map *map, int close_at, garam_error *err) {
  TRY(numbers(&b->close, b, close_at, err));
  TRY(check_prices(b, b->close, name_of(b, close_at), err));
  note_role(b, "close", "%s", name_of(b, close_at));
  bool adjusts = close_at == map->adjusted && map->bar[BAR_CLOSE] >= 0;
  if (!adjusts && close_at != map->bar[BAR_CLOSE] && close_at != map->adjusted) return GARAM_OK;
  const double *raw_close = NULL;
  if (adjusts) {
    TRY(numbers(&raw_close, b, map->bar[BAR_CLOSE], err));
    TRY(check_prices(b, raw_close, name_of(b, map->bar[BAR_CLOSE]), err));
  } else if (close_at == map->adjusted) {
    return GARAM_OK; /* nothing says how the others would be adjusted */
  }
  const double **slots[] = {&b->open, &b->high, &b->low};
  for (int i = 0; i < 3; i++) {
    int at = map->bar[i];
    if (at < 0) continue;
    TRY(numbers(slots[i], b, at, err));
    TRY(check_prices(b, *slots[i], name_of(b, at), err));
    note_role(b, bar_names[i], "%s%s", name_of(b, at), adjusts ? " (adjusted)" : "");
    if (!adjusts) continue;
    double *x = arena_array(b->memory, b->n_rows, sizeof *x);
    if (!x) return fail_memory(err, b->n_rows * sizeof *x);
    for (size_t r = 0; r < b->n_rows; r++) x[r] = (*slots[i])[r] * (b->close[r] / raw_close[r]);
    *slots[i] = x;
  }
  if (b->high && b->low)
    for (size_t i = 0; i < b->n_rows; i++)
      if (b->high[i] < b->low[i])
        return fail(err, GARAM_INVALID, "%s:%llu: row %zu: high %g is below low %g",
                    b->source->source, (unsigned long long)table_line(b->source, i), i + 1,
                    b->high[i], b->low[i]);
  return GARAM_OK;
}

static garam_status no_price(const table *t, const bars_config *config, garam_error *err) {
  char list[512] = "";
  size_t used = 0;
  for (size_t i = 0; i < t->n_columns && used < sizeof list - 80; i++) {
    if ((int)i == t->time_column) continue;
    int n =
        snprintf(list + used, sizeof list - used, "%s%.60s", used ? ", " : "", t->columns[i].name);
    if (n > 0) used += (size_t)n;
  }
  if (config->price[0]) {
    const char *near = NULL;
    for (size_t i = 0; i < t->n_columns; i++) {
      const char *pair[2] = {near ? near : t->columns[i].name, t->columns[i].name};
      const char *found = name_nearest(config->price, pair, 2);
      if (found) near = found;
    }
    return fail(err, GARAM_NOT_FOUND, "%s: no column \"%s\"%s%s%s; there are %s", t->source,
                config->price, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "",
                list);
  }
  return fail(err, GARAM_NOT_FOUND,
              "%s: no price column (close, adj close, mid, last, price, or bid and ask) among %s; "
              "name it with --price, or train on a plain table with --target",
              t->source, list[0] ? list : "no columns");
}

static bool has_quote_close(const role_map *map) {
  return map->quote[SIDE_BID][BAR_CLOSE] >= 0 && map->quote[SIDE_ASK][BAR_CLOSE] >= 0;
}

static bool has_book(const role_map *map) {
  return map->level[SIDE_BID][0] >= 0 && map->level[SIDE_ASK][0] >= 0;
}

static garam_status open_roles(bars *b, const table *t, const bars_config *config,
                               garam_error *err) {
  role_map map;
  role_map_fill(&map, t);
  int chosen = -1;
  if (config->price[0]) {
    chosen = table_find(t, config->price);
    if (chosen < 0) return no_price(t, config, err);
  }
  bool trades = map.bar[BAR_CLOSE] >= 0 || map.adjusted >= 0;
  if (has_book(&map)) TRY(open_levels(b, &map, err));
  if (chosen >= 0) {
    TRY(open_trade_bars(b, &map, chosen, err));
    b->snapshots =
        chosen == map.mid || chosen == map.last || chosen == map.price || (b->bid && !trades);
  } else if (has_quote_close(&map) && !trades) {
    TRY(open_quote_bars(b, &map, err));
  } else if (has_book(&map) && !trades) {
    b->snapshots = true;
    TRY(open_snapshots(b, config, err));
  } else {
    int order[] = {map.adjusted, map.bar[BAR_CLOSE], map.mid, map.last, map.price};
    for (size_t i = 0; i < COUNT_OF(order) && chosen < 0; i++) chosen = order[i];
    if (chosen < 0) return no_price(t, config, err);
    TRY(open_trade_bars(b, &map, chosen, err));
    b->snapshots = !trades;
  }
  /* A book's "volume" is as a rule the day's running total: only its change is a volume. */
  int volume = b->snapshots ? map.volume_change : map.volume;
  TRY(optional_numbers(&b->volume, b, volume, err));
  if (b->volume) note_role(b, "volume", "%s", name_of(b, volume));
  return GARAM_OK;
}

/* ---- time ------------------------------------------------------------------------------- */

static garam_status check_time(bars *b, garam_error *err) {
  const table *t = b->source;
  const column *c = &t->columns[t->time_column];
  for (size_t i = 0; i < b->n_rows; i++) {
    unsigned long long line = table_line(t, i);
    if (c->i64[i] == COLUMN_I64_MISSING)
      return fail(err, GARAM_INVALID,
                  "%s:%llu: row %zu: the time \"%s\" is missing; --repair drop-missing leaves such "
                  "rows out",
                  t->source, line, i + 1, c->name);
    if (i == 0 || c->i64[i] > c->i64[i - 1]) continue;
    table_time_report report;
    TRY(table_time_check(&report, t, err));
    char text[CLOCK_TEXT_MAX], above[CLOCK_TEXT_MAX];
    clock_format(text, c->i64[i]);
    clock_format(above, c->i64[i - 1]);
    if (c->i64[i] == c->i64[i - 1])
      return fail(err, GARAM_INVALID,
                  "%s:%llu: row %zu has the same time as the row above, %s (%zu duplicates); "
                  "--repair deduplicate keeps the last of each",
                  t->source, line, i + 1, text, report.n_duplicates);
    return fail(err, GARAM_INVALID,
                "%s:%llu: row %zu: time %s is before %s of the row above (%zu such rows); "
                "--repair sort puts them in order",
                t->source, line, i + 1, text, above, report.n_unsorted);
  }
  return GARAM_OK;
}

/* A bar stamped at its start is complete one step later, or when the next bar begins if that is
 * sooner (a short last bar of a session). Nothing but the row's own end is learnt from the next
 * row's stamp. */
static garam_status fill_known_at(bars *b, const bars_config *config, garam_error *err) {
  b->known_at = arena_array(b->memory, b->n_rows, sizeof *b->known_at);
  if (!b->known_at) return fail_memory(err, b->n_rows * sizeof *b->known_at);
  const table *t = b->source;
  if (t->time_column < 0) {
    for (size_t i = 0; i < b->n_rows; i++) b->known_at[i] = (int64_t)i;
    b->step = 1;
    return GARAM_OK;
  }
  TRY(check_time(b, err));
  table_time_report report;
  TRY(table_time_check(&report, t, err));
  b->time = t->columns[t->time_column].i64;
  b->step = report.step > 0 ? report.step : 0;
  bool starts = config->stamp == STAMP_START || (config->stamp == STAMP_AUTO && !b->snapshots);
  for (size_t i = 0; i < b->n_rows; i++) {
    int64_t end = b->time[i];
    if (starts && __builtin_add_overflow(b->time[i], b->step, &end)) end = INT64_MAX;
    if (starts && i + 1 < b->n_rows && end > b->time[i + 1]) end = b->time[i + 1];
    b->known_at[i] = end;
  }
  return GARAM_OK;
}

garam_status bars_open(bars **out, const table *t, const bars_config *config, garam_error *err) {
  *out = NULL;
  bars_config defaults;
  if (!config) {
    opt_defaults(bars_options, bars_n_options, &defaults);
    config = &defaults;
  }
  if (t->n_rows == 0) return fail(err, GARAM_INVALID, "%s: no rows", t->source);
  garam_status status = GARAM_OK;
  bars *b = mem_zalloc(sizeof *b);
  if (!b) return fail_memory(err, sizeof *b);
  b->source = t;
  b->n_rows = t->n_rows;
  b->memory = mem_zalloc(sizeof *b->memory);
  if (!b->memory) {
    mem_free(b);
    return fail_memory(err, sizeof *b->memory);
  }
  arena_init(b->memory, 0);
  TRY_GOTO(done, open_roles(b, t, config, err));
  TRY_GOTO(done, fill_known_at(b, config, err));
done:
  if (status != GARAM_OK) {
    bars_free(b);
    return status;
  }
  *out = b;
  return GARAM_OK;
}

void bars_free(bars *b) {
  if (!b) return;
  arena_deinit(b->memory);
  mem_free(b->memory);
  mem_free(b);
}
