/* Runs the built command ($GARAM_COMMAND) in a folder of its own, as a user would, and keeps what
 * it printed, how it ended and which files it left. */
#ifndef TESTS_JOURNEY_H
#define TESTS_JOURNEY_H

#include "base/json.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct journey {
  char folder[64];  /* where commands run */
  char said[64];    /* where stdout and stderr go: not among the files of the folder */
  rlim_t file_size; /* of the next run: a disk that is full; 0: no limit */
  const char *to;   /* stdout of the next run, in place of a file; NULL */
  pid_t pid;
  int code; /* exit code, or 1000 + signal */
  char *out, *err;
} journey;

static inline char *journey_slurp(const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  size_t n = 0, room = 1 << 16;
  char *text = malloc(room + 1);
  for (size_t got; (got = fread(text + n, 1, room - n, f)) > 0;) {
    n += got;
    if (n == room) text = realloc(text, (room *= 2) + 1);
  }
  fclose(f);
  text[n] = 0;
  return text;
}

static inline int journey_setup(void **state) {
  journey *j = calloc(1, sizeof *j);
  strcpy(j->folder, "/tmp/garam-journey-XXXXXX");
  strcpy(j->said, "/tmp/garam-said-XXXXXX");
  assert_non_null(mkdtemp(j->folder));
  assert_non_null(mkdtemp(j->said));
  *state = j;
  return 0;
}

static inline void journey_empty(const char *folder) {
  DIR *d = opendir(folder);
  for (struct dirent *e; d && (e = readdir(d));) {
    char *path;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    if (asprintf(&path, "%s/%s", folder, e->d_name) < 0) abort();
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISDIR(info.st_mode)) journey_empty(path);
    else unlink(path);
    free(path);
  }
  if (d) closedir(d);
  rmdir(folder);
}

static inline int journey_teardown(void **state) {
  journey *j = *state;
  journey_empty(j->folder);
  journey_empty(j->said);
  free(j->out);
  free(j->err);
  free(j);
  return 0;
}

/* "garam ARGS", words apart by blanks; a word in '...' may hold blanks. Does not wait. */
static inline void journey_start(journey *j, const char *args) {
  enum { MOST = 64 };
  char words[2048], *argv[MOST + 2], out[128], err[128];
  int n = 1;
  snprintf(words, sizeof words, "%s", args);
  for (char *at = words; *at && n < MOST;) {
    at += strspn(at, " ");
    if (!*at) break;
    char end = *at == '\'' ? *at++ : ' ';
    argv[n++] = at;
    at += strcspn(at, (char[]){end, 0});
    if (*at) *at++ = 0;
  }
  argv[n] = NULL;
  const char *command = getenv("GARAM_COMMAND");
  assert_non_null(command);
  argv[0] = strdup(command);
  snprintf(out, sizeof out, "%s/out", j->said);
  snprintf(err, sizeof err, "%s/err", j->said);
  j->pid = fork();
  if (j->pid == 0) {
    if (j->file_size > 0) {
      struct rlimit limit = {j->file_size, j->file_size};
      setrlimit(RLIMIT_FSIZE, &limit);
      signal(SIGXFSZ, SIG_IGN); /* so that a write fails, as on a full disk */
    }
    int to = open(j->to ? j->to : out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int errors = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (to < 0 || errors < 0 || chdir(j->folder) != 0) _exit(99);
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(to, 1);
    dup2(errors, 2);
    execv(argv[0], argv);
    _exit(98);
  }
  free(argv[0]);
  assert_true(j->pid > 0);
}

static inline void journey_wait(journey *j) {
  int status;
  while (waitpid(j->pid, &status, 0) < 0) assert_int_equal(errno, EINTR);
  j->code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  char path[128];
  free(j->out);
  free(j->err);
  snprintf(path, sizeof path, "%s/out", j->said);
  j->out = journey_slurp(path);
  snprintf(path, sizeof path, "%s/err", j->said);
  j->err = journey_slurp(path);
  j->file_size = 0;
  j->to = NULL;
}

static inline void journey_run(journey *j, const char *args) {
  journey_start(j, args);
  journey_wait(j);
}

/* The same, and it must end well. */
static inline void journey_ok(journey *j, const char *args) {
  journey_run(j, args);
  if (j->code != 0) fail_msg("garam %s: exit %d: %s", args, j->code, j->err);
}

/* stdout of the last run as JSON. */
static inline json_t *journey_json(const journey *j) {
  json_error_t error;
  json_t *value = json_loads(j->out ? j->out : "", 0, &error);
  if (!value) fail_msg("not JSON: %s in: %.400s", error.text, j->out);
  return value;
}

static inline void journey_path(char out[256], const journey *j, const char *name) {
  snprintf(out, 256, "%s/%s", j->folder, name);
}

static inline bool journey_has(const journey *j, const char *name) {
  char path[256];
  journey_path(path, j, name);
  return access(path, F_OK) == 0;
}

static inline void journey_write(const journey *j, const char *name, const void *data,
                                 size_t size) {
  char path[256];
  journey_path(path, j, name);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, size, f), size);
  fclose(f);
}

static inline bool journey_same_files(const journey *j, const char *a, const char *b) {
  char path_a[256], path_b[256];
  journey_path(path_a, j, a);
  journey_path(path_b, j, b);
  FILE *f = fopen(path_a, "rb"), *g = fopen(path_b, "rb");
  bool same = f && g;
  for (int x = 0, y = 0; same && x != EOF;) {
    x = getc(f);
    y = getc(g);
    same = x == y;
  }
  if (f) fclose(f);
  if (g) fclose(g);
  return same;
}

static inline int journey_by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names and sizes in the folder, as one text. free(). */
static inline char *journey_files(const journey *j) {
  char *names[256], *text = calloc(1, 1 << 15);
  int n = 0;
  DIR *d = opendir(j->folder);
  for (struct dirent *e; d && (e = readdir(d)) && n < 256;)
    if (e->d_name[0] != '.') names[n++] = strdup(e->d_name);
  closedir(d);
  qsort(names, (size_t)n, sizeof *names, journey_by_name);
  for (int i = 0; i < n; i++) {
    char path[256];
    struct stat info = {0};
    journey_path(path, j, names[i]);
    stat(path, &info);
    sprintf(text + strlen(text), "%.100s %lld\n", names[i],
            S_ISDIR(info.st_mode) ? 0LL : (long long)info.st_size);
    free(names[i]);
  }
  return text;
}

/* What is refused: with this exit code, and all parts of the message, apart by '|', on stderr. */
typedef struct journey_refusal {
  const char *args;
  int code;
  const char *message;
} journey_refusal;

/* How many of them are not refused that way; says which. The folder is as it was. */
static inline int journey_refuses(journey *j, const journey_refusal *all, size_t n) {
  int n_bad = 0;
  char *before = journey_files(j);
  for (size_t i = 0; i < n; i++) {
    char parts[256], *rest = parts;
    journey_run(j, all[i].args);
    if (j->code != all[i].code) {
      print_error("garam %s: exit %d, not %d: %s\n", all[i].args, j->code, all[i].code, j->err);
      n_bad++;
    }
    snprintf(parts, sizeof parts, "%s", all[i].message);
    for (char *part; (part = strsep(&rest, "|"));)
      if (!strstr(j->err, part)) {
        print_error("garam %s: no \"%s\" in: %s\n", all[i].args, part, j->err);
        n_bad++;
      }
  }
  char *after = journey_files(j);
  assert_string_equal(before, after);
  free(before);
  free(after);
  return n_bad;
}

static inline void journey_sleep_ms(int ms) {
  nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

#endif
