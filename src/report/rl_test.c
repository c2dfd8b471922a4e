/* The pages of reinforcement learning: what is there is drawn, what is not is left out, text is
 * escaped, and the same JSON gives the same bytes. */
#include "report/rl.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char result_text[] =
    "{\"env\": \"<b>world</b>\", \"agent\": \"td3\", \"steps\": 20000, \"seeds\": 2, \"worlds\": "
    "1, "
    "\"episodes\": 10, \"returns\": [-150.5, -161.25], \"iqm\": -155.9, \"ci_low\": -161.25, "
    "\"ci_high\": -150.5, \"last\": {\"returns\": [-151, -190], \"iqm\": -170, \"ci_low\": -190, "
    "\"ci_high\": -151}, \"best\": {\"seed\": 0, \"steps\": 18000, \"mean\": -149, \"low\": -160}, "
    "\"curve\": {\"steps\": [10000, 20000], \"iqm\": [-800, -160], \"low\": [-900, -170], "
    "\"high\": [-700, null], \"seeds\": [[-700, -150], [-900, -170]]}, \"steps_per_second\": 5000, "
    "\"record\": {\"agent\": {\"name\": \"td3\", \"options\": {\"tau\": 0.005}}}, \"metrics\": {}}";

static const char play_text[] =
    "{\"env\": \"w\", \"agent\": \"td3\", \"episode\": 3, \"steps\": 2, \"agents\": [\"a\", "
    "\"b\"], "
    "\"return\": [1.5, -2], \"frames\": [{\"step\": 0, \"svg\": \"<circle r='3'/>\"}], "
    "\"trajectory\": [{\"step\": 0, \"action\": [[0.5], [1]], \"reward\": [1, 0], "
    "\"info\": {\"wealth & cash\": 100}}, {\"step\": 1, \"action\": [[-0.5], [0]], "
    "\"reward\": [0.5, -2], \"info\": {\"wealth & cash\": 99}}]}";

static const char compare_text[] =
    "{\"players\": [{\"name\": \"td3\", \"env\": \"w\", \"seeds\": 2, \"iqm\": 1, \"ci_low\": 0, "
    "\"ci_high\": 2, \"mean\": 1}], \"improvement\": [{\"x\": \"td3\", \"y\": \"<i>\", \"env\": "
    "\"w\", "
    "\"probability\": 0.75, \"low\": 0.5, \"high\": 1}], \"profiles\": {\"unit\": \"return\", "
    "\"tau\": [0, 1, 2], \"players\": [{\"name\": \"td3\", \"share\": [1, 0.5, 0], \"low\": [1, 0, "
    "0], "
    "\"high\": [1, 1, 0]}]}, \"cross_play\": {\"players\": [\"p\", \"q\"], \"score\": [[1, 2], [3, "
    "4]], "
    "\"elo\": [1510, 1490]}}";

static json_t *parse(const char *text) {
  json_error_t error;
  json_t *o = json_loads(text, 0, &error);
  if (!o) fail_msg("%s", error.text);
  return o;
}

static void expect(const char *html, const char *const *parts, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!strstr(html, parts[i])) fail_msg("no %s", parts[i]);
}

static void test_experiment(void **state) {
  (void)state;
  static const char *const parts[] = {"td3 in &lt;b&gt;world&lt;/b&gt;",
                                      "Learning</b>",
                                      "Every seed</b>",
                                      "class=\"band s1\"",
                                      "garam rl train &lt;x&gt;",
                                      "Agent and its options",
                                      "0.005",
                                      "<circle r='3'/>",
                                      "wealth &amp; cash",
                                      "Return so far</b>",
                                      "</html>"};
  json_t *result = parse(result_text), *play = parse(play_text);
  char *html = report_rl_html(result, play, "garam rl train <x>");
  char *again = report_rl_html(result, play, "garam rl train <x>");
  expect(html, parts, COUNT_OF(parts));
  assert_string_equal(html, again);
  assert_null(strstr(html, "<b>world"));
  assert_null(strstr(html, "nan"));
  mem_free(again);
  mem_free(html);
  html = report_rl_html(NULL, play, NULL); /* an episode alone */
  assert_non_null(strstr(html, "td3 in w"));
  assert_null(strstr(html, "Learning</b>"));
  mem_free(html);
  json_object_del(play, "frames");
  json_object_del(result, "curve");
  html = report_rl_html(result, play, NULL);
  assert_null(strstr(html, "class=\"frames\""));
  assert_null(strstr(html, "Learning</b>"));
  mem_free(html);
  json_decref(result);
  json_decref(play);
}

static void test_comparison(void **state) {
  (void)state;
  static const char *const parts[] = {"Performance profiles</b>", "75.0 %", "&lt;i&gt;",
                                      "Against each other", "</html>"};
  char path[] = "/tmp/garam-compare-XXXXXX", *html = NULL;
  const int file = mkstemp(path);
  size_t n = 0;
  garam_error err = {0};
  json_t *compare = parse(compare_text);
  assert_true(file >= 0);
  if (report_compare_write(path, compare, NULL, &err) != GARAM_OK) fail_msg("%s", err.message);
  FILE *f = fopen(path, "r");
  assert_true(getdelim(&html, &n, 0, f) > 0);
  fclose(f);
  close(file);
  unlink(path);
  expect(html, parts, COUNT_OF(parts));
  free(html);
  json_decref(compare);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_experiment),
      cmocka_unit_test(test_comparison),
  };
  return cmocka_run_group_tests_name("report.rl", tests, NULL, NULL);
}
