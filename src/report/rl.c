/* The pages of reinforcement learning: see rl.h. */
#include "report/rl.h"

#include "base/io.h"
#include "base/mem.h"
#include "report/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_count(page *p, const json_t *o, const char *key) {
  char text[PAGE_NUMBER];
  page_text(p, page_count(text, page_f64(o, key)));
}

static void put_number(page *p, double value) {
  char text[PAGE_NUMBER];
  const double size = fabs(value);
  page_text(p, page_number(text, value, size >= 1000 ? 0 : size >= 10 ? 1 : 3));
}

static void put_interval(page *p, const json_t *o) {
  put_number(p, page_f64(o, "iqm"));
  page_put(p, " (");
  put_number(p, page_f64(o, "ci_low"));
  page_put(p, " to ");
  put_number(p, page_f64(o, "ci_high"));
  page_put(p, ")");
}

static void put_title(page *p, const json_t *o) {
  page_text(p, page_string(o, "agent"));
  page_put(p, " in ");
  page_text(p, page_string(o, "env"));
}

static void put_result(page *p, const json_t *r) {
  const json_t *best = json_object_get(r, "best");
  page_put(p, "<p class=\"lead\">");
  put_count(p, r, "steps");
  page_put(p, " world steps from each of ");
  put_count(p, r, "seeds");
  page_put(p, " seeds; judged on ");
  put_count(p, r, "episodes");
  page_put(p, " held-out episodes each, without exploring.</p>\n<div class=\"verdict\"><p>Return ");
  put_interval(p, r);
  page_put(p, ": interquartile mean over seeds and its 95 % interval. Had the last policies been "
              "kept: ");
  put_interval(p, json_object_get(r, "last"));
  page_put(p, ".</p></div>\n<dl><div><dt>Policy in the package</dt><dd>seed ");
  put_count(p, best, "seed");
  page_put(p, "<small>after ");
  put_count(p, best, "steps");
  page_put(p, " steps; highest lower bound on held-out episodes, ");
  put_number(p, page_f64(best, "low"));
  page_put(p, "</small></dd></div><div><dt>Speed</dt><dd>");
  put_count(p, r, "steps_per_second");
  page_put(p, "<small>world steps a second, learning included</small></dd></div>"
              "<div><dt>Worlds</dt><dd>");
  put_count(p, r, "worlds");
  page_put(p, "<small>side by side in each run</small></dd></div></dl>\n"
              "<h2>How it learnt</h2>\n<div class=\"charts\">\n");
  svg_learning(p, r);
  svg_seeds(p, r);
  page_put(p, "</div>\n");
}

static void put_play(page *p, const json_t *play) {
  const json_t *returns = json_object_get(play, "return");
  page_put(p, "<h2>An episode</h2>\n<p class=\"note\">Episode ");
  put_count(p, play, "episode");
  page_put(p, ", ");
  put_count(p, play, "steps");
  page_put(p, " steps; return");
  for (size_t i = 0; i < json_array_size(returns) && i < 8; i++) {
    page_put(p, i ? ", " : " ");
    put_number(p, json_number_value(json_array_get(returns, i)));
  }
  page_put(p, ".</p>\n");
  svg_episode(p, play);
}

static void put_command(page *p, const char *command) {
  page_put(p, "<h2>Where this comes from</h2>\n");
  if (!command) return;
  page_put(p, "<pre>");
  page_text(p, command);
  page_put(p, "</pre>\n");
}

static void put_end(page *p) {
  page_printf(p, "<footer>Made by garam %s.</footer>\n</main>\n</body>\n</html>\n",
              garam_version());
}

char *report_rl_html(const json_t *result, const json_t *play, const char *command) {
  page p = {0};
  const json_t *who = result ? result : play;
  page_open(&p);
  put_title(&p, who);
  page_body(&p);
  page_put(&p, "<p class=\"eyebrow\">garam · reinforcement learning</p>\n<h1>");
  put_title(&p, who);
  page_put(&p, "</h1>\n");
  if (result) put_result(&p, result);
  if (play) put_play(&p, play);
  put_command(&p, command);
  if (result) {
    const json_t *record = json_object_get(result, "record");
    page_section(&p, "Agent and its options", json_object_get(record, "agent"));
    page_section(&p, "Environment and its options", json_object_get(record, "env"));
    page_section(&p, "Training", json_object_get(record, "training"));
    page_section(&p, "What the agent said of itself last", json_object_get(result, "metrics"));
  }
  put_end(&p);
  return page_take(&p);
}

static garam_status write_text(const char *path, char *text, garam_error *err) {
  if (!text) return fail_memory(err, 0);
  garam_status status = io_write_file(path, text, strlen(text), err);
  mem_free(text);
  return status;
}

