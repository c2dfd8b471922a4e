/* The page: headline, verdict, scores beside baselines, charts, provenance. */
#include "report/report.h"

#include "base/io.h"
#include "base/mem.h"
#include "report/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *or_else(const char *text, const char *other) {
  return text && *text ? text : other;
}

static const char *file_name(const char *path) {
  const char *slash = path ? strrchr(path, '/') : NULL;
  return slash ? slash + 1 : path;
}

/* "2015-01-02T09:00:00Z" as people write it; false when it is not there. */
static bool put_moment(char out[PAGE_NUMBER], const char *text) {
  if (!text || !*text) return false;
  snprintf(out, PAGE_NUMBER, "%s", text);
  char *t = strchr(out, 'T');
  if (!t) return true;
  *t = ' ';
  size_t zeros = strlen(":00Z");
  if (strlen(t) == strlen(" 09:00:00Z") && strcmp(t + strlen(t) - zeros, ":00Z") == 0)
    t[strlen(t) - zeros] = 0;
  if (strcmp(t, " 00:00") == 0) *t = 0;
  return true;
}

/* ---- headline -------------------------------------------------------------------------- */

static void put_headline(page *p, const json_t *scores, const json_t *manifest) {
  char a[PAGE_NUMBER], b[PAGE_NUMBER];
  const char *model = page_string(scores, "model");
  if (!model) model = page_string(manifest, "model");
  const char *data = page_string(scores, "data");
  page_put(p, "<p class=\"eyebrow\">garam · evaluation</p>\n<h1>");
  page_text(p, or_else(model, "A model"));
  page_put(p, " on ");
  page_text(p, or_else(file_name(data), "data"));
  page_put(p, "</h1>\n<p class=\"lead\">");
  page_text(p, page_count(a, page_f64(scores, "rows")));
  page_put(p, json_is_true(json_object_get(scores, "trained_rows_included"))
                  ? " rows scored, those it was trained on among them"
                  : " rows scored, none of which it was trained on");
  const json_t *time = json_object_get(scores, "time");
  if (put_moment(a, page_string(time, "start")) && put_moment(b, page_string(time, "end"))) {
    page_put(p, ", ");
    page_text(p, a);
    page_put(p, " to ");
    page_text(p, b);
  }
  page_put(p, ".");
  const json_t *split = json_object_get(manifest, "split");
  const json_t *train = json_object_get(split, "train"), *valid = json_object_get(split, "valid");
  if (put_moment(a, page_string(train, "from")) && put_moment(b, page_string(train, "to"))) {
    page_put(p, "<br>Trained on ");
    page_text(p, a);
    page_put(p, " to ");
    page_text(p, b);
    if (put_moment(a, page_string(valid, "to"))) {
      page_put(p, ", validated to ");
      page_text(p, a);
    }
    page_put(p, ".");
  }
  page_put(p, "</p>\n");
}

static void put_paragraph(page *p, const char *open, const char *text) {
  if (!text || !*text) return;
  page_put(p, open);
  page_text(p, text);
  page_put(p, "</p>");
}

static void put_verdict(page *p, const json_t *scores) {
  char text[VERDICT_TEXT];
  verdict v = report_verdict(text, scores);
  static const char *const classes[] = {"", " better", "", " worse"};
  bool spoilt = page_string(scores, "split_warning") != NULL; /* then it is no triumph */
  page_printf(p, "<div class=\"verdict%s\">", spoilt ? "" : classes[v]);
  put_paragraph(p, "<p>", text);
  char a[PAGE_NUMBER], b[PAGE_NUMBER];
  double share = page_f64(scores, "share_of_bayes");
  if (isfinite(share)) {
    page_put(p, "<p>The odds of this data are known: the best possible accuracy is ");
    page_text(p, page_percent(a, page_f64(scores, "bayes_accuracy"), 1));
    page_put(p, ", and the model reaches ");
    page_text(p, page_percent(b, share, 1));
    page_put(p, " of it.</p>");
  }
  if (report_direction(text, scores)) put_paragraph(p, "<p>", text);
  if (report_money(text, scores)) put_paragraph(p, "<p>", text);
  put_paragraph(p, "<p class=\"warning\">", page_string(scores, "split_warning"));
  put_paragraph(p, "<p class=\"warning\">", page_string(scores, "warning"));
  page_put(p, "</div>\n");
}

