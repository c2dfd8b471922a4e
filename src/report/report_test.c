/* The report: whole, escaped, alone, the same twice; verdicts; charts that miss their data. */
#include "report/report.h"

#include "base/mem.h"
#include "report/svg.h"
#include "tests/failing_allocator.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A names that try to break out, and numbers that are not there. */
static const char scores_text[] =
    "{\"model\": \"<script>alert(1)</script>\", \"data\": \"/x/\\\"a&b'.csv\", \"rows\": 1234,"
    "\"time\": {\"start\": \"2015-01-01T00:00:00Z\", \"end\": \"2015-03-01T09:30:00Z\"},"
    "\"accuracy\": 0.4, \"macro_f1\": 0.39, \"log_loss\": null, \"brier\": 0.6,"
    "\"calibration_error\": 0.01, \"coverage_at_95\": 0.0,"
    "\"interval\": {\"accuracy\": [0.37, 0.43]},"
    "\"baselines\": {\"majority\": {\"accuracy\": 0.35, \"macro_f1\": 0.17}, \"momentum\": null},"
    "\"over_best_baseline\": {\"baseline\": \"majority\", \"accuracy\": 0.05,"
    "  \"interval\": [0.01, 0.09]},"
    "\"backtest\": {\"net_return\": -0.02, \"gross_return\": 0.3, \"buy_and_hold\": 0.1,"
    "  \"sharpe\": 0.2, \"deflated_sharpe\": 0.6, \"max_drawdown\": 0.1, \"turnover\": 12345.0,"
    "  \"periods_per_year\": 8760},"
    "\"detail\": {\"class_names\": [\"down\", \"</text>\", \"up\"],"
    "  \"confusion\": [[10, 2, 3], [4, 0, 0], [0, 0, 0]],"
    "  \"reliability\": [{\"confidence\": null, \"accuracy\": null, \"n\": 0},"
    "    {\"confidence\": 0.45, \"accuracy\": 0.4, \"n\": 1234}],"
    "  \"coverage\": [{\"coverage\": 0.1, \"accuracy\": 0.6}, {\"coverage\": 1, \"accuracy\": "
    "0.4}],"
    "  \"equity\": {\"time\": [1420070400000000000, 1422748800000000000, 1425168000000000000],"
    "    \"strategy\": [1, null, 0.98], \"buy_and_hold\": [1, 1.05, 1.1]},"
    "  \"training\": {\"best_epoch\": 2, \"train_loss\": [1.1, 1.0, 0.9],"
    "    \"valid_loss\": [1.1, 1.05, 1.06]}}}";
static const char manifest_text[] =
    "{\"options\": {\"read\": {\"header\": \"auto\"}, \"x\": \"<img src=//evil>\"},"
    " \"learner\": {\"name\": \"linear\", \"options\": {\"l2\": 0.001}}, \"features\": [\"a\"],"
    " \"split\": {\"train\": {\"from\": \"2014-01-01T00:00:00Z\", \"to\": "
    "\"2014-09-01T00:00:00Z\"}}}";

static json_t *parse(const char *text) {
  json_error_t error;
  json_t *value = json_loads(text, 0, &error);
  if (!value) fail_msg("%s at %d", error.text, error.position);
  return value;
}

/* Every element that is opened is closed, in order; void elements aside. */
static void check_tags(const char *html) {
  static const char *const no_end[] = {"meta", "br", "line", "!doctype"};
  char open[64][16];
  size_t depth = 0;
  for (const char *at = strchr(html, '<'); at; at = strchr(at + 1, '<')) {
    char name[16];
    bool closing = at[1] == '/';
    const char *from = at + 1 + closing;
    size_t n = strcspn(from, " >/\n");
    assert_true(n > 0 && n < sizeof name);
    snprintf(name, sizeof name, "%.*s", (int)n, from);
    const char *end = strchr(at, '>');
    assert_non_null(end);
    bool skip = end[-1] == '/';
    for (size_t i = 0; i < COUNT_OF(no_end); i++) skip |= strcmp(name, no_end[i]) == 0;
    if (skip) continue;
    if (closing) {
      assert_true(depth > 0);
      assert_string_equal(open[--depth], name);
    } else {
      assert_true(depth < COUNT_OF(open));
      strcpy(open[depth++], name);
    }
  }
  assert_int_equal(depth, 0);
}

