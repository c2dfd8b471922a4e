/* garam describe: what a file holds, and where a trainer would stumble. Reports, never repairs. */
#include "cli/commands.h"

#include "base/arena.h"
#include "base/clock.h"
#include "market/market.h"

#include <math.h>
#include <string.h>

enum { MAX_JUMPS = 64, MAX_LEAKS = 64, AUDIT_CUTS = 24, FEW_ROWS = 300 };

typedef struct describe_config {
  table_read_config read;
  bars_config bars;
  feature_spec features;
  label_spec label;
  bool audit;
  char target[256];
} describe_config;

static const opt_row describe_options[] = {
    {"audit", OPT_BOOL, OPT_AT(describe_config, audit),
     .help = "screen columns and features for knowledge of the future, and recompute features "
             "and labels with the future cut off"},
    {"target", OPT_STRING, OPT_AT(describe_config, target),
     .help = "column of a plain table that the audit compares the others with: is one of them "
             "the target again?"},
};

/* All that is found out before anything is printed. */
typedef struct findings {
  table *t;
  json_t *json; /* of table_describe, with jumps, roles, leaks added */
  table_time_report time;
  bars *b;               /* NULL: not a market */
  char not_market[1024]; /* why */
  price_jump jumps[MAX_JUMPS];
  size_t n_jumps;
  bool audited, recomputed; /* the market's audit also recomputes */
  char not_audited[1024];   /* why, when it was asked for */
  leak leaks[MAX_LEAKS];
  size_t n_leaks;
  char recompute[1024]; /* what the recomputation found; "" when nothing */
  arena memory;
  const char **warnings;
  size_t n_warnings, warnings_capacity;
} findings;

