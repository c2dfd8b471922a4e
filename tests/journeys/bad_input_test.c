/* Bad input, as users give it: each gets a message that says what was wrong and where, the right
 * exit code, and leaves the folder as it was. */
#include "tests/journeys/journey.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const char head[] = "time,open,high,low,close,volume\n";

/* Bars a minute apart; `spoil` changes line i before it is written. */
typedef struct bar {
  int minute;
  double close;
  char extra[32];
} bar;

static void write_bars(const journey *j, const char *name, int n, void (*spoil)(bar *b, int i)) {
  char path[256];
  journey_path(path, j, name);
  FILE *f = fopen(path, "w");
  fputs(head, f);
  uint32_t noise = 1;
  double close = 100;
  for (int i = 0; i < n; i++) {
    noise = noise * 1664525u + 1013904223u;
    close *= 1 + ((double)(noise >> 16) / 65536 - 0.5) * 0.002;
    bar b = {i, close, ""};
    if (spoil) spoil(&b, i);
    fprintf(f, "2024-01-%02dT%02d:%02d:00Z,%.4f,%.4f,%.4f,", 1 + b.minute / 1440,
            b.minute / 60 % 24, b.minute % 60, b.close, b.close * 1.001, b.close * 0.999);
    if (b.extra[0]) fprintf(f, "%s\n", b.extra);
    else fprintf(f, "%.4f,%d\n", b.close, 100 + i % 7);
  }
  fclose(f);
}

static void spoil_ragged(bar *b, int i) {
  if (i == 700) strcpy(b->extra, "100.5");
}
static void spoil_text(bar *b, int i) {
  if (i == 700) strcpy(b->extra, "n.a.x,5");
}
static void spoil_missing(bar *b, int i) {
  if (i == 700) strcpy(b->extra, ",5");
}
static void spoil_unsorted(bar *b, int i) {
  if (i == 700) b->minute = 3;
}
static void spoil_duplicate(bar *b, int i) {
  if (i == 700) b->minute = 699;
}
static void spoil_constant(bar *b, int i) {
  (void)i;
  strcpy(b->extra, "100,5");
  b->close = 100;
}
static void spoil_negative(bar *b, int i) {
  if (i == 700) strcpy(b->extra, "-5,5");
}

static void write_text(const journey *j, const char *name, const char *text) {
  journey_write(j, name, text, strlen(text));
}

static void write_part(const journey *j, const char *from, const char *to, double share) {
  char path[256];
  journey_path(path, j, from);
  struct stat info;
  assert_int_equal(stat(path, &info), 0);
  size_t n = (size_t)((double)info.st_size * share);
  char *data = malloc(n);
  FILE *f = fopen(path, "rb");
  assert_int_equal(fread(data, 1, n, f), n);
  fclose(f);
  journey_write(j, to, data, n);
  free(data);
}

static int setup(void **state) {
  journey_setup(state);
  journey *j = *state;
  unsigned char noise[3000];
  uint32_t r = 7;
  for (size_t i = 0; i < sizeof noise; i++) {
    r = r * 1664525u + 1013904223u;
    noise[i] = (unsigned char)(r >> 24);
  }
  journey_write(j, "binary.csv", noise, sizeof noise);
  write_text(j, "empty.csv", "");
  write_text(j, "head.csv", head);
  write_bars(j, "good.csv", 1500, NULL);
  write_bars(j, "few.csv", 12, NULL);
  write_bars(j, "ragged.csv", 1500, spoil_ragged);
  write_bars(j, "text.csv", 1500, spoil_text);
  write_bars(j, "missing.csv", 1500, spoil_missing);
  write_bars(j, "unsorted.csv", 1500, spoil_unsorted);
  write_bars(j, "duplicate.csv", 1500, spoil_duplicate);
  write_bars(j, "constant.csv", 1500, spoil_constant);
  write_bars(j, "negative.csv", 1500, spoil_negative);
  write_text(j, "noprice.csv", "a,b\n1,2\n3,4\n5,6\n");
  write_text(j, "key.json", "{\"model\": \"linear\", \"horizn\": 3}");
  write_text(j, "value.json", "{\"model\": \"linear\", \"horizon\": \"three\"}");
  write_text(j, "broken.json", "{\"model\": ");
  write_text(j, "list.json", "[1, 2]");
  journey_ok(j, "train good.csv --model linear --out model.safetensors --quiet");
  /* A model that reads a column that bars do not have. */
  journey_ok(j, "simulate --rows 1500 --seed 2 --posterior --out wide.csv --quiet");
  journey_ok(j, "train wide.csv --model linear --raw-columns --out wide.safetensors --quiet");
  write_part(j, "model.safetensors", "truncated.safetensors", 0.6);
  write_part(j, "model.safetensors", "stump.safetensors", 0.001);
  return 0;
}

