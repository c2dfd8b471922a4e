#include "base/io.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

static char folder[] = "/tmp/garam-io-XXXXXX";
static char path[64];

static int set_up(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  snprintf(path, sizeof path, "%s/file", folder);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  unlink(path);
  return rmdir(folder);
}

static size_t count_files(void) {
  DIR *d = opendir(folder);
  size_t n = 0;
  for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

static void put(const void *data, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(data, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void expect_file(const char *text) {
  char *data;
  size_t n;
  garam_error err;
  assert_int_equal(io_read_file(&data, &n, path, 1 << 20, &err), GARAM_OK);
  assert_int_equal(n, strlen(text));
  assert_memory_equal(data, text, n + 1); /* and a NUL behind it */
  mem_free(data);
}

static void reads_whole_files(void **state) {
  (void)state;
  char *data;
  size_t n;
  garam_error err;
  char message[256];
  put("abc", 3);
  expect_file("abc");
  put("", 0);
  expect_file("");
  put("abcd", 4);
  assert_int_equal(io_read_file(&data, &n, path, 4, &err), GARAM_OK);
  mem_free(data);
  assert_int_equal(io_read_file(&data, &n, path, 3, &err), GARAM_LIMIT);
  assert_null(data);
  snprintf(message, sizeof message, "%s: 4 bytes; at most 3 are read", path);
  assert_string_equal(err.message, message);
  assert_int_equal(io_read_file(&data, &n, folder, 9, &err), GARAM_IO);
  snprintf(message, sizeof message, "%s: is a folder", folder);
  assert_string_equal(err.message, message);
  assert_int_equal(io_read_file(&data, &n, "/no/such", 9, &err), GARAM_NOT_FOUND);
  assert_string_equal(err.message, "/no/such: cannot open: No such file or directory");
  /* A file whose size is not known beforehand. */
  assert_int_equal(io_read_file(&data, &n, "/proc/self/maps", 1 << 24, &err), GARAM_OK);
  assert_true(n > 100);
  mem_free(data);
  assert_int_equal(io_read_file(&data, &n, "/proc/self/maps", 100, &err), GARAM_LIMIT);
  assert_true(io_exists(path) && io_exists(folder) && !io_exists("/no/such"));
}

/* ---- streams ------------------------------------------------------------------------------- */

enum { TEXT = 300000 };

/* Text that packs, but not to nothing. */
static char *make_text(void) {
  char *text = malloc(TEXT);
  uint32_t x = 1;
  for (int i = 0; i < TEXT; i++) {
    x = x * 1664525 + 1013904223;
    text[i] = (char)('a' + (x >> 24) % 20);
  }
  return text;
}

static size_t pack(uint8_t *out, size_t capacity, int kind, const char *text, size_t n) {
  if (kind == 0) {
    memcpy(out, text, n);
    return n;
  }
  if (kind == 2) return ZSTD_compress(out, capacity, text, n, 3);
  char *copy = malloc(n ? n : 1);
  memcpy(copy, text, n);
  z_stream z = {
      .next_in = (Bytef *)copy, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)capacity};
  assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  deflateEnd(&z);
  free(copy);
  return z.total_out;
}

/* Reads the stream in pieces; how much came, and that it is the beginning of `text`. */
static garam_status drain(const char *text, size_t piece, size_t *n, garam_error *err) {
  io_stream *s;
  *n = 0;
  TRY(io_stream_open(&s, path, err));
  char *buffer = malloc(piece);
  garam_status status = GARAM_OK;
  uint64_t consumed = 0;
  for (;;) {
    size_t got;
    status = io_stream_read(s, buffer, piece, &got, err);
    if (status != GARAM_OK || got == 0) {
      consumed = io_stream_consumed(s);
      break;
    }
    assert_true(got <= piece);
    assert_memory_equal(buffer, text + *n, got);
    *n += got;
    assert_true(io_stream_consumed(s) >= consumed && io_stream_consumed(s) <= io_stream_total(s));
    consumed = io_stream_consumed(s);
  }
  if (status == GARAM_OK) assert_true(consumed == io_stream_total(s));
  assert_string_equal(io_stream_name(s), path);
  free(buffer);
  io_stream_close(s);
  return status;
}

static void streams_unpack_by_content(void **state) {
  (void)state;
  char *text = make_text();
  size_t capacity = TEXT * 2;
  uint8_t *packed = malloc(capacity);
  static const size_t sizes[] = {0, 1, 3, 4, 5, 65535, 65536, 65537, TEXT};
  static const size_t pieces[] = {1, 1000, 65536, 1 << 20};
  for (int kind = 0; kind < 3; kind++)
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
      for (size_t k = 0; k < COUNT_OF(pieces); k++) {
        size_t got;
        garam_error err;
        if (pieces[k] == 1 && sizes[i] > 5) continue;
        put(packed, pack(packed, capacity, kind, text, sizes[i]));
        if (drain(text, pieces[k], &got, &err) != GARAM_OK) fail_msg("%s", err.message);
        assert_int_equal(got, sizes[i]);
      }
  free(packed);
  free(text);
}

static void members_follow_each_other(void **state) {
  (void)state;
  char *text = make_text();
  uint8_t *packed = malloc(TEXT * 2);
  static const size_t cuts[] = {0, 1, 70000, 70001, 200000, TEXT};
  for (int kind = 1; kind < 3; kind++) {
    size_t n = 0, got;
    garam_error err;
    for (size_t i = 1; i < COUNT_OF(cuts); i++)
      n += pack(packed + n, TEXT * 2 - n, kind, text + cuts[i - 1], cuts[i] - cuts[i - 1]);
    put(packed, n);
    if (drain(text, 5000, &got, &err) != GARAM_OK) fail_msg("%s", err.message);
    assert_int_equal(got, TEXT);
  }
  free(packed);
  free(text);
}

static void truncated_streams_are_errors(void **state) {
  (void)state;
  char *text = make_text();
  uint8_t *packed = malloc(TEXT * 2);
  for (int kind = 1; kind < 3; kind++) {
    size_t n = pack(packed, TEXT * 2, kind, text, 100000), got;
    garam_error err;
    /* Down to the bytes by which the format is known. */
    for (size_t cut = kind == 1 ? 2 : 4; cut < n; cut += cut < 40 || cut > n - 40 ? 1 : 997) {
      put(packed, cut);
      garam_status status = drain(text, 4096, &got, &err);
      if (status != GARAM_CORRUPT || !strstr(err.message, "ends too early"))
        fail_msg("%s cut to %zu of %zu: %s", kind == 1 ? "gzip" : "zstd", cut, n,
                 status == GARAM_OK ? "accepted" : err.message);
      assert_true(got <= 100000);
    }
    memset(packed + n, 'x', 10); /* something else behind it */
    put(packed, n + 10);
    assert_int_equal(drain(text, 4096, &got, &err), GARAM_CORRUPT);
    assert_non_null(strstr(err.message, "damaged"));
  }
  /* A flipped byte is found by the checksum at the latest (gzip has one). */
  size_t n = pack(packed, TEXT * 2, 1, text, 100000);
  packed[n - 6] ^= 1;
  put(packed, n);
  size_t got;
  garam_error err;
  assert_int_equal(drain(text, 4096, &got, &err), GARAM_CORRUPT);
  assert_non_null(strstr(err.message, "damaged gzip data"));
  free(packed);
  free(text);
}

static void standard_input_is_a_stream(void **state) {
  (void)state;
  int ends[2], kept = dup(STDIN_FILENO);
  assert_int_equal(pipe(ends), 0);
  dup2(ends[0], STDIN_FILENO);
  close(ends[0]);
  uint8_t packed[256];
  size_t n = pack(packed, sizeof packed, 1, "from a pipe", 11);
  pid_t child = fork();
  if (child == 0) { /* byte by byte, as a slow network would */
    for (size_t i = 0; i < n; i++) {
      if (write(ends[1], packed + i, 1) != 1) _exit(1);
      usleep(200);
    }
    _exit(0);
  }
  close(ends[1]);
  io_stream *s;
  garam_error err;
  char text[64];
  size_t got, used = 0;
  assert_int_equal(io_stream_open(&s, "-", &err), GARAM_OK);
  assert_string_equal(io_stream_name(s), "standard input");
  assert_int_equal(io_stream_total(s), 0);
  do {
    assert_int_equal(io_stream_read(s, text + used, sizeof text - used, &got, &err), GARAM_OK);
    used += got;
  } while (got);
  io_stream_close(s);
  assert_int_equal(used, 11);
  assert_memory_equal(text, "from a pipe", 11);
  waitpid(child, NULL, 0);
  dup2(kept, STDIN_FILENO);
  close(kept);
}

static void maps(void **state) {
  (void)state;
  io_map map;
  garam_error err;
  put("mapped", 6);
  assert_int_equal(io_map_open(&map, path, &err), GARAM_OK);
  assert_int_equal(map.size, 6);
  assert_memory_equal(map.data, "mapped", 6);
  io_map_close(&map);
  assert_null(map.data);
  io_map_close(&map);
  put("", 0);
  assert_int_equal(io_map_open(&map, path, &err), GARAM_CORRUPT);
  assert_non_null(strstr(err.message, ": the file is empty"));
  assert_int_equal(io_map_open(&map, "/no/such", &err), GARAM_NOT_FOUND);
  assert_int_equal(io_map_open(&map, folder, &err), GARAM_IO);
}

/* ---- durable writes ------------------------------------------------------------------------- */

static void writes_appear_at_once(void **state) {
  (void)state;
  io_writer *w;
  garam_error err;
  put("old", 3);
  assert_int_equal(io_writer_open(&w, path, &err), GARAM_OK);
  assert_int_equal(io_write(w, "new ", 4, &err), GARAM_OK);
  assert_int_equal(io_printf(w, &err, "%d", 42), GARAM_OK);
  expect_file("old");
  assert_int_equal(count_files(), 2); /* the temporary one stands beside it */
  assert_int_equal(io_writer_commit(w, &err), GARAM_OK);
  expect_file("new 42");
  assert_int_equal(count_files(), 1);

  assert_int_equal(io_writer_open(&w, path, &err), GARAM_OK);
  assert_int_equal(io_write(w, "half", 4, &err), GARAM_OK);
  io_writer_abort(w);
  io_writer_abort(NULL);
  expect_file("new 42");
  assert_int_equal(count_files(), 1);

  /* Two writers of one path do not write into each other; the last commit stays. */
  io_writer *other;
  assert_int_equal(io_writer_open(&w, path, &err), GARAM_OK);
  assert_int_equal(io_writer_open(&other, path, &err), GARAM_OK);
  assert_int_equal(io_write(w, "first", 5, &err), GARAM_OK);
  assert_int_equal(io_write(other, "second", 6, &err), GARAM_OK);
  assert_int_equal(io_writer_commit(other, &err), GARAM_OK);
  assert_int_equal(io_writer_commit(w, &err), GARAM_OK);
  expect_file("first");
}

static void sizes_around_the_buffer(void **state) {
  (void)state;
  char *text = make_text();
  static const size_t sizes[] = {0, 1, 65535, 65536, 65537, TEXT};
  for (size_t i = 0; i < COUNT_OF(sizes); i++)
    for (size_t first = 0; first < 3; first++) {
      io_writer *w;
      garam_error err;
      char *back;
      size_t n, begin = sizes[i] < first ? 0 : first;
      assert_int_equal(io_writer_open(&w, path, &err), GARAM_OK);
      assert_int_equal(io_write(w, text, begin, &err), GARAM_OK);
      assert_int_equal(io_write(w, text + begin, sizes[i] - begin, &err), GARAM_OK);
      assert_int_equal(io_writer_commit(w, &err), GARAM_OK);
      assert_int_equal(io_read_file(&back, &n, path, TEXT, &err), GARAM_OK);
      assert_int_equal(n, sizes[i]);
      assert_memory_equal(back, text, n);
      mem_free(back);
    }
  /* A line longer than the small buffer of io_printf. */
  io_writer *w;
  garam_error err;
  text[5000] = 0;
  assert_int_equal(io_writer_open(&w, path, &err), GARAM_OK);
  assert_int_equal(io_printf(w, &err, "<%s>", text), GARAM_OK);
  assert_int_equal(io_writer_commit(w, &err), GARAM_OK);
  char *line = malloc(5003);
  snprintf(line, 5003, "<%s>", text);
  expect_file(line);
  free(line);
  free(text);
}

/* Runs in a child, where no file may grow beyond `limit` bytes: as on a full disk. */
static void on_a_full_disk(rlim_t limit, void (*run)(void)) {
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN); /* write() then fails with EFBIG */
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit}) != 0) _exit(2);
    run();
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("the child says %d", status);
}