static void warn(findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(findings *f, const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  const char *copy = arena_strdup(&f->memory, text);
  if (copy && mem_grow(&f->warnings, &f->warnings_capacity, f->n_warnings + 1, sizeof *f->warnings,
                       NULL) == GARAM_OK)
    f->warnings[f->n_warnings++] = copy;
}

/* ---- finding out ----------------------------------------------------------------------- */

static garam_status audit_plain(findings *f, const char *target, garam_error *err) {
  int at = table_find(f->t, target);
  f->audited = true;
  if (at >= 0) return audit_target(f->leaks, MAX_LEAKS, &f->n_leaks, f->t, at, err);
  const char *names[256];
  size_t n = 0;
  for (; n < f->t->n_columns && n < COUNT_OF(names); n++) names[n] = f->t->columns[n].name;
  const char *near = name_nearest(target, names, n);
  return fail(err, GARAM_NOT_FOUND, "%s: no column \"%s\" for --target%s%s%s", f->t->source, target,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static garam_status audit_market(findings *f, const describe_config *config, uint64_t seed,
                                 garam_error *err) {
  feature_matrix *m = NULL;
  TRY(features_compute(&m, f->b, &config->features, err));
  garam_status status = audit_leaks(f->leaks, MAX_LEAKS, &f->n_leaks, f->b, m, seed, err);
  feature_matrix_free(m);
  TRY(status);
  garam_error found = {0};
  status =
      audit_recompute(f->t, &config->bars, &config->features, &config->label, AUDIT_CUTS, &found);
  if (status == GARAM_NO_MEMORY) return fail(err, status, "%s", found.message);
  if (status != GARAM_OK) snprintf(f->recompute, sizeof f->recompute, "%s", found.message);
  f->audited = f->recomputed = true;
  return GARAM_OK;
}

/* What cannot be audited is said, and the rest of the description stands. */
static garam_status audit(findings *f, const describe_config *config, uint64_t seed,
                          garam_error *err) {
  if (config->target[0]) return audit_plain(f, config->target, err);
  if (!f->b) {
    snprintf(f->not_audited, sizeof f->not_audited,
             "that needs a price; --target COLUMN screens a plain table");
    return GARAM_OK;
  }
  garam_error why = {0};
  garam_status status = audit_market(f, config, seed, &why);
  if (status == GARAM_NO_MEMORY) return fail(err, status, "%s", why.message);
  if (status != GARAM_OK) snprintf(f->not_audited, sizeof f->not_audited, "%s", why.message);
  return GARAM_OK;
}

static garam_status find_out(findings *f, const describe_config *config, const char *data,
                             uint64_t seed, garam_error *err) {
  console_reading reading = {"reading", clock_monotonic_ns()};
  garam_status status =
      table_open(&f->t, data, &config->read, console_read_progress, &reading, err);
  console_bar_clear();
  TRY(status);
  TRY(table_describe(&f->json, f->t, err));
  if (f->t->time_column >= 0) TRY(table_time_check(&f->time, f->t, err));
  garam_error why = {0};
  status = bars_open(&f->b, f->t, &config->bars, &why);
  if (status == GARAM_NO_MEMORY) return fail(err, status, "%s", why.message);
  if (status != GARAM_OK) snprintf(f->not_market, sizeof f->not_market, "%s", why.message);
  else f->n_jumps = bars_find_jumps(f->jumps, MAX_JUMPS, f->b);
  return config->audit || config->target[0] ? audit(f, config, seed, err) : GARAM_OK;
}

static size_t least(size_t a, size_t b) {
  return a < b ? a : b;
}

static void warn_of_copy(findings *f, const leak *l) {
  if (strcmp(l->kind, "copies-target") != 0)
    warn(f, "column %s gives the target away (score %.3g): is it known before the target is?",
         l->column, l->score);
  else if (l->shift == 0) warn(f, "column %s is the target again", l->column);
  else
    warn(f, "column %s is the target %d row%s ahead", l->column, l->shift,
         l->shift == 1 ? "" : "s");
}

static void collect_warnings(findings *f, const describe_config *config) {
  const table *t = f->t;
  char a[TEXT_SHORT], b[TEXT_SHORT];
  if (t->n_rows < FEW_ROWS)
    warn(f, "only %zu row%s: too few to train, validate and test on", t->n_rows,
         t->n_rows == 1 ? "" : "s");
  if (t->time_column >= 0) {
    if (f->time.n_unsorted > 0)
      warn(f, "%s rows are earlier than the row above, the first on line %llu: --repair sort",
           text_count(a, f->time.n_unsorted),
           (unsigned long long)table_line(t, f->time.first_unsorted));
    if (f->time.n_duplicates > 0)
      warn(f, "%s times are there twice, the first on line %llu: --repair deduplicate",
           text_count(a, f->time.n_duplicates),
           (unsigned long long)table_line(t, f->time.first_duplicate));
    if (strcmp(t->zone, "UTC") != 0)
      warn(f, "times do not say their zone: calendar features take them as exchange time");
  }
  for (size_t i = 0; i < t->n_columns; i++) {
    const column *c = &t->columns[i];
    if (c->n_missing == t->n_rows) warn(f, "column %s is empty", c->name);
    else if (c->n_missing > 0)
      warn(f, "column %s: %s of %s values are missing", c->name, text_count(a, c->n_missing),
           text_count(b, t->n_rows));
    if (c->type == COLUMN_F64 || c->type == COLUMN_I64) {
      double first = column_f64(c, 0);
      size_t row = 1;
      while (row < t->n_rows && column_f64(c, row) == first) row++;
      if (t->n_rows > 1 && row == t->n_rows)
        warn(f, "column %s never changes: it is %s on every row", c->name, text_number(a, first));
    }
  }
  size_t n_splits = 0, n_jumps = least(f->n_jumps, MAX_JUMPS);
  for (size_t i = 0; i < n_jumps; i++) n_splits += f->jumps[i].split > 0;
  if (n_splits > 0)
    warn(f,
         "%zu price jump%s like %s: returns and labels across %s are wrong; adjust the prices "
         "first",
         n_splits, n_splits == 1 ? " looks" : "s look",
         n_splits == 1 ? "an unadjusted split" : "unadjusted splits",
         n_splits == 1 ? "it" : "them");
  if (n_jumps > n_splits)
    warn(f, "%zu other jump%s of the price: bad rows, missing days, or news", n_jumps - n_splits,
         n_jumps - n_splits == 1 ? "" : "s");
  for (size_t i = 0; i < least(f->n_leaks, MAX_LEAKS); i++)
    if (!f->recomputed) warn_of_copy(f, &f->leaks[i]);
    else
      warn(f, "column %s %s: it knows %d row%s ahead (score %.3g, p %.2g)", f->leaks[i].column,
           f->leaks[i].kind, f->leaks[i].shift, f->leaks[i].shift == 1 ? "" : "s",
           f->leaks[i].score, f->leaks[i].p);
  if (f->recompute[0]) warn(f, "recomputed without the future, a value differs: %s", f->recompute);
  if (f->not_audited[0]) warn(f, "not audited: %s", f->not_audited);
  if (f->not_market[0] && !config->target[0]) warn(f, "not read as a market: %s", f->not_market);
}

/* ---- JSON ------------------------------------------------------------------------------ */

static json_t *jumps_json(const findings *f) {
  json_t *list = json_array();
  for (size_t i = 0; i < least(f->n_jumps, MAX_JUMPS); i++) {
    const price_jump *j = &f->jumps[i];
    json_t *o = json_pack("{s:I, s:I}", "row", (json_int_t)j->row, "line",
                          (json_int_t)table_line(f->t, j->row));
    if (f->b->time) {
      char text[CLOCK_TEXT_MAX];
      json_object_set_new(o, "time", json_string(clock_format(text, f->b->time[j->row])));
    }
    json_object_set_new(o, "ratio", json_number_or_null(j->ratio));
    json_object_set_new(o, "split", j->split > 0 ? json_number_or_null(j->split) : json_null());
    json_array_append_new(list, o);
  }
  return list;
}

static json_t *leaks_json(const findings *f) {
  if (!f->audited) return json_null(); /* not looked for is not the same as none */
  json_t *list = json_array();
  for (size_t i = 0; i < least(f->n_leaks, MAX_LEAKS); i++) {
    const leak *l = &f->leaks[i];
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:i, s:o, s:o}", "column", l->column, "kind",
                                    l->kind, "shift", l->shift, "score",
                                    json_number_or_null(l->score), "p", json_number_or_null(l->p)));
  }
  return list;
}