/* ---- scores ---------------------------------------------------------------------------- */

typedef struct score {
  const char *key, *title;
  bool percent;
  int digits;
} score;

static const score columns[] = {
    {"accuracy", "accuracy", true, 2},
    {"macro_f1", "macro-F1", false, 3},
    {"log_loss", "log loss", false, 4},
    {"brier", "Brier", false, 4},
    {"calibration_error", "calibration error", false, 4},
    {"auc", "AUC", false, 4},
    {"mse", "mean squared error", false, 6},
    {"mae", "mean absolute error", false, 6},
    {"r2", "R²", false, 4},
    {"ndcg", "NDCG", false, 4},
};

static void put_value(page *p, const json_t *object, const score *s) {
  char text[PAGE_NUMBER];
  double value = page_f64(object, s->key);
  page_text(p, s->percent ? page_percent(text, value, s->digits)
                          : page_number(text, value, s->digits));
}

static void put_interval(page *p, const json_t *scores, const score *s) {
  const json_t *pair = json_object_get(json_object_get(scores, "interval"), s->key);
  if (json_array_size(pair) != 2) return;
  char a[PAGE_NUMBER], b[PAGE_NUMBER];
  double low = json_number_value(json_array_get(pair, 0));
  double high = json_number_value(json_array_get(pair, 1));
  page_put(p, "<br><small>");
  if (s->percent) {
    page_text(p, page_percent(a, low, s->digits));
    page_put(p, " – ");
    page_text(p, page_percent(b, high, s->digits));
  } else {
    page_text(p, page_number(a, low, s->digits));
    page_put(p, " – ");
    page_text(p, page_number(b, high, s->digits));
  }
  page_put(p, "</small>");
}

static bool any_has(const json_t *scores, const char *key) {
  return json_is_number(json_object_get(scores, key));
}

static void put_scores(page *p, const json_t *scores) {
  page_put(p, "<h2>Scores</h2>\n<div class=\"scroll\"><table><thead><tr><th></th>");
  for (size_t i = 0; i < COUNT_OF(columns); i++)
    if (any_has(scores, columns[i].key)) page_printf(p, "<th>%s</th>", columns[i].title);
  page_put(p, "</tr></thead><tbody>\n<tr class=\"ours\"><td>model</td>");
  for (size_t i = 0; i < COUNT_OF(columns); i++) {
    if (!any_has(scores, columns[i].key)) continue;
    page_put(p, "<td>");
    put_value(p, scores, &columns[i]);
    put_interval(p, scores, &columns[i]);
    page_put(p, "</td>");
  }
  page_put(p, "</tr>\n");
  const char *name;
  json_t *baseline;
  json_object_foreach((json_t *)(uintptr_t)json_object_get(scores, "baselines"), name, baseline) {
    if (!json_is_object(baseline)) continue; /* there is no last outcome without time */
    page_put(p, "<tr><td>");
    page_text(p, name);
    page_put(p, "</td>");
    for (size_t i = 0; i < COUNT_OF(columns); i++) {
      if (!any_has(scores, columns[i].key)) continue;
      page_put(p, "<td>");
      put_value(p, baseline, &columns[i]);
      page_put(p, "</td>");
    }
    page_put(p, "</tr>\n");
  }
  page_put(p, "</tbody></table></div>\n<p class=\"note\">Small print under a score: 95 % interval, "
              "block bootstrap. ");
  if (json_object_get(json_object_get(scores, "baselines"), "random")) {
    page_put(p, "NDCG at 10, the mean over queries; random is any order, by expectation.</p>\n");
    return;
  }
  page_put(p, json_object_get(json_object_get(scores, "baselines"), "majority")
                  ? "Majority always says the most common class of the training rows, "
                  : "Mean always says the mean of the training rows, ");
  page_put(p, "persistence repeats the last outcome that was known, momentum follows the last move."
              "</p>\n");
}