static void write_too_much(void) {
  static char block[1000];
  garam_error err;
  char message[128];
  io_writer *w;
  snprintf(message, sizeof message, "%s: cannot write: File too large", path);
  /* Found while writing. */
  if (io_writer_open(&w, path, &err) != GARAM_OK) _exit(10);
  garam_status status = GARAM_OK;
  for (int i = 0; i < 1000 && status == GARAM_OK; i++) status = io_write(w, block, 1000, &err);
  if (status != GARAM_IO || strcmp(err.message, message) != 0) _exit(11);
  io_writer_abort(w);
  /* Found only at the end. */
  if (io_writer_open(&w, path, &err) != GARAM_OK) _exit(12);
  for (int i = 0; i < 20; i++)
    if (io_write(w, block, 1000, &err) != GARAM_OK) _exit(13);
  if (io_writer_commit(w, &err) != GARAM_IO || strcmp(err.message, message) != 0) _exit(14);
  static char all[200000];
  if (io_write_file(path, all, sizeof all, &err) != GARAM_IO) _exit(15);
  if (io_write_file(path, all, 10000, &err) != GARAM_OK) _exit(16); /* what fits is written */
  if (io_write_file(path, "kept", 4, &err) != GARAM_OK) _exit(17);
  if (io_write_file(path, all, sizeof all, &err) != GARAM_IO) _exit(18);
}

