/* TensorBoard event files. A file is a row of TFRecords: u64 length, masked CRC-32C of it, data,
 * masked CRC-32C of that. The data is a protobuf Event: 1 wall_time (double), 2 step (int64),
 * 3 file_version (string), 5 summary { 1 value { 1 tag, 2 simple_value (float) } }. */
#include "train/events.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { TAG_MAX = 128, EVENT_MAX = TAG_MAX + 64 };

struct events {
  int fd;
  char *path;
};

uint32_t events_masked_crc(const void *data, size_t size) {
  const uint8_t *bytes = data;
  uint32_t crc = ~UINT32_C(0);
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82F63B78) : 0);
  }
  crc = ~crc;
  return (crc >> 15 | crc << 17) + UINT32_C(0xa282ead8);
}

static uint8_t *put_little(uint8_t *at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; i++) *at++ = (uint8_t)(value >> 8 * i);
  return at;
}

static uint8_t *put_varint(uint8_t *at, uint64_t value) {
  for (; value > 127; value >>= 7) *at++ = (uint8_t)(value | 128);
  *at++ = (uint8_t)value;
  return at;
}

static uint8_t *put_f64(uint8_t *at, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return put_little(at, bits, 8);
}

static uint8_t *put_bytes(uint8_t *at, int field, const void *data, size_t size) {
  at = put_varint(at, (uint64_t)field << 3 | 2);
  at = put_varint(at, size);
  memcpy(at, data, size);
  return at + size;
}

size_t events_record(uint8_t *out, const void *data, size_t size) {
  uint8_t *at = put_little(out, size, 8);
  at = put_little(at, events_masked_crc(out, 8), 4);
  memcpy(at, data, size);
  at = put_little(at + size, events_masked_crc(at, size), 4);
  return (size_t)(at - out);
}

static garam_status write_event(events *e, const uint8_t *event, size_t size, garam_error *err) {
  uint8_t record[EVENT_MAX + 16];
  size_t n = events_record(record, event, size), at = 0;
  while (at < n) {
    ssize_t wrote = write(e->fd, record + at, n - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail(err, GARAM_IO, "%s: cannot write: %s", e->path, strerror(errno));
    at += (size_t)wrote;
  }
  return GARAM_OK;
}

static uint8_t *put_time(uint8_t *at) {
  *at++ = 1 << 3 | 1;
  return put_f64(at, (double)clock_wall_ns() * 1e-9);
}

garam_status events_open(events **out, const char *folder, garam_error *err) {
  *out = NULL;
  TRY(io_make_folder(folder, err));
  events *e = mem_zalloc(sizeof *e);
  if (!e) return fail_memory(err, sizeof *e);
  garam_status status = GARAM_OK;
  int64_t now = clock_wall_ns();
  e->fd = -1;
  for (int attempt = 0; e->fd < 0; attempt++) {
    mem_free(e->path);
    e->path = mem_format("%s/events.out.tfevents.%010lld.garam.%d.%d", folder,
                         (long long)(now / CLOCK_NS_PER_SECOND), (int)getpid(), attempt);
    if (!e->path) {
      status = fail_memory(err, strlen(folder));
      goto done;
    }
    e->fd = open(e->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (e->fd < 0 && errno != EINTR && (errno != EEXIST || attempt > 1000)) {
      status = fail(err, GARAM_IO, "%s: cannot create: %s", e->path, strerror(errno));
      goto done;
    }
  }
  uint8_t event[EVENT_MAX], *at = put_time(event);
  at = put_bytes(at, 3, "brain.Event:2", 13);
  TRY_GOTO(done, write_event(e, event, (size_t)(at - event), err));
  *out = e;
  e = NULL;
done:
  if (e) events_close(e, NULL);
  return status;
}

garam_status events_scalar(events *e, const char *tag, uint64_t step, double value,
                           garam_error *err) {
  uint8_t inner[TAG_MAX + 16], summary[TAG_MAX + 24], event[EVENT_MAX];
  size_t n_tag = strlen(tag);
  REQUIRE(n_tag <= TAG_MAX, "events_scalar: tag of %zu characters", n_tag);
  if (!isfinite(value)) return GARAM_OK;
  float single = (float)value;
  uint32_t bits;
  memcpy(&bits, &single, sizeof bits);

  uint8_t *at = put_bytes(inner, 1, tag, n_tag);
  *at++ = 2 << 3 | 5;
  at = put_little(at, bits, 4);
  uint8_t *end = put_bytes(summary, 1, inner, (size_t)(at - inner));

  at = put_time(event);
  *at++ = 2 << 3;
  at = put_varint(at, step);
  at = put_bytes(at, 5, summary, (size_t)(end - summary));
  return write_event(e, event, (size_t)(at - event), err);
}

garam_status events_close(events *e, garam_error *err) {
  garam_status status = GARAM_OK;
  if (!e) return status;
  if (e->fd >= 0 && close(e->fd) != 0 && errno != EINTR)
    status = fail(err, GARAM_IO, "%s: cannot write: %s", e->path, strerror(errno));
  mem_free(e->path);
  mem_free(e);
  return status;
}