/* Message parts: every one of them, apart by '|', stands in stderr. */
static const struct {
  const char *args;
  int code;
  const char *message;
} bad[] = {
    /* data */
    {"describe nothing.csv", 1, "nothing.csv|No such file"},
    {"train nothing.csv --model linear --out o.safetensors", 1, "nothing.csv"},
    {"describe empty.csv", 1, "empty.csv"},
    {"train empty.csv --model linear --out o.safetensors", 1, "empty.csv"},
    {"describe head.csv", 1, "head.csv"},
    {"describe binary.csv", 1, "binary.csv"},
    {"train binary.csv --model linear --out o.safetensors", 1, "binary.csv"},
    {"describe ragged.csv", 1, "ragged.csv:702"},
    {"train ragged.csv --model linear --out o.safetensors", 1, "ragged.csv:702"},
    {"train text.csv --model linear --out o.safetensors", 1, "text.csv|close"},
    {"train missing.csv --model linear --out o.safetensors", 1, "missing.csv:702|close"},
    {"train negative.csv --model linear --out o.safetensors", 1, "negative.csv:702"},
    {"train unsorted.csv --model linear --out o.safetensors", 1, "unsorted.csv:702|--repair"},
    {"train duplicate.csv --model linear --out o.safetensors", 1, "duplicate.csv:702|--repair"},
    {"train few.csv --model linear --out o.safetensors", 1, "few.csv|rows"},
    {"train constant.csv --model linear --out o.safetensors", 1, "constant.csv"},
    {"train noprice.csv --model linear --out o.safetensors", 1, "noprice.csv|--price"},
    {"train good.csv --model linear --horizon 5000 --out o.safetensors", 1, "5000"},
    {"train good.csv --model linear --target nothing --out o.safetensors", 1, "nothing"},
    {"describe sqlite:nothing.db?table=t", 1, "nothing.db"},
    /* usage */
    {"", 2, "Usage"},
    {"trane good.csv", 2, "unknown command \"trane\"|did you mean \"train\""},
    {"train good.csv --horizn 3", 2, "--horizn|did you mean --horizon"},
    {"train good.csv --model linear --horizon three", 2, "--horizon|integer|three"},
    {"train good.csv --model linear --horizon 0", 2, "--horizon|outside"},
    {"train good.csv --model linear --label barier", 2, "--label|barrier"},
    {"train good.csv --model transformr --out o.safetensors", 2, "transformr|did you mean"},
    {"train good.csv --model linear --preset huge", 2, "--preset"},
    {"train good.csv other.csv --model linear", 2, "other.csv"},
    {"train --model linear", 2, "operand"},
    {"train good.csv -o x", 2, "-o|two dashes"},
    {"train good.csv --model linear --horizon", 2, "--horizon|needs a value"},
    {"evaluate model.safetensors", 2, "operand"},
    {"simulate --rows 1000 --json", 2, "--out"},
    {"options transformr", 2, "transformr|did you mean"},
    {"bench stop", 2, "stop|did you mean \"step\""},
    {"train good.csv --config key.json --out o.safetensors", 2,
     "key.json|unknown option \"horizn\"|did you mean \"horizon\""},
    {"train good.csv --config value.json --out o.safetensors", 2, "value.json|horizon|integer"},
    {"train good.csv --config broken.json --out o.safetensors", 1, "broken.json:1"},
    {"train good.csv --config list.json --out o.safetensors", 2, "list.json|object"},
    {"train good.csv --config nothing.json --out o.safetensors", 1, "nothing.json"},
    /* packages */
    {"evaluate nothing.safetensors good.csv", 1, "nothing.safetensors"},
    {"evaluate good.csv good.csv", 1, "good.csv"},
    {"evaluate truncated.safetensors good.csv", 1, "truncated.safetensors"},
    {"predict truncated.safetensors good.csv", 1, "truncated.safetensors"},
    {"predict stump.safetensors good.csv", 1, "stump.safetensors"},
    {"serve truncated.safetensors --port 0", 1, "truncated.safetensors"},
    {"predict model.safetensors noprice.csv", 1, "noprice.csv"},
    {"predict wide.safetensors good.csv", 1, "p_down"},
    {"evaluate wide.safetensors good.csv", 1, "p_down"},
    {"predict model.safetensors few.csv --out p.csv", 1, "few.csv|12 rows"},
    /* places that cannot be written */
    {"simulate --rows 1000 --out nowhere/m.csv", 1, "nowhere"},
    {"train good.csv --model linear --out nowhere/o.safetensors", 1, "nowhere"},
    {"predict model.safetensors good.csv --out nowhere/p.csv", 1, "nowhere"},
    {"evaluate model.safetensors good.csv --report nowhere/r.html", 1, "nowhere"},
    {"train good.csv --model linear --out /proc/o.safetensors", 1, "/proc"},
    {"simulate --rows 1000 --out .", 1, "folder"},
};