static void a_full_disk_leaves_the_old_file(void **state) {
  (void)state;
  garam_error err;
  put("old", 3);
  on_a_full_disk(10000, write_too_much);
  expect_file("kept");
  assert_int_equal(count_files(), 1);
  /* The device that is always full; it is written to, not replaced. */
  struct stat info;
  assert_int_equal(io_write_file("/dev/full", "x", 1, &err), GARAM_IO);
  assert_string_equal(err.message, "/dev/full: cannot write: No space left on device");
  assert_int_equal(io_write_file("/dev/null", "x", 1, &err), GARAM_OK);
  assert_int_equal(stat("/dev/null", &info), 0);
  assert_true(S_ISCHR(info.st_mode));
}

static void places_that_cannot_be_written(void **state) {
  (void)state;
  io_writer *w;
  garam_error err;
  char text[128];
  assert_int_equal(io_writer_open(&w, folder, &err), GARAM_IO);
  assert_null(w);
  snprintf(text, sizeof text, "%s: is a folder", folder);
  assert_string_equal(err.message, text);
  assert_int_equal(io_writer_open(&w, "/no/such/file", &err), GARAM_NOT_FOUND);
  assert_string_equal(err.message, "/no/such/file: cannot write: No such file or directory");
  /* The folder goes away under the writer: the failure is told, nothing is left. */
  char gone[80], file[96];
  snprintf(gone, sizeof gone, "%s/gone", folder);
  snprintf(file, sizeof file, "%s/f", gone);
  assert_int_equal(io_make_folder(gone, &err), GARAM_OK);
  assert_int_equal(io_writer_open(&w, file, &err), GARAM_OK);
  char moved[80];
  snprintf(moved, sizeof moved, "%s/moved", folder);
  assert_int_equal(rename(gone, moved), 0);
  assert_int_equal(io_writer_commit(w, &err), GARAM_NOT_FOUND);
  assert_non_null(strstr(err.message, "cannot rename the temporary file"));
  char command[160];
  snprintf(command, sizeof command, "rm -r '%s'", moved);
  assert_int_equal(system(command), 0);
}