static int print_json(const cli *c, findings *f) {
  json_t *o = f->json;
  f->json = NULL;
  json_object_set_new(o, "jumps", jumps_json(f));
  json_object_set_new(o, "leaks", leaks_json(f));
  json_object_set_new(o, "roles", f->b ? json_string(f->b->role_names) : json_null());
  if (f->recomputed)
    json_object_set_new(o, "recompute", f->recompute[0] ? json_string(f->recompute) : json_true());
  json_t *warnings = json_array();
  for (size_t i = 0; i < f->n_warnings; i++)
    json_array_append_new(warnings, json_string(f->warnings[i]));
  json_object_set_new(o, "warnings", warnings);
  return cli_print_json(c, o);
}

/* ---- for people ------------------------------------------------------------------------ */

static void print_time(const findings *f) {
  const table *t = f->t;
  char a[TEXT_SHORT], b[TEXT_SHORT], d[TEXT_SHORT];
  if (t->time_column < 0) {
    puts("time     none: rows are taken as they come");
    return;
  }
  printf("time     %s to %s%s%s (%s)\n", text_time(a, f->time.start), text_time(b, f->time.end),
         f->time.step > 0 ? ", every " : "", f->time.step > 0 ? text_duration(d, f->time.step) : "",
         strcmp(t->zone, "UTC") == 0 ? "UTC" : "zone not said");
  if (f->time.n_gaps > 0)
    printf("gaps     %s, the largest %s before %s\n", text_count(a, f->time.n_gaps),
           text_duration(b, f->time.largest_gap),
           text_time(d, t->columns[t->time_column].i64[f->time.largest_gap_row]));
  else puts("gaps     none");
}

static void print_columns(const findings *f) {
  text_table *out = text_table_new("llrrrrr");
  static const char *const heads[] = {"column", "type",      "missing", "min",
                                      "mean",   "deviation", "max"};
  for (size_t i = 0; i < COUNT_OF(heads); i++) text_table_add(out, "%s", heads[i]);
  text_table_rule(out);
  size_t i;
  json_t *o;
  json_array_foreach(json_object_get(f->json, "columns"), i, o) {
    const column *c = &f->t->columns[i];
    char text[TEXT_SHORT];
    const char *type = json_string_value(json_object_get(o, "type"));
    text_table_add(out, "%s", c->name);
    text_table_add(out, "%s", type ? type : "?");
    text_table_add(out, "%s", c->n_missing ? text_count(text, c->n_missing) : "-");
    if (c->type == COLUMN_F64 || c->type == COLUMN_I64) {
      static const char *const keys[] = {"min", "mean", "deviation", "max"};
      for (size_t k = 0; k < COUNT_OF(keys); k++)
        text_table_add(out, "%s", text_number(text, json_f64(o, keys[k])));
    } else if (c->type == COLUMN_CATEGORY) {
      text_table_add(out, "%zu names", c->n_names);
      for (int k = 0; k < 3; k++) text_table_add(out, "%s", "");
    } else {
      for (int k = 0; k < 4; k++) text_table_add(out, "%s", "");
    }
  }
  text_table_print(out, stdout, 0);
}