static void put_fact(page *p, const char *title, const char *value, const char *more) {
  page_put(p, "<div><dt>");
  page_text(p, title);
  page_put(p, "</dt><dd>");
  page_text(p, value);
  if (more) {
    page_put(p, "<small>");
    page_text(p, more);
    page_put(p, "</small>");
  }
  page_put(p, "</dd></div>\n");
}

/* "and 95.8 % of those are right", where there are any. */
static const char *called_text(char out[160], const json_t *scores, const char *accuracy,
                               const char *what) {
  char number[PAGE_NUMBER];
  double value = page_f64(scores, accuracy);
  if (isfinite(value))
    snprintf(out, 160, "%s; %s of them are right", what, page_percent(number, value, 1));
  else snprintf(out, 160, "%s", what);
  return out;
}

/* Of values: how often their intervals hold them. */
static void put_interval_facts(page *p, const json_t *scores) {
  const json_t *conformal = json_object_get(scores, "conformal");
  char text[PAGE_NUMBER], more[160], other[PAGE_NUMBER], width[PAGE_NUMBER];
  if (!json_is_number(json_object_get(conformal, "half_width"))) return;
  snprintf(more, sizeof more, "of intervals that should hold the value %s of the time; %s %s",
           page_percent(other, page_f64(conformal, "target"), 0),
           json_is_true(json_object_get(conformal, "own")) ? "half their width is on average"
                                                           : "the value plus or minus",
           page_number(width, page_f64(conformal, "half_width"), 6));
  page_put(p, "<dl>\n");
  put_fact(p, "Conformal coverage", page_percent(text, page_f64(conformal, "coverage"), 1), more);
  page_put(p, "</dl>\n");
}

static void put_coverage_facts(page *p, const json_t *scores) {
  if (!any_has(scores, "coverage_at_95")) {
    put_interval_facts(p, scores);
    return;
  }
  char text[PAGE_NUMBER], more[160], other[PAGE_NUMBER];
  page_put(p, "<dl>\n");
  put_fact(p, "Coverage at 95 % accuracy",
           page_percent(text, page_f64(scores, "coverage_at_95"), 2),
           called_text(more, scores, "accuracy_at_95",
                       "of rows, where the model may abstain; threshold from validation"));
  if (any_has(scores, "directional_coverage_at_95"))
    put_fact(p, "The same, directional calls",
             page_percent(text, page_f64(scores, "directional_coverage_at_95"), 2),
             called_text(more, scores, "directional_accuracy_at_95", "down and up, not flat"));
  const json_t *conformal = json_object_get(scores, "conformal");
  if (json_is_object(conformal)) {
    snprintf(more, sizeof more,
             "of sets that should hold the truth %s of the time; %s classes each",
             page_percent(text, page_f64(conformal, "target"), 0),
             page_number(other, page_f64(conformal, "mean_size"), 2));
    put_fact(p, "Conformal coverage", page_percent(text, page_f64(conformal, "coverage"), 1), more);
  }
  page_put(p, "</dl>\n");
}

static void put_backtest(page *p, const json_t *scores) {
  const json_t *b = json_object_get(scores, "backtest");
  if (!json_is_object(b)) return;
  char text[PAGE_NUMBER], other[PAGE_NUMBER], more[2 * PAGE_NUMBER];
  page_put(p, "<h2>Backtest</h2>\n<div class=\"charts\">\n");
  svg_equity(p, scores);
  page_put(p, "</div>\n<dl>\n");
  snprintf(more, sizeof more, "buy and hold %s",
           page_percent(other, page_f64(b, "buy_and_hold"), 2));
  put_fact(p, "Net return", page_percent(text, page_f64(b, "net_return"), 2), more);
  snprintf(more, sizeof more, "buy and hold %s",
           page_number(other, page_f64(b, "buy_and_hold_sharpe"), 2));
  put_fact(p, "Sharpe ratio, a year", page_number(text, page_f64(b, "sharpe"), 2),
           json_object_get(b, "buy_and_hold_sharpe") ? more : NULL);
  put_fact(p, "Deflated Sharpe", page_percent(text, page_f64(b, "deflated_sharpe"), 1),
           "probability that the true Sharpe ratio is above zero");
  put_fact(p, "Largest drawdown", page_percent(text, page_f64(b, "max_drawdown"), 2), NULL);
  double turnover = page_f64(b, "turnover");
  put_fact(p, "Turnover",
           turnover < 1000 ? page_number(text, turnover, 1) : page_count(text, turnover),
           "times the equity, a year");
  if (any_has(b, "costs"))
    put_fact(p, "Costs paid", page_percent(text, page_f64(b, "costs"), 2),
             "of the starting equity");
  if (any_has(b, "trades")) put_fact(p, "Trades", page_count(text, page_f64(b, "trades")), NULL);
  page_put(p, "</dl>\n");
  double years = page_f64(scores, "rows") / page_f64(b, "periods_per_year");
  if (years < 0.25) {
    snprintf(more, sizeof more, years * 365 < 2 ? "%.1f hours" : "%.0f days",
             years * 365 < 2 ? years * 365 * 24 : years * 365);
    page_put(p, "<p class=\"note\">Figures for a year are taken from ");
    page_text(p, more);
    page_put(p, ": too little for them to mean much.</p>\n");
  }
}

