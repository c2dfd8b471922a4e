#include "base/status.h"

#include "base/log.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail /* the one of this test is ours */

static void every_status_has_its_text(void **state) {
  (void)state;
  static const char *const names[] = {
#define X(name, text) #name,
      GARAM_STATUS_LIST(X)
#undef X
  };
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    assert_string_equal(garam_status_name((garam_status)i), names[i]);
    assert_true(strlen(garam_status_text((garam_status)i)) > 5);
    for (size_t j = 0; j < i; j++)
      assert_string_not_equal(garam_status_text((garam_status)i),
                              garam_status_text((garam_status)j));
  }
  assert_string_equal(garam_status_name((garam_status)999), "UNKNOWN");
  assert_string_equal(garam_version(), GARAM_VERSION);
}

static void messages(void **state) {
  (void)state;
  garam_error err = {0};
  assert_int_equal(fail(&err, GARAM_PARSE, "%s:%d: bad", "a.csv", 7), GARAM_PARSE);
  assert_int_equal(err.status, GARAM_PARSE);
  assert_string_equal(err.message, "a.csv:7: bad");
  assert_int_equal(fail_within(&err, GARAM_IO, "model \"%s\"", "m"), GARAM_IO);
  assert_string_equal(err.message, "model \"m\": a.csv:7: bad");
  assert_int_equal(err.status, GARAM_IO);
  assert_int_equal(fail(NULL, GARAM_LIMIT, "x"), GARAM_LIMIT);
  assert_int_equal(fail_within(NULL, GARAM_LIMIT, "x"), GARAM_LIMIT);
  assert_int_equal(fail_memory(&err, 12), GARAM_NO_MEMORY);
  assert_string_equal(err.message, "out of memory: 12 bytes were asked for");
}

/* However long the parts are, the message ends inside its buffer and begins with the context. */
static void long_messages_are_cut(void **state) {
  (void)state;
  char text[2000];
  static const size_t lengths[] = {0, 1, 500, 1018, 1019, 1020, 1021, 1022, 1023, 1024, 1999};
  for (size_t i = 0; i < COUNT_OF(lengths); i++)
    for (size_t j = 0; j < COUNT_OF(lengths); j++) {
      garam_error err;
      memset(&err, 'z', sizeof err);
      memset(text, 'a', sizeof text);
      text[lengths[i]] = 0;
      fail(&err, GARAM_IO, "%s", text);
      assert_true(strlen(err.message) <= sizeof err.message - 1);
      memset(text, 'b', sizeof text);
      text[lengths[j]] = 0;
      fail_within(&err, GARAM_IO, "%s", text);
      size_t n = strlen(err.message), context = strspn(err.message, "b");
      assert_true(n <= sizeof err.message - 1);
      assert_int_equal(context, lengths[j] < 1023 ? lengths[j] : 1023);
      if (lengths[j] + 2 + lengths[i] <= 1023) assert_int_equal(n, lengths[j] + 2 + lengths[i]);
    }
}

static void nearest_names(void **state) {
  (void)state;
  static const char *const names[] = {"learning-rate", "epochs", "batch", "sort", "x"};
  static const struct {
    const char *typed, *expected;
  } cases[] = {
      {"learning-rat", "learning-rate"},
      {"learnin-rate", "learning-rate"},
      {"epoch", "epochs"},
      {"bacth", "batch"},
      {"sorted", "sort"},
      {"completely-else", NULL},
      {"", NULL},
      {"y", NULL},
      {"xx", "x"},
      {"batch", "batch"},
      {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    const char *found = name_nearest(cases[i].typed, names, COUNT_OF(names));
    const char *expected = cases[i].expected;
    bool right = expected ? found && strcmp(found, expected) == 0 : !found;
    if (!right) print_error("\"%s\": found \"%s\"\n", cases[i].typed, found ? found : "nothing");
    assert_true(right);
  }
  assert_null(name_nearest("batch", names, 0));
}

static void misuse_aborts_with_a_sentence(void **state) {
  (void)state;
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);
    REQUIRE(1 + 1 == 3, "%d is not %d", 2, 3);
    _exit(0);
  }
  close(ends[1]);
  char text[512] = "";
  size_t used = 0;
  for (ssize_t n; (n = read(ends[0], text + used, sizeof text - 1 - used)) > 0;) used += (size_t)n;
  close(ends[0]);
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  assert_non_null(strstr(text, "garam: misuse at "));
  assert_non_null(strstr(text, ": 2 is not 3\n"));
}

static void keep_line(void *context, garam_log_level level, const char *line) {
  char *kept = context;
  kept[0] = (char)('0' + (int)level);
  strcpy(kept + 1, line);
}

static void log_lines_reach_the_host(void **state) {
  (void)state;
  char kept[64] = "";
  log_error("nobody listens");
  garam_set_log(keep_line, kept);
  log_warning("%d rows", 5);
  assert_string_equal(kept, "25 rows");
  garam_set_log(NULL, NULL);
  log_error("nobody listens again");
  assert_string_equal(kept, "25 rows");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_status_has_its_text),     cmocka_unit_test(messages),
      cmocka_unit_test(long_messages_are_cut),         cmocka_unit_test(nearest_names),
      cmocka_unit_test(misuse_aborts_with_a_sentence), cmocka_unit_test(log_lines_reach_the_host),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
