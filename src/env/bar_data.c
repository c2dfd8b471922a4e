/* Bars from a file as the arrays that bar_replay.c walks: prices, spreads, features. Features are
 * those of market/feature.c, which are functions of the rows up to their own; they are standardised
 * by the mean and deviation of the training rows only. */
#include "env/bar_replay.h"

#include "base/mem.h"
#include "table/time_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bar_data_close(bar_data *d) {
  mem_free(d->names);
  mem_free(d->fill);
  mem_free(d->close);
  mem_free(d->half);
  mem_free(d->half_end);
  mem_free(d->x);
  memset(d, 0, sizeof *d);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

/* The row that "0.6" or "2015-01-01" begins; `text` of `n` characters. */
static garam_status parse_edge(size_t *row, const bars *b, const char *text, size_t n,
                               const char *option, garam_error *err) {
  char copy[64], *end;
  snprintf(copy, sizeof copy, "%.*s", (int)n, text);
  const double share = strtod(copy, &end);
  if (*end == 0 && end != copy && share >= 0 && share <= 1) {
    *row = (size_t)floor(share * (double)b->n_rows + .5);
    return GARAM_OK;
  }
  time_parts time;
  if (b->time && time_parse_calendar(&time, copy, strlen(copy), TIME_ORDER_AUTO)) {
    for (*row = 0; *row < b->n_rows && b->time[*row] < time.ns;) ++*row;
    return GARAM_OK;
  }
  return fail(err, GARAM_INVALID,
              "--%s: \"%s\" is neither a share of the rows (0.6) nor a date (2015-01-01)%s", option,
              copy, b->time ? "" : "; the data has no time");
}

static garam_status parse_range(size_t *begin, size_t *end, const bars *b, const char *text,
                                const char *option, garam_error *err) {
  /* the colon between the two, not those of a time of day */
  const char *middle = strchr(text, ':');
  const char *const spaced = strstr(text, " : ");
  if (spaced) middle = spaced + 1;
  if (!middle)
    return fail(err, GARAM_INVALID, "--%s: \"%s\", expected BEGIN:END, as 0:0.6", option, text);
  const char *rest = middle + 1 + (spaced != NULL);
  const size_t n = (size_t)(middle - text) - (spaced != NULL);
  TRY(parse_edge(begin, b, text, n, option, err));
  TRY(parse_edge(end, b, rest, strlen(rest), option, err));
  if (*begin + 3 > *end)
    return fail(err, GARAM_INVALID, "--%s: \"%s\" holds %zu rows, expected at least 3", option,
                text, *end > *begin ? *end - *begin : 0);
  return GARAM_OK;
}

/* ---- assets ---------------------------------------------------------------------------------- */

typedef struct asset_list {
  char (*names)[64];
  size_t n;
} asset_list;

static bool wanted(const char *list, const char *name) {
  if (strcmp(list, "all") == 0) return true;
  const size_t n = strlen(name);
  for (const char *at = list; (at = strstr(at, name)); at += n)
    if ((at == list || at[-1] == ',') && (at[n] == 0 || at[n] == ',')) return true;
  return false;
}

/* Columns of the table whose closes are traded; none named: the one price that bars.c finds. */
static garam_status find_assets(asset_list *out, const table *t, const char *list,
                                garam_error *err) {
  out->names = mem_array(BAR_MAX_ASSETS, sizeof *out->names);
  if (!out->names) return fail_memory(err, BAR_MAX_ASSETS * sizeof *out->names);
  if (!list[0]) {
    out->n = 1;
    return GARAM_OK;
  }
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *c = &t->columns[i];
    const bool number = c->type == COLUMN_F64 || c->type == COLUMN_I64;
    if (!number || (int)i == t->time_column || !wanted(list, c->name)) continue;
    if (out->n == BAR_MAX_ASSETS)
      return fail(err, GARAM_INVALID, "%s: more than %d columns for --assets", t->source,
                  BAR_MAX_ASSETS);
    snprintf(out->names[out->n++], sizeof *out->names, "%s", c->name);
  }
  size_t asked = strcmp(list, "all") != 0;
  for (const char *at = list; asked && *at; at++) asked += *at == ',';
  if (out->n == 0 || (asked && out->n != asked))
    return fail(err, GARAM_NOT_FOUND, "%s: --assets %s: %zu such columns of numbers, expected %zu",
                t->source, list, out->n, asked ? asked : 1);
  return GARAM_OK;
}

/* ---- features -------------------------------------------------------------------------------- */

/* Columns at .. at + n of d->x from m, standardised by rows [begin, end). A feature that has no
 * value yet is its mean. */
static void standardise(bar_data *d, size_t at, const feature_matrix *m, size_t begin, size_t end) {
  for (size_t f = 0; f < m->n_features; f++) {
    double n = 0, mean = 0, squares = 0;
    for (size_t r = begin; r < end; r++) {
      const double v = (double)m->x[r * m->n_features + f];
      if (!isfinite(v)) continue;
      n++;
      const double off = v - mean;
      mean += off / n;
      squares += off * (v - mean);
    }
    const double deviation = n > 1 ? sqrt(squares / (n - 1)) : 0;
    for (size_t r = 0; r < d->n_rows; r++) {
      const double v = (double)m->x[r * m->n_features + f];
      const double z = isfinite(v) && deviation > 0 ? (v - mean) / deviation : 0;
      d->x[r * d->n_features + at + f] = (float)fmin(fmax(z, -5), 5);
    }
  }
}