static void folders(void **state) {
  (void)state;
  char text[128];
  garam_error err;
  snprintf(text, sizeof text, "%s/a/b//c/", folder);
  assert_int_equal(io_make_folder(text, &err), GARAM_OK);
  assert_int_equal(io_make_folder(text, &err), GARAM_OK);
  assert_true(io_exists(text));
  put("x", 1);
  assert_int_equal(io_make_folder(path, &err), GARAM_IO); /* a file of that name */
  assert_non_null(strstr(err.message, ": is not a folder"));
  snprintf(text, sizeof text, "%s/below", path);
  assert_int_equal(io_make_folder(text, &err), GARAM_IO);
  assert_int_equal(io_make_folder("", &err), GARAM_INVALID);
  assert_int_equal(io_make_folder("/", &err), GARAM_OK);
  assert_int_equal(io_check_writable(text, &err), GARAM_IO); /* in what is no folder */
  assert_int_equal(io_check_writable(folder, &err), GARAM_IO);
  assert_int_equal(io_check_writable(path, &err), GARAM_OK);
  assert_int_equal(io_check_writable("/no/such/file", &err), GARAM_IO);
  assert_string_equal(err.message, "/no/such/file: cannot write there: No such file or directory");
  assert_int_equal(io_check_writable("beside", &err), GARAM_OK);
  static const char *const made[] = {"a/b/c", "a/b", "a"};
  for (size_t i = 0; i < COUNT_OF(made); i++) {
    snprintf(text, sizeof text, "%s/%s", folder, made[i]);
    assert_int_equal(rmdir(text), 0);
  }
}