garam_status report_rl_write(const char *path, const json_t *result, const json_t *play,
                             const char *command, garam_error *err) {
  return write_text(path, report_rl_html(result, play, command), err);
}

/* ---- comparisons ---------------------------------------------------------------------------- */

static void put_players(page *p, const json_t *compare) {
  size_t i;
  json_t *one;
  page_put(p, "<div class=\"scroll\"><table><thead><tr><th>player</th><th>environment</th>"
              "<th>interquartile mean</th><th>95 % interval</th><th>mean</th><th>runs</th></tr>"
              "</thead><tbody>\n");
  json_array_foreach(json_object_get(compare, "players"), i, one) {
    page_put(p, "<tr><td>");
    page_text(p, page_string(one, "name"));
    page_put(p, "</td><td>");
    page_text(p, page_string(one, "env"));
    page_put(p, "</td><td>");
    put_number(p, page_f64(one, "iqm"));
    page_put(p, "</td><td>");
    put_number(p, page_f64(one, "ci_low"));
    page_put(p, " to ");
    put_number(p, page_f64(one, "ci_high"));
    page_put(p, "</td><td>");
    put_number(p, page_f64(one, "mean"));
    page_put(p, "</td><td>");
    put_count(p, one, "seeds");
    page_put(p, "</td></tr>\n");
  }
  page_put(p, "</tbody></table></div>\n");
}

static void put_improvement(page *p, const json_t *compare) {
  const json_t *list = json_object_get(compare, "improvement");
  size_t i;
  json_t *one;
  char text[PAGE_NUMBER];
  if (json_array_size(list) == 0) return;
  page_put(p, "<h2>Which is better, and how surely</h2>\n<div class=\"scroll\"><table><thead><tr>"
              "<th>a run of</th><th>beats one of</th><th>in</th><th>with probability</th>"
              "<th>95 % interval</th></tr></thead><tbody>\n");
  json_array_foreach((json_t *)(uintptr_t)list, i, one) {
    static const char *const keys[] = {"x", "y", "env"};
    page_put(p, "<tr>");
    for (size_t k = 0; k < COUNT_OF(keys); k++) {
      page_put(p, "<td>");
      page_text(p, page_string(one, keys[k]));
      page_put(p, "</td>");
    }
    page_put(p, "<td>");
    page_text(p, page_percent(text, page_f64(one, "probability"), 1));
    page_put(p, "</td><td>");
    page_text(p, page_percent(text, page_f64(one, "low"), 1));
    page_put(p, " to ");
    page_text(p, page_percent(text, page_f64(one, "high"), 1));
    page_put(p, "</td></tr>\n");
  }
  page_put(p, "</tbody></table></div>\n");
}

static void put_cross_play(page *p, const json_t *cross) {
  const json_t *names = json_object_get(cross, "players"), *rows = json_object_get(cross, "score"),
               *elo = json_object_get(cross, "elo");
  const size_t n = json_array_size(names);
  if (n == 0) return;
  page_put(p, "<h2>Against each other</h2>\n<p class=\"note\">Mean return of the row's side when "
              "the column plays the other.</p>\n<div class=\"scroll\"><table><thead><tr><th></th>");
  for (size_t i = 0; i < n; i++) {
    page_put(p, "<th>");
    page_text(p, json_string_value(json_array_get(names, i)));
    page_put(p, "</th>");
  }
  page_put(p, "<th>Elo</th></tr></thead><tbody>\n");
  for (size_t i = 0; i < n; i++) {
    page_put(p, "<tr><td>");
    page_text(p, json_string_value(json_array_get(names, i)));
    page_put(p, "</td>");
    for (size_t k = 0; k < n; k++) {
      page_put(p, "<td>");
      put_number(p, json_number_value(json_array_get(json_array_get(rows, i), k)));
      page_put(p, "</td>");
    }
    page_put(p, "<td>");
    put_number(p, json_number_value(json_array_get(elo, i)));
    page_put(p, "</td></tr>\n");
  }
  page_put(p, "</tbody></table></div>\n");
}

garam_status report_compare_write(const char *path, const json_t *compare, const char *command,
                                  garam_error *err) {
  page p = {0};
  page_open(&p);
  page_put(&p, "Comparison");
  page_body(&p);
  page_put(&p, "<p class=\"eyebrow\">garam · reinforcement learning</p>\n<h1>Comparison</h1>\n");
  put_players(&p, compare);
  put_improvement(&p, compare);
  page_put(&p, "<div class=\"charts\">\n");
  svg_profiles(&p, compare);
  page_put(&p, "</div>\n");
  put_cross_play(&p, json_object_get(compare, "cross_play"));
  put_command(&p, command);
  put_end(&p);
  return write_text(path, page_take(&p), err);
}