static void print_jumps(const findings *f) {
  if (f->n_jumps == 0) return;
  puts("\nprice jumps");
  text_table *out = text_table_new("lrrl");
  static const char *const heads[] = {"time", "line", "ratio", "looks like"};
  for (size_t i = 0; i < COUNT_OF(heads); i++) text_table_add(out, "%s", heads[i]);
  text_table_rule(out);
  for (size_t i = 0; i < least(f->n_jumps, 12); i++) {
    const price_jump *j = &f->jumps[i];
    char text[TEXT_SHORT];
    text_table_add(out, "%s", f->b->time ? text_time(text, f->b->time[j->row]) : "-");
    text_table_add(out, "%llu", (unsigned long long)table_line(f->t, j->row));
    text_table_add(out, "%.4f", j->ratio);
    if (j->split > 1) text_table_add(out, "a split %g:1", j->split);
    else if (j->split > 0) text_table_add(out, "a reverse split 1:%g", 1 / j->split);
    else text_table_add(out, "%s", "a break");
  }
  text_table_print(out, stdout, 0);
  if (f->n_jumps > 12) printf("and %zu more (--json lists them)\n", f->n_jumps - 12);
}

static int print_text(const cli *c, const findings *f) {
  char a[TEXT_SHORT];
  printf("%s: %s row%s, %zu columns\n\n", f->t->source, text_count(a, f->t->n_rows),
         f->t->n_rows == 1 ? "" : "s", f->t->n_columns);
  print_time(f);
  if (f->b) printf("roles    %s\n", f->b->role_names);
  if (f->not_audited[0]) printf("audit    not done: %s\n", f->not_audited);
  if (f->audited && !f->recomputed)
    printf("audit    %zu leak%s\n", f->n_leaks, f->n_leaks == 1 ? "" : "s");
  if (f->recomputed)
    printf("audit    %zu leak%s; features and labels %s with the future cut off\n", f->n_leaks,
           f->n_leaks == 1 ? "" : "s", f->recompute[0] ? "differ" : "are identical");
  puts("");
  print_columns(f);
  print_jumps(f);
  if (f->n_warnings > 0) puts("\nbefore you train");
  for (size_t i = 0; i < f->n_warnings; i++)
    printf("%s %s\n", console_unicode() ? "•" : "*", f->warnings[i]);
  return cli_flush_stdout(c);
}

static int run(cli *c) {
  describe_config config;
  cli_add(c, "Describe", describe_options, COUNT_OF(describe_options), &config);
  cli_add(c, "Reading", table_read_options, table_read_n_options, &config.read);
  cli_add(c, "Market", bars_options, bars_n_options, &config.bars);
  cli_add(c, "Features (for --audit)", feature_options, feature_n_options, &config.features);
  cli_add(c, "Label (for --audit)", label_options, label_n_options, &config.label);
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;

  garam_error err = {0};
  findings f = {0};
  arena_init(&f.memory, 0);
  if (find_out(&f, &config, c->operands[0], (uint64_t)c->common.seed, &err) != GARAM_OK) {
    code = cli_fail(c, &err);
  } else {
    collect_warnings(&f, &config);
    code = c->common.json ? print_json(c, &f) : print_text(c, &f);
  }
  bars_free(f.b);
  json_decref(f.json);
  table_free(f.t);
  mem_free(f.warnings);
  arena_deinit(&f.memory);
  return code;
}

const command cmd_describe = {
    .name = "describe",
    .summary = "what a file holds, and where a trainer would stumble",
    .usage = "DATA [--audit] [--target COLUMN] [--json]",
    .details =
        "DATA is a file (CSV and kin, plain, gzip or zstd, by content), - for standard input,\n"
        "sqlite:FILE?table=T or sqlite:FILE?query=SELECT ...",
    .examples = "garam describe prices.csv.gz\ngaram describe prices.csv --audit --json",
    .run = run,
};