/* ---- digests --------------------------------------------------------------------------------- */

static void digests(void **state) {
  (void)state;
  static const struct {
    const char *text, *digest; /* FIPS 180-4 examples */
  } cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
  };
  char out[IO_SHA256_TEXT];
  garam_error err;
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    io_sha256(out, cases[i].text, strlen(cases[i].text));
    assert_string_equal(out, cases[i].digest);
    put(cases[i].text, strlen(cases[i].text));
    assert_int_equal(io_sha256_file(out, path, &err), GARAM_OK);
    assert_string_equal(out, cases[i].digest);
  }
  char *million = malloc(1000000);
  memset(million, 'a', 1000000);
  put(million, 1000000);
  free(million);
  assert_int_equal(io_sha256_file(out, path, &err), GARAM_OK);
  assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  assert_int_equal(io_sha256_file(out, "/no/such", &err), GARAM_NOT_FOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_whole_files),
      cmocka_unit_test(streams_unpack_by_content),
      cmocka_unit_test(members_follow_each_other),
      cmocka_unit_test(truncated_streams_are_errors),
      cmocka_unit_test(standard_input_is_a_stream),
      cmocka_unit_test(maps),
      cmocka_unit_test(writes_appear_at_once),
      cmocka_unit_test(sizes_around_the_buffer),
      cmocka_unit_test(a_full_disk_leaves_the_old_file),
      cmocka_unit_test(places_that_cannot_be_written),
      cmocka_unit_test(folders),
      cmocka_unit_test(digests),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
