/* Which features there are, and their values for every row. */
#include "market/feature.h"

#include "base/mem.h"
#include "base/thread.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Every family there is. */
static const feature_family *const feature_families[] = {
    &feature_returns,  &feature_volatility, &feature_range,    &feature_volume, &feature_average,
    &feature_momentum, &feature_oscillator, &feature_calendar, &feature_quote,  &feature_book,
};

const opt_row feature_options[] = {
    {"features", OPT_STRING, OPT_AT(feature_spec, families), .def_text = "auto",
     .help = "families: returns,volatility,range,volume,average,momentum,oscillator,calendar,"
             "quote,book; auto: those that suit the data; all: those that it can give; none"},
    {"max-lag", OPT_INT, OPT_AT(feature_spec, max_lag), .def = 120, .min = 0, .max = 100000,
     .unit = "rows", .help = "leave out features that look further back"},
    {"raw-columns", OPT_BOOL, OPT_AT(feature_spec, raw_columns),
     .help = "numeric columns without a role are features as they are"},
};
const size_t feature_n_options = COUNT_OF(feature_options);

static const char raw_prefix[] = "raw:";

/* One column of the matrix to be: a feature, or a column of the table. */
typedef struct source {
  const feature *feature;
  const column *raw;
} source;

typedef struct plan {
  source *sources;
  size_t n, capacity;
} plan;

static garam_status plan_add(plan *p, const feature *f, const column *raw, garam_error *err) {
  TRY(mem_grow(&p->sources, &p->capacity, p->n + 1, sizeof *p->sources, err));
  p->sources[p->n++] = (source){f, raw};
  return GARAM_OK;
}

static bool has_roles(const bars *b, const feature *f) {
  if ((f->needs & NEEDS_TIME) && !b->time) return false;
  if ((f->needs & NEEDS_OHLC) && !(b->open && b->high && b->low)) return false;
  if ((f->needs & NEEDS_VOLUME) && !b->volume) return false;
  if ((f->needs & NEEDS_QUOTES) && !(b->bid && b->ask)) return false;
  if ((f->needs & NEEDS_SIZES) && !(b->bid && b->ask && b->bid_size && b->ask_size)) return false;
  if (f->n_levels > b->n_levels) return false;
  for (int k = 0; k < f->n_levels; k++)
    if (!b->level_bid_size[k] || !b->level_ask_size[k]) return false;
  return true;
}

static bool is_numeric(const column *c) {
  return c->type == COLUMN_F64 || c->type == COLUMN_I64;
}

/* Does some role read this column? By storage for doubles, by name for converted ones. */
static bool has_role(const bars *b, const table *t, size_t at) {
  static const char *const prices[] = {
      "open",     "high",    "low",       "close",    "adj close", "adjclose",  "mid",
      "last",     "price",   "bid_open",  "bid_high", "bid_low",   "bid_close", "ask_open",
      "ask_high", "ask_low", "ask_close", "volume",   "vol"};
  const column *c = &t->columns[at];
  const double *const roles[] = {b->open, b->high, b->low,      b->close,   b->volume,
                                 b->bid,  b->ask,  b->bid_size, b->ask_size};
  if ((int)at == t->time_column) return true;
  for (size_t i = 0; c->type == COLUMN_F64 && i < COUNT_OF(roles); i++)
    if (roles[i] == c->f64) return true;
  for (int k = 0; c->type == COLUMN_F64 && k < b->n_levels; k++)
    if (b->level_bid[k] == c->f64 || b->level_ask[k] == c->f64 || b->level_bid_size[k] == c->f64 ||
        b->level_ask_size[k] == c->f64)
      return true;
  for (size_t i = 0; i < COUNT_OF(prices); i++)
    if (strcasecmp(c->name, prices[i]) == 0) return true;
  return bars_is_book_column(c->name);
}

/* Is `name` in the comma-separated list? */
static bool listed(const char *list, const char *name) {
  size_t n = strlen(name);
  for (const char *at = list; *at;) {
    while (*at == ',' || *at == ' ') at++;
    size_t length = strcspn(at, ", ");
    if (length == n && strncmp(at, name, n) == 0) return true;
    at += length;
  }
  return false;
}