/* ---- provenance ------------------------------------------------------------------------ */

/* What people ask for first, then the rest as it stands. */
static void put_manifest(page *p, const json_t *manifest) {
  static const struct {
    const char *key, *title;
  } first[] = {{"learner", "Model and its options"},
               {"options", "Options of data, label, features, costs"},
               {"split", "What was trained, validated and tested on"},
               {"data", "Data"}};
  json_t *rest = json_copy((json_t *)(uintptr_t)manifest);
  for (size_t i = 0; i < COUNT_OF(first); i++) {
    page_section(p, first[i].title, json_object_get(manifest, first[i].key));
    json_object_del(rest, first[i].key);
  }
  page_section(p, "The rest of the manifest", rest);
  json_decref(rest);
}

static void put_pair(page *p, const char *title, const char *value) {
  if (!value) return;
  page_printf(p, "<span>%s</span><code>", title);
  page_text(p, value);
  page_put(p, "</code>");
}

static void put_provenance(page *p, const json_t *scores, const json_t *manifest,
                           const char *command) {
  page_put(p, "<h2>Where this comes from</h2>\n");
  if (command) {
    page_put(p, "<pre>");
    page_text(p, command);
    page_put(p, "</pre>\n");
  }
  page_put(p, "<div class=\"kv\">");
  put_pair(p, "package", page_string(scores, "package"));
  put_pair(p, "sha256", page_string(scores, "sha256"));
  put_pair(p, "data", page_string(scores, "data"));
  put_pair(p, "garam", garam_version());
  page_put(p, "</div>\n");
  if (json_is_object(manifest)) put_manifest(p, manifest);
}

/* ---- the whole ------------------------------------------------------------------------- */

char *report_html(const json_t *scores, const json_t *manifest, const char *command) {
  page p = {0};
  const json_t *detail = json_object_get(scores, "detail");
  page_open(&p);
  page_text(&p, or_else(page_string(scores, "model"), "model"));
  page_put(&p, " on ");
  page_text(&p, or_else(file_name(page_string(scores, "data")), "data"));
  page_body(&p);
  put_headline(&p, scores, manifest);
  put_verdict(&p, scores);
  put_scores(&p, scores);
  put_coverage_facts(&p, scores);
  put_backtest(&p, scores);
  page_put(&p, "<h2>What it knows, and how well it knows it</h2>\n<div class=\"charts\">\n");
  svg_reliability(&p, detail);
  svg_confusion(&p, detail);
  svg_coverage(&p, scores);
  svg_curves(&p, detail);
  page_put(&p, "</div>\n");
  svg_influence(&p, detail);
  put_provenance(&p, scores, manifest, command);
  page_printf(&p,
              "<footer>Made by garam %s. Past prices promise nothing.</footer>\n</main>\n</body>"
              "\n</html>\n",
              garam_version());
  return page_take(&p);
}

garam_status report_write(const char *path, const json_t *scores, const json_t *manifest,
                          const char *command, garam_error *err) {
  char *text = report_html(scores, manifest, command);
  if (!text) return fail_memory(err, 0);
  garam_status status = io_write_file(path, text, strlen(text), err);
  mem_free(text);
  return status;
}
