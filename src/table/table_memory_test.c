/* The allocator fails at every call in turn, and reading is measured through it. */
#include "table/table.h"

#include "base/io.h"
#include "base/mem.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* An allocator that counts live blocks and bytes and fails when told to. */
typedef struct watch {
  size_t n_calls, fail_at, n_blocks, bytes, peak;
  bool fail_on; /* and every call after it */
} watch;

enum { HEADER = 16 };

static void *watched(void *context, void *ptr, size_t size) {
  watch *w = context;
  char *block = ptr ? (char *)ptr - HEADER : NULL;
  size_t old = 0;
  if (block) memcpy(&old, block, sizeof old);
  if (size == 0) {
    if (block) {
      w->n_blocks--;
      w->bytes -= old;
      free(block);
    }
    return NULL;
  }
  w->n_calls++;
  if (w->fail_at && (w->n_calls == w->fail_at || (w->fail_on && w->n_calls > w->fail_at)))
    return NULL;
  char *grown = realloc(block, size + HEADER);
  if (!grown) return NULL;
  memcpy(grown, &size, sizeof size);
  w->n_blocks += !block;
  w->bytes += size - old;
  if (w->bytes > w->peak) w->peak = w->bytes;
  return grown + HEADER;
}

static char folder[] = "/tmp/garam-memory-XXXXXX";
static char csv[64], database[80];

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(csv, sizeof csv, "%s/t.csv", folder);
  snprintf(database, sizeof database, "sqlite:%s/t.db?table=t", folder);
  FILE *f = fopen(csv, "w");
  if (!f) return -1;
  fputs("date,time,close,volume,side,late\n", f);
  for (int i = 0; i < 300; i++) {
    if (i == 100) fputc('\n', f); /* so that lines are kept */
    fprintf(f, "2026-01-%02d,09:%02d:00,%d%s,%d,\"side \"\"%d\"\"\",\n", 1 + i / 60, i % 60, i,
            i > 200 ? ".5" : "", i, i % 40);
  }
  fclose(f);
  sqlite3 *db;
  char path[80];
  snprintf(path, sizeof path, "%s/t.db", folder);
  if (sqlite3_open(path, &db) != SQLITE_OK) return -1;
  int code = sqlite3_exec(db,
                          "CREATE TABLE t (time TEXT, x REAL, name TEXT);"
                          "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
                          "WHERE i < 200) INSERT INTO t SELECT "
                          "date('2026-01-01', i || ' days'), "
                          "i * 0.5, 'name ' || (i % 30) FROM n;",
                          NULL, NULL, NULL);
  sqlite3_close(db);
  return code == SQLITE_OK ? 0 : -1;
}

static int tear_down(void **state) {
  (void)state;
  char path[80];
  snprintf(path, sizeof path, "%s/t.db", folder);
  unlink(path);
  unlink(csv);
  return rmdir(folder);
}

/* Everything that a table can go through; *work is what stays afterwards, to be freed. */
static garam_status journey(const char *data, garam_error *err) {
  table *t = NULL, *head = NULL, *repaired = NULL;
  json_t *o = NULL;
  char *text = NULL, path[96];
  size_t changed;
  garam_status status;
  table_read_config config = {.text_columns = ""};
  snprintf(path, sizeof path, "%s/copy.csv", folder);
  TRY_GOTO(done, table_open(&t, data, &config, NULL, NULL, err));
  TRY_GOTO(done, table_head(&head, t, t->n_rows / 2, err));
  TRY_GOTO(done, table_repair(&repaired, t, "sort,deduplicate", NULL, 0, &changed, err));
  TRY_GOTO(done, table_describe(&o, t, err));
  text = json_text(o);
  if (!text) {
    status = fail_memory(err, 0);
    goto done;
  }
  TRY_GOTO(done, table_write_csv(repaired, path, err));
done:
  mem_free(text);
  json_decref(o);
  table_free(repaired);
  table_free(head);
  table_free(t);
  unlink(path);
  return status;
}

static void walk(const char *data) {
  for (int persistent = 0; persistent <= 1; persistent++) {
    size_t n_failures = 0;
    for (size_t n = 1;; n++) {
      watch w = {.fail_at = n, .fail_on = persistent};
      garam_set_allocator(&(garam_allocator){watched, &w});
      garam_error err = {0};
      garam_status status = journey(data, &err);
      garam_set_allocator(NULL);
      if (w.n_blocks != 0) fail_msg("%s: failure %zu leaks %zu blocks", data, n, w.n_blocks);
      if (status == GARAM_OK) {
        if (w.n_calls >= n) fail_msg("%s: failure %zu of %zu is swallowed", data, n, w.n_calls);
        break;
      }
      n_failures++;
      if (status != GARAM_NO_MEMORY || strncmp(err.message, "out of memory", 13) != 0)
        fail_msg("%s: failure %zu: %s: %s", data, n, garam_status_name(status), err.message);
    }
    assert_true(n_failures > 100);
  }
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  walk(csv);
  walk(database);
}

/* Reading needs the columns, a buffer, and little more. */
static void reads_without_a_second_copy(void **state) {
  (void)state;
  enum { ROWS = 200000 };
  char path[80];
  snprintf(path, sizeof path, "%s/large.csv", folder);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs("timestamp,open,high,low,close,volume\n", f);
  for (int i = 0; i < ROWS; i++)
    fprintf(f, "%d,%d.%02d,%d.5,%d.25,%d.75,%d\n", 1700000000 + i * 60, 100 + i % 50, i % 100,
            100 + i % 50, 99 + i % 50, 100 + i % 49, i);
  size_t size = (size_t)ftell(f);
  fclose(f);
  watch w = {0};
  garam_set_allocator(&(garam_allocator){watched, &w});
  table *t;
  garam_error err;
  garam_status status = table_open(&t, path, NULL, NULL, NULL, &err);
  size_t columns = (size_t)ROWS * 6 * 8, after = w.bytes;
  size_t n_rows = status == GARAM_OK ? t->n_rows : 0;
  if (status == GARAM_OK) table_free(t);
  garam_set_allocator(NULL);
  unlink(path);
  assert_int_equal(n_rows, ROWS);
  assert_int_equal(w.n_blocks, 0);
  print_message("%.1f MB of text, %.1f MB of columns, peak %.1f MB, %zu allocations\n",
                (double)size / 1e6, (double)columns / 1e6, (double)w.peak / 1e6, w.n_calls);
  assert_true(after < columns + columns / 100);
  assert_true(w.peak < columns + columns * 6 / 10);
  assert_true(w.n_calls < 200);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(reads_without_a_second_copy),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