static void test_page(void **state) {
  (void)state;
  json_t *scores = parse(scores_text), *manifest = parse(manifest_text);
  char *html = report_html(scores, manifest, "garam evaluate 'a <b>'");
  char *again = report_html(scores, manifest, "garam evaluate 'a <b>'");
  assert_non_null(html);
  assert_string_equal(html, again);
  check_tags(html);
  static const char *const forbidden[] = {"<script", "<img",  "http:", "https:", "url(", "@import",
                                          "src=\"",  "<link", "nan",   "inf ",   "-0.00"};
  for (size_t i = 0; i < COUNT_OF(forbidden); i++)
    if (strstr(html, forbidden[i])) fail_msg("\"%s\" is in the page", forbidden[i]);
  static const char *const wanted[] = {"&lt;script&gt;alert(1)&lt;/script&gt;",
                                       "&quot;a&amp;b&#39;.csv",
                                       "&lt;/text&gt;",
                                       "1,234 rows scored",
                                       "2015-01-01 to 2015-03-01 09:30",
                                       "Better than every baseline",
                                       "40.00 %",
                                       "−2.00 %",
                                       "read.header",
                                       "garam evaluate &#39;a &lt;b&gt;&#39;",
                                       "12,345",
                                       "Trained on 2014-01-01 to 2014-09-01"};
  for (size_t i = 0; i < COUNT_OF(wanted); i++)
    if (!strstr(html, wanted[i])) fail_msg("no \"%s\" in the page", wanted[i]);
  size_t n_charts = 0;
  for (const char *at = html; (at = strstr(at, "<figure")); at++) n_charts++;
  assert_int_equal(n_charts, 5);
  mem_free(html);
  mem_free(again);
  json_decref(scores);
  json_decref(manifest);
}

/* Any field may be missing: the page is still one. */
static void test_missing_fields(void **state) {
  (void)state;
  json_t *whole = parse(scores_text);
  const char *key;
  json_t *value;
  json_object_foreach(whole, key, value) {
    json_t *less = json_copy(whole);
    json_object_del(less, key);
    char *html = report_html(less, NULL, NULL);
    check_tags(html);
    mem_free(html);
    json_decref(less);
  }
  const char *inner;
  json_object_foreach(json_object_get(whole, "detail"), inner, value) {
    json_t *less = json_deep_copy(whole);
    json_object_del(json_object_get(less, "detail"), inner);
    char *html = report_html(less, NULL, NULL);
    check_tags(html);
    mem_free(html);
    json_decref(less);
  }
  json_t *nothing = json_object();
  char *html = report_html(nothing, NULL, NULL);
  check_tags(html);
  mem_free(html);
  json_decref(nothing);
  json_decref(whole);
}

static void test_verdicts(void **state) {
  (void)state;
  static const struct {
    const char *scores;
    verdict verdict;
    const char *says;
  } cases[] = {
      {"{\"accuracy\": 0.5, \"baselines\": {\"momentum\": {\"accuracy\": 0.4}}, "
       "\"over_best_baseline\": {\"baseline\": \"momentum\", \"accuracy\": 0.1, "
       "\"interval\": [0.02, 0.18]}}",
       VERDICT_BETTER, "10.0 points more"},
      {"{\"accuracy\": 0.41, \"baselines\": {\"majority\": {\"accuracy\": 0.4}}, "
       "\"over_best_baseline\": {\"baseline\": \"majority\", \"accuracy\": 0.01, "
       "\"interval\": [-0.02, 0.04]}}",
       VERDICT_NO_EVIDENCE, "−2.0 to 4.0"},
      {"{\"accuracy\": 0.3, \"baselines\": {\"majority\": {\"accuracy\": 0.4}}, "
       "\"over_best_baseline\": {\"baseline\": \"majority\", \"accuracy\": -0.1, "
       "\"interval\": [-0.2, -0.05]}}",
       VERDICT_WORSE, "10.0 points fewer"},
      {"{\"mse\": 1.0, \"baselines\": {\"mean\": {\"mse\": 2.0}, \"no_change\": {\"mse\": 4.0}}, "
       "\"interval\": {\"mse\": [0.9, 1.1]}}",
       VERDICT_BETTER, "0.5 times that of the best baseline, mean"},
      {"{\"mse\": 1.0, \"baselines\": {\"mean\": {\"mse\": 1.05}}, "
       "\"interval\": {\"mse\": [0.9, 1.1]}}",
       VERDICT_NO_EVIDENCE, "No evidence"},
      {"{\"mse\": 1.0, \"baselines\": {\"mean\": {\"mse\": 0.5}}, "
       "\"interval\": {\"mse\": [0.9, 1.1]}}",
       VERDICT_WORSE, "2 times"},
      {"{\"accuracy\": 0.3}", VERDICT_UNKNOWN, ""},
      {"{}", VERDICT_UNKNOWN, ""},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[VERDICT_TEXT];
    json_t *scores = parse(cases[i].scores);
    assert_int_equal(report_verdict(text, scores), cases[i].verdict);
    if (!strstr(text, cases[i].says)) fail_msg("no \"%s\" in: %s", cases[i].says, text);
    json_decref(scores);
  }
}