static garam_status check_families(const char *list, garam_error *err) {
  const char *names[COUNT_OF(feature_families) + 3] = {"auto", "all", "none"};
  for (size_t i = 0; i < COUNT_OF(feature_families); i++) names[i + 3] = feature_families[i]->name;
  for (const char *at = list; *at;) {
    while (*at == ',' || *at == ' ') at++;
    size_t length = strcspn(at, ", ");
    bool known = length == 0;
    for (size_t i = 0; i < COUNT_OF(names) && !known; i++)
      known = strlen(names[i]) == length && strncmp(names[i], at, length) == 0;
    if (!known) {
      char word[64];
      snprintf(word, sizeof word, "%.*s", (int)length, at);
      const char *near = name_nearest(word, names, COUNT_OF(names));
      return fail(err, GARAM_NOT_FOUND, "--features: no family \"%s\"%s%s%s", word,
                  near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    at += length;
  }
  return GARAM_OK;
}

/* Slow indicators of a price path say little about snapshots half a second apart. */
static bool suits(const feature_family *family, const bars *b) {
  return !(b->snapshots && b->n_levels > 0 &&
           (family == &feature_average || family == &feature_oscillator));
}

static garam_status plan_fill(plan *p, const bars *b, const feature_spec *spec, garam_error *err) {
  TRY(check_families(spec->families, err));
  bool automatic = listed(spec->families, "auto"), all = listed(spec->families, "all");
  size_t limit = (size_t)spec->max_lag + 1;
  for (size_t i = 0; i < COUNT_OF(feature_families); i++) {
    const feature_family *family = feature_families[i];
    bool named = listed(spec->families, family->name);
    if (!named && !all && !(automatic && suits(family, b))) continue;
    size_t before = p->n, too_long = 0;
    for (size_t k = 0; k < family->n; k++) {
      const feature *f = &family->features[k];
      if (!has_roles(b, f)) continue;
      if (f->look_back > limit) too_long++;
      else TRY(plan_add(p, f, NULL, err));
    }
    if (named && p->n == before)
      return fail(err, GARAM_INVALID, "%s: --features %s: the data gives none of them (%s)",
                  b->source->source, family->name,
                  too_long ? "--max-lag is shorter than their look back" : family->what);
  }
  const table *t = b->source;
  for (size_t i = 0; spec->raw_columns && i < t->n_columns; i++)
    if (is_numeric(&t->columns[i]) && !has_role(b, t, i))
      TRY(plan_add(p, NULL, &t->columns[i], err));
  if (p->n == 0)
    return fail(err, GARAM_INVALID, "%s: no features: --features %s with --max-lag %d",
                b->source->source, spec->families, spec->max_lag);
  return GARAM_OK;
}

static const feature *feature_find(const char *name) {
  for (size_t i = 0; i < COUNT_OF(feature_families); i++)
    for (size_t k = 0; k < feature_families[i]->n; k++)
      if (strcmp(feature_families[i]->features[k].name, name) == 0)
        return &feature_families[i]->features[k];
  return NULL;
}

/* ---- values ----------------------------------------------------------------------------- */

typedef struct compute_context {
  const bars *b;
  const plan *p;
  float *x;
} compute_context;

static void compute_rows(void *context, size_t begin, size_t end) {
  const compute_context *c = context;
  for (size_t i = 0; i < c->p->n; i++) {
    const source *s = &c->p->sources[i];
    size_t first = s->feature ? s->feature->look_back - 1 : 0;
    for (size_t t = begin; t < end; t++) {
      double value = t < first    ? NAN
                     : s->feature ? s->feature->at(c->b, t, s->feature)
                                  : column_f64(s->raw, t);
      float x = (float)value;
      c->x[t * c->p->n + i] = isfinite(x) ? x : NAN;
    }
  }
}

static garam_status compute(feature_matrix **out, const bars *b, const plan *p, garam_error *err) {
  garam_status status = GARAM_OK;
  feature_matrix *m = mem_zalloc(sizeof *m);
  if (!m) return fail_memory(err, sizeof *m);
  m->n_rows = b->n_rows;
  m->n_features = p->n;
  size_t longest = 1, count;
  for (size_t i = 0; i < p->n; i++)
    if (p->sources[i].feature && p->sources[i].feature->look_back > longest)
      longest = p->sources[i].feature->look_back;
  m->warmup = longest - 1;
  if (b->n_rows < longest) {
    status = fail(err, GARAM_INVALID,
                  "%s: %zu rows, but the features look back over %zu; give more rows, or leave out "
                  "the longest with --max-lag",
                  b->source->source, b->n_rows, longest);
    goto done;
  }
  if (!size_mul(&count, b->n_rows, p->n)) {
    status = fail_memory(err, SIZE_MAX);
    goto done;
  }
  m->names = mem_array(p->n, sizeof *m->names);
  m->x = mem_array(count, sizeof *m->x);
  m->known_at = mem_array(b->n_rows, sizeof *m->known_at);
  if (!m->names || !m->x || !m->known_at) {
    status = fail_memory(err, count * sizeof *m->x);
    goto done;
  }
  for (size_t i = 0; i < p->n; i++) {
    const source *s = &p->sources[i];
    m->names[i] =
        s->feature ? mem_strdup(s->feature->name) : mem_format("%s%s", raw_prefix, s->raw->name);
    if (!m->names[i]) {
      status = fail_memory(err, 64);
      goto done;
    }
  }
  memcpy(m->known_at, b->known_at, b->n_rows * sizeof *m->known_at);
  compute_context context = {b, p, m->x};
  thread_for(b->n_rows, 2048, compute_rows, &context);
done:
  if (status != GARAM_OK) {
    feature_matrix_free(m);
    return status;
  }
  *out = m;
  return GARAM_OK;
}

garam_status features_compute(feature_matrix **out, const bars *b, const feature_spec *spec,
                              garam_error *err) {
  *out = NULL;
  feature_spec defaults;
  if (!spec) {
    opt_defaults(feature_options, feature_n_options, &defaults);
    spec = &defaults;
  }
  plan p = {0};
  garam_status status = plan_fill(&p, b, spec, err);
  if (status == GARAM_OK) status = compute(out, b, &p, err);
  mem_free(p.sources);
  return status;
}

static garam_status plan_named(plan *p, const bars *b, char *const *names, size_t n_names,
                               garam_error *err) {
  for (size_t i = 0; i < n_names; i++) {
    const table *t = b->source;
    if (strncmp(names[i], raw_prefix, sizeof raw_prefix - 1) == 0) {
      int at = table_find(t, names[i] + sizeof raw_prefix - 1);
      if (at < 0 || !is_numeric(&t->columns[at]))
        return fail(err, GARAM_MISMATCH, "%s: no numeric column \"%s\", a feature of the model",
                    t->source, names[i] + sizeof raw_prefix - 1);
      TRY(plan_add(p, NULL, &t->columns[at], err));
      continue;
    }
    const feature *f = feature_find(names[i]);
    if (!f)
      return fail(err, GARAM_MISMATCH, "%s: the feature \"%s\" is not known to this version",
                  t->source, names[i]);
    if (!has_roles(b, f))
      return fail(err, GARAM_MISMATCH,
                  "%s: the feature \"%s\" of the model cannot be computed from these columns (%s)",
                  t->source, names[i], b->role_names);
    TRY(plan_add(p, f, NULL, err));
  }
  if (n_names == 0) return fail(err, GARAM_MISMATCH, "%s: no features", b->source->source);
  return GARAM_OK;
}

garam_status features_compute_named(feature_matrix **out, const bars *b, char *const *names,
                                    size_t n_names, garam_error *err) {
  *out = NULL;
  plan p = {0};
  garam_status status = plan_named(&p, b, names, n_names, err);
  if (status == GARAM_OK) status = compute(out, b, &p, err);
  mem_free(p.sources);
  return status;
}

garam_status features_look_back(size_t *out, char *const *names, size_t n_names, garam_error *err) {
  *out = 1;
  for (size_t i = 0; i < n_names; i++) {
    if (strncmp(names[i], raw_prefix, sizeof raw_prefix - 1) == 0) continue;
    const feature *f = feature_find(names[i]);
    if (!f) return fail(err, GARAM_MISMATCH, "the feature \"%s\" is not known", names[i]);
    if (f->look_back > *out) *out = f->look_back;
  }
  return GARAM_OK;
}

void feature_matrix_free(feature_matrix *m) {
  if (!m) return;
  for (size_t i = 0; m->names && i < m->n_features; i++) mem_free(m->names[i]);
  mem_free(m->names);
  mem_free(m->x);
  mem_free(m->known_at);
  mem_free(m);
}