/* The whole table is walked: what does not fit is printed and counted. */
static int n_bad;

static void complain(const char *args, const char *what, const char *text) {
  print_error("garam %s: %s: %s\n", args, what, text);
  n_bad++;
}

static void check(journey *j, const char *args, int code, const char *message) {
  char part[128], what[160];
  if (j->code != code) {
    snprintf(what, sizeof what, "exit %d, not %d; it said", j->code, code);
    complain(args, what, j->err);
  }
  for (const char *at = message; *at;) {
    size_t n = strcspn(at, "|");
    snprintf(part, sizeof part, "%.*s", (int)n, at);
    snprintf(what, sizeof what, "no \"%s\" in", part);
    if (!strstr(j->err, part)) complain(args, what, j->err);
    at += n + (at[n] == '|');
  }
}

/* Nothing half-written: the same names and sizes as before. */
static void check_files(const journey *j, const char *args, const char *before) {
  char *after = journey_files(j);
  if (strcmp(before, after) != 0) complain(args, "left behind", after);
  free(after);
}

static void test_table(void **state) {
  journey *j = *state;
  char *before = journey_files(j);
  n_bad = 0;
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    journey_run(j, bad[i].args);
    check(j, bad[i].args, bad[i].code, bad[i].message);
    if (j->out[0]) complain(bad[i].args, "on stdout", j->out);
    check_files(j, bad[i].args, before);
  }
  free(before);
  assert_int_equal(n_bad, 0);
}

/* A disk that fills up: the write fails, the old file stays, no temporary file does. */
static void test_full_disk(void **state) {
  static const char *const all[] = {
      "simulate --rows 5000 --out old",
      "train good.csv --model linear --out old",
      "predict model.safetensors good.csv --out old",
      "evaluate model.safetensors good.csv --report old",
  };
  journey *j = *state;
  write_text(j, "old", "what was there");
  char *before = journey_files(j);
  n_bad = 0;
  for (size_t i = 0; i < COUNT_OF(all); i++) {
    j->file_size = 2048;
    journey_run(j, all[i]);
    check(j, all[i], 1, "old");
    check_files(j, all[i], before);
  }
  free(before);
  static const char *const to_stdout[] = {"simulate --rows 5000",
                                          "describe good.csv",
                                          "describe good.csv --json",
                                          "predict model.safetensors good.csv",
                                          "options transformer",
                                          "version",
                                          "--help"};
  for (size_t i = 0; i < COUNT_OF(to_stdout); i++) {
    j->to = "/dev/full";
    journey_run(j, to_stdout[i]);
    check(j, to_stdout[i], 1, "cannot write");
  }
  assert_int_equal(n_bad, 0);
}

static void test_port_in_use(void **state) {
  journey *j = *state;
  int taken = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  assert_int_equal(bind(taken, (struct sockaddr *)&address, size), 0);
  assert_int_equal(listen(taken, 1), 0);
  assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &size), 0);
  char args[128];
  snprintf(args, sizeof args, "serve model.safetensors --address 127.0.0.1 --port %d",
           ntohs(address.sin_port));
  journey_run(j, args);
  n_bad = 0;
  check(j, args, 1, "in use");
  assert_int_equal(n_bad, 0);
  close(taken);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_full_disk),
      cmocka_unit_test(test_port_in_use),
  };
  return cmocka_run_group_tests_name("bad input", tests, setup, journey_teardown);
}