static void test_numbers(void **state) {
  (void)state;
  char out[PAGE_NUMBER];
  assert_string_equal(page_percent(out, 0.4567, 1), "45.7 %");
  assert_string_equal(page_percent(out, -0.00001, 2), "0.00 %");
  assert_string_equal(page_percent(out, -0.5, 0), "−50 %");
  assert_string_equal(page_percent(out, (double)NAN, 0), "–");
  assert_string_equal(page_number(out, 0, 4), "0.0000");
  assert_string_equal(page_number(out, 6.05e-7, 6), "6.05e-07");
  assert_string_equal(page_number(out, -1.25, 2), "−1.25");
  assert_string_equal(page_count(out, 1234567), "1,234,567");
  assert_string_equal(page_count(out, 999), "999");
}

/* Ticks stand at round values, inside the plot, for any span. */
static void test_ticks(void **state) {
  (void)state;
  static const struct {
    axis_kind kind;
    double low, high;
  } axes[] = {
      {AXIS_NUMBER, 0, 1},           {AXIS_NUMBER, -1e-9, 3e-9},  {AXIS_NUMBER, 5, 5},
      {AXIS_NUMBER, 1e6, 3e7},       {AXIS_PERCENT, 0.31, 0.318}, {AXIS_COUNT, 1, 3},
      {AXIS_COUNT, 1, 100000},       {AXIS_TIME, 0, 3e9},         {AXIS_TIME, 0, 4e12},
      {AXIS_TIME, 1e18, 1.00003e18}, {AXIS_TIME, 1e18, 1.002e18}, {AXIS_TIME, 1e18, 1.02e18},
      {AXIS_TIME, 1e18, 1.2e18},     {AXIS_TIME, 1e17, 1.7e18},   {AXIS_NUMBER, (double)NAN, 1},
  };
  for (size_t i = 0; i < COUNT_OF(axes); i++) {
    page p = {0};
    svg s;
    axis x = {"x", axes[i].kind, axes[i].low, axes[i].high, axes[i].kind == AXIS_TIME};
    svg_begin(&s, &p, "t", true, x, (axis){"y", AXIS_NUMBER, 0, 1, true}, NULL, 0);
    svg_end(&s, NULL);
    char *text = page_take(&p);
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, "class=\"tick middle\" x=\"")); n++) {
      at += strlen("class=\"tick middle\" x=\"");
      double place = strtod(at, NULL);
      assert_true(place >= s.left - 0.1 && place <= s.right + 0.1);
    }
    if (n < 2 || n > 12) fail_msg("axis %zu: %zu ticks", i, n);
    check_tags(text);
    mem_free(text);
  }
}

/* Any allocation may fail: NULL, and nothing worse. */
static void test_without_memory(void **state) {
  (void)state;
  json_t *scores = parse(scores_text), *manifest = parse(manifest_text);
  static failing_allocator memory;
  char *html = NULL;
  size_t n_failed = 0;
  for (size_t n = 0; !html; n++) {
    assert_true(n < 10000);
    failing_allocator_restart(&memory, n);
    failing_allocator_use(&memory);
    html = report_html(scores, manifest, "x");
    failing_allocator_restart(&memory, 1);
    if (html) check_tags(html);
    else n_failed++;
    mem_free(html);
    garam_set_allocator(NULL);
  }
  assert_true(n_failed > 10);
  json_decref(scores);
  json_decref(manifest);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_page),     cmocka_unit_test(test_missing_fields),
      cmocka_unit_test(test_verdicts), cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_ticks),    cmocka_unit_test(test_without_memory),
  };
  return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
