/* POST /v2/models/NAME/predict: recent bars as CSV, with the columns that the model was trained
 * on; the pipeline in the package computes the features as in training. The answer is for the last
 * row, or for all with ?rows=all. */
#include "serve/exchange.h"

#include "base/clock.h"
#include "base/mem.h"
#include "serve/guard.h"

/* One row's answer. abstain: not as sure as the predictions that were right at the target share
 * on the validation part. */
static void row_write(text *t, const session_info *info, const session_rows *rows, size_t row,
                      const float *p) {
  char time[CLOCK_TEXT_MAX];
  text_format(t, "{\"row\":%zu", row);
  if (rows->time) text_format(t, ",\"time\":\"%s\"", clock_format(time, rows->time[row]));
  if (rows->known_at && rows->time)
    text_format(t, ",\"known_at\":\"%s\"", clock_format(time, rows->known_at[row]));
  if (info->task == TASK_REGRESSION || info->task == TASK_RANKING) {
    text_string(t, ",\"value\":");
    text_f32(t, p[0]);
    text_string(t, "}");
    return;
  }
  text_string(t, ",\"probabilities\":{");
  for (int i = 0; i < info->n_outputs; i++) {
    if (i > 0) text_string(t, ",");
    text_json_string(t, info->output_names[i]);
    text_string(t, ":");
    text_f32(t, p[i]);
  }
  int top = oip_top_class(p, info->n_outputs);
  text_string(t, "},\"label\":");
  text_json_string(t, info->output_names[top]);
  if (info->target > 0)
    text_format(t, ",\"abstain\":%s", (double)p[top] < info->threshold ? "true" : "false");
  text_string(t, "}");
}

/* The rows to predict into *which, ascending. */
static garam_status choose_rows(uint32_t **which, size_t *n, const session_rows *rows, bool all,
                                garam_error *err) {
  size_t usable = 0, last = rows->n_rows;
  for (size_t i = 0; i < rows->n_rows; i++) usable += rows->usable[i] != 0;
  if (rows->n_rows == 0) return fail(err, GARAM_INVALID, "no rows; send bars as CSV");
  if (all ? usable == 0 : !rows->usable[last - 1])
    return fail(err, GARAM_INVALID,
                "the last of %zu rows cannot be predicted: send more bars before it (features look "
                "back), without missing values",
                rows->n_rows);
  *n = all ? usable : 1;
  *which = mem_array(*n, sizeof **which);
  if (!*which) return fail_memory(err, *n * sizeof **which);
  size_t at = 0;
  for (size_t i = all ? 0 : last - 1; i < rows->n_rows; i++)
    if (rows->usable[i]) (*which)[at++] = (uint32_t)i;
  return GARAM_OK;
}

void predict_rows(exchange *e, serve_state *s) {
  static const char *const types[] = {"text/csv", "application/csv"};
  session *asked = s->sessions[e->model];
  const session_info *info = session_get_info(asked);
  garam_error err;
  session_rows rows = {0};
  session_timing timing;
  uint32_t *which = NULL;
  size_t n = 0, k = (size_t)info->n_outputs;
  garam_status status = GARAM_OK;

  if (!e->content_type || !guard_content_type(e->content_type, types, COUNT_OF(types))) {
    exchange_fail(e, 415,
                  "expected Content-Type: text/csv (curl: -H 'Content-Type: text/csv' "
                  "--data-binary @bars.csv)");
    return;
  }
  bool all = e->rows && strcmp(e->rows, "all") == 0;
  if (e->rows && !all && strcmp(e->rows, "last") != 0) {
    exchange_fail(e, 400, "rows=%.40s; expected last or all", e->rows);
    return;
  }
  TRY_GOTO(done, session_read_rows(&rows, asked, e->body, e->body_size, &err));
  TRY_GOTO(done, choose_rows(&which, &n, &rows, all, &err));
  TRY_GOTO(done, mem_grow(&e->out, &e->out_capacity, n * k, sizeof *e->out, &err));
  TRY_GOTO(done, session_run_rows(asked, &rows, which, n, e->out,
                                  (int64_t)(s->config->timeout * 1e9), &timing, &err));
  metrics_inference(&s->metrics, e->model, n, &timing);

  text *t = &e->answer;
  text_string(t, "{\"model_name\":");
  text_json_string(t, s->names[e->model]);
  text_format(t, ",\"model_version\":\"1\",\"rows\":%zu,\"threshold\":", rows.n_rows);
  if (info->target > 0 && info->threshold <= 1) text_f64(t, info->threshold);
  else text_string(t, "null");
  text_string(t, ",\"predictions\":[");
  for (size_t i = 0; i < n; i++) {
    if (i > 0) text_string(t, ",\n");
    row_write(t, info, &rows, which[i], e->out + i * k);
  }
  text_string(t, "]}");

done:
  if (status != GARAM_OK) exchange_fail_status(e, &err);
  session_free_rows(asked, &rows);
  mem_free(which);
}
