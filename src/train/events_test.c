/* Event files: the published checksum vector, and a file read back record by record. */
#include "train/events.h"

#include "base/io.h"
#include "base/mem.h"
#include "train/curve.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void checksum_vector(void **state) {
  (void)state;
  assert_int_equal(events_masked_crc("\x1a\x11"
                                     "CRC test, one two",
                                     19),
                   0x5794d08a);
}

static void records_are_framed(void **state) {
  (void)state;
  uint8_t out[16 + 19];
  assert_int_equal(events_record(out,
                                 "\x1a\x11"
                                 "CRC test, one two",
                                 19),
                   sizeof out);
  static const uint8_t length[8] = {19};
  assert_memory_equal(out, length, 8);
  uint32_t crc;
  memcpy(&crc, out + 8 + 4 + 19, 4);
  assert_int_equal(crc, 0x5794d08a);
  memcpy(&crc, out + 8, 4);
  assert_int_equal(crc, events_masked_crc(length, 8));
}

static char *only_file(const char *folder, const char *part) {
  DIR *d = opendir(folder);
  char *found = NULL;
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    if (strstr(e->d_name, part)) {
      assert_null(found);
      found = mem_format("%s/%s", folder, e->d_name);
    }
  closedir(d);
  assert_non_null(found);
  return found;
}

/* Walks the protobuf of one event by hand. */
typedef struct event {
  double time;
  uint64_t step;
  char text[64]; /* version or tag */
  float value;
} event;

static uint64_t varint(const uint8_t **at) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    uint8_t byte = *(*at)++;
    value |= (uint64_t)(byte & 127) << shift;
    if (!(byte & 128)) return value;
  }
}

static void walk(event *e, const uint8_t *at, const uint8_t *end, int depth) {
  while (at < end) {
    uint64_t key = varint(&at), field = key >> 3;
    switch (key & 7) {
    case 0: e->step = varint(&at); break;
    case 1:
      memcpy(&e->time, at, 8);
      at += 8;
      break;
    case 5:
      memcpy(&e->value, at, 4);
      at += 4;
      break;
    case 2: {
      uint64_t n = varint(&at);
      if ((depth == 0 && field == 5) || (depth == 1 && field == 1)) {
        walk(e, at, at + n, depth + 1);
      } else {
        assert_true(n < sizeof e->text);
        memcpy(e->text, at, n);
        e->text[n] = 0;
      }
      at += n;
      break;
    }
    default: fail();
    }
  }
  assert_ptr_equal(at, end);
}

static void a_file_reads_back(void **state) {
  (void)state;
  char folder[] = "/tmp/garam_events_XXXXXX";
  assert_non_null(mkdtemp(folder));
  garam_error err;
  events *e;
  assert_int_equal(events_open(&e, folder, &err), GARAM_OK);
  curve c = {0};
  assert_int_equal(curve_reserve(&c, 2, &err), GARAM_OK);
  curve_add(&c, &(fit_epoch){.train_loss = 1.5,
                             .valid_loss = NAN,
                             .train_accuracy = 0.25,
                             .valid_accuracy = NAN,
                             .learning_rate = 1e-3,
                             .seconds = 2});
  assert_int_equal(curve_write_events(&c, e, &err), GARAM_OK);
  assert_int_equal(events_scalar(e, "far", UINT64_C(1) << 40, -2.0, &err), GARAM_OK);
  assert_int_equal(curve_write(&c, folder, &err), GARAM_OK);
  assert_int_equal(events_close(e, &err), GARAM_OK);

  static const event expected[] = {
      {0, 0, "brain.Event:2", 0},     {0, 1, "train/loss", 1.5f}, {0, 1, "train/accuracy", 0.25f},
      {0, 1, "learning_rate", 1e-3f}, {0, 1, "seconds", 2},       {0, UINT64_C(1) << 40, "far", -2},
  };
  char *path = only_file(folder, "tfevents"), *data;
  size_t size, at = 0;
  assert_int_equal(io_read_file(&data, &size, path, 1 << 20, &err), GARAM_OK);
  for (size_t i = 0; i < COUNT_OF(expected); i++) {
    uint64_t n;
    uint32_t crc;
    assert_true(at + 16 < size);
    memcpy(&n, data + at, 8);
    memcpy(&crc, data + at + 8, 4);
    assert_int_equal(crc, events_masked_crc(data + at, 8));
    memcpy(&crc, data + at + 12 + n, 4);
    assert_int_equal(crc, events_masked_crc(data + at + 12, n));
    event got = {0};
    walk(&got, (const uint8_t *)data + at + 12, (const uint8_t *)data + at + 12 + n, 0);
    assert_string_equal(got.text, expected[i].text);
    assert_int_equal(got.step, expected[i].step);
    assert_true(got.value == expected[i].value);
    assert_true(got.time > 1e9);
    at += n + 16;
  }
  assert_int_equal(at, size);
  unlink(path);
  mem_free(path);
  mem_free(data);

  path = only_file(folder, "curve.jsonl");
  assert_int_equal(io_read_file(&data, &size, path, 1 << 20, &err), GARAM_OK);
  assert_string_equal(data, "{\"epoch\":1,\"train_loss\":1.5,\"valid_loss\":null,"
                            "\"train_accuracy\":0.25,\"valid_accuracy\":null,"
                            "\"learning_rate\":0.001,\"seconds\":2}\n");
  unlink(path);
  mem_free(path);
  mem_free(data);
  curve_deinit(&c);
  rmdir(folder);
}

static void a_folder_that_cannot_be(void **state) {
  (void)state;
  garam_error err;
  events *e;
  assert_int_not_equal(events_open(&e, "/dev/null/events", &err), GARAM_OK);
  assert_null(e);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checksum_vector),
      cmocka_unit_test(records_are_framed),
      cmocka_unit_test(a_file_reads_back),
      cmocka_unit_test(a_folder_that_cannot_be),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