static garam_status allocate(bar_data *d, garam_error *err) {
  size_t cells, observed;
  if (!size_mul(&cells, d->n_rows, d->n_assets) || !size_mul(&observed, d->n_rows, d->n_features))
    return fail_memory(err, SIZE_MAX);
  d->fill = mem_array(cells, sizeof *d->fill);
  d->close = mem_array(cells, sizeof *d->close);
  d->half = mem_array(cells, sizeof *d->half);
  d->half_end = mem_array(cells, sizeof *d->half_end);
  d->x = mem_array(observed ? observed : 1, sizeof *d->x);
  if (!d->fill || !d->close || !d->half || !d->half_end || !d->x)
    return fail_memory(err, cells * 4 * sizeof *d->fill + observed * sizeof *d->x);
  return GARAM_OK;
}

static void copy_prices(bar_data *d, size_t k, const bars *b, const cost_config *costs) {
  for (size_t r = 0; r < d->n_rows; r++) {
    const size_t at = r * d->n_assets + k;
    d->fill[at] = cost_fill_price(b, r);
    d->close[at] = b->close[r];
    d->half[at] = cost_half_spread(b, r, d->fill[at], costs);
    const bool quoted = b->bid && b->ask && b->ask[r] >= b->bid[r] && b->bid[r] > 0;
    d->half_end[at] = quoted ? .5 * (b->ask[r] - b->bid[r]) / b->close[r] : .5 * costs->spread;
  }
}

/* `first`: the features of the first asset, which every other must give too; filled by it. */
static garam_status read_asset(bar_data *d, size_t k, const table *t, const bar_config *config,
                               feature_matrix **first, garam_error *err) {
  bars_config how = {0};
  opt_defaults(bars_options, bars_n_options, &how);
  if (config->assets[0]) snprintf(how.price, sizeof how.price, "%s", d->names[k]);
  feature_spec spec = {.max_lag = config->window};
  snprintf(spec.families, sizeof spec.families, "%s", config->features);
  garam_status status = GARAM_OK;
  bars *b = NULL;
  feature_matrix *m = NULL;
  TRY_GOTO(done, bars_open(&b, t, &how, err));
  if (*first)
    TRY_GOTO(done, features_compute_named(&m, b, (*first)->names, (*first)->n_features, err));
  else if (strcmp(config->features, "none") != 0)
    TRY_GOTO(done, features_compute(&m, b, &spec, err));
  const size_t own = m ? m->n_features : 0;
  if (k == 0) {
    if (!config->assets[0]) snprintf(d->names[0], sizeof *d->names, "%s", "price");
    d->n_features = own * d->n_assets;
    TRY_GOTO(done, parse_range(&d->begin[BAR_TRAIN], &d->end[BAR_TRAIN], b, config->train_range,
                               "train-range", err));
    TRY_GOTO(done, parse_range(&d->begin[BAR_TEST], &d->end[BAR_TEST], b, config->test_range,
                               "test-range", err));
    TRY_GOTO(done, allocate(d, err));
  }
  copy_prices(d, k, b, &config->costs);
  if (m) {
    standardise(d, k * own, m, d->begin[BAR_TRAIN], d->end[BAR_TRAIN]);
    for (int part = 0; part < 2; part++) /* the look back is not there yet */
      if (d->begin[part] < m->warmup) d->begin[part] = m->warmup;
  }
done:
  if (status == GARAM_OK && m && !*first) *first = m;
  else if (m != *first) feature_matrix_free(m);
  bars_free(b);
  return status;
}

static garam_status open_table(table **out, const bar_config *config, garam_error *err) {
  if (config->data[0]) return table_open(out, config->data, NULL, NULL, NULL, err);
  simulate_config c = {.seed = 1};
  opt_defaults(simulate_options, simulate_n_options, &c);
  c.rows = 4000;
  double bayes, band;
  return simulate(out, &c, &bayes, &band, err);
}

garam_status bar_data_open(bar_data *out, const bar_config *config, garam_error *err) {
  garam_status status = GARAM_OK;
  memset(out, 0, sizeof *out);
  table *t = NULL;
  asset_list assets = {0};
  feature_matrix *first = NULL;
  TRY_GOTO(done, open_table(&t, config, err));
  TRY_GOTO(done, find_assets(&assets, t, config->assets, err));
  out->names = assets.names;
  assets.names = NULL;
  out->n_assets = assets.n;
  out->n_rows = t->n_rows;
  for (size_t k = 0; k < assets.n; k++) TRY_GOTO(done, read_asset(out, k, t, config, &first, err));
  for (int part = 0; part < 2; part++)
    if (out->begin[part] + 3 > out->end[part]) {
      status = fail(err, GARAM_INVALID,
                    "--%s-range ends at row %zu, and its features begin at row %zu: expected three "
                    "rows more",
                    part == BAR_TRAIN ? "train" : "test", out->end[part], out->begin[part] + 1);
      goto done;
    }
done:
  feature_matrix_free(first);
  mem_free(assets.names);
  table_free(t);
  if (status != GARAM_OK) bar_data_close(out);
  return status;
}
