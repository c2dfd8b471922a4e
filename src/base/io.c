/* Files: see io.h. */
#include "base/io.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

static garam_status fail_errno(garam_error *err, const char *path, const char *doing) {
  int code = errno;
  garam_status status = code == ENOENT ? GARAM_NOT_FOUND : GARAM_IO;
  return fail(err, status, "%s: %s: %s", path, doing, strerror(code));
}

/* read() that goes on after EINTR. */
static ssize_t read_some(int fd, void *buffer, size_t size) {
  for (;;) {
    ssize_t n = read(fd, buffer, size);
    if (n >= 0 || errno != EINTR) return n;
  }
}

static int open_to_read(const char *path) {
  for (;;) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 || errno != EINTR) return fd;
  }
}

static garam_status open_regular(int *fd, struct stat *info, const char *path, garam_error *err) {
  *fd = open_to_read(path);
  if (*fd < 0) return fail_errno(err, path, "cannot open");
  garam_status status = GARAM_OK;
  if (fstat(*fd, info) != 0) status = fail_errno(err, path, "cannot read its size");
  else if (S_ISDIR(info->st_mode)) status = fail(err, GARAM_IO, "%s: is a folder", path);
  if (status != GARAM_OK) close(*fd);
  return status;
}

garam_status io_read_file(char **out, size_t *size, const char *path, size_t max_size,
                          garam_error *err) {
  int fd;
  struct stat info;
  *out = NULL;
  *size = 0;
  TRY(open_regular(&fd, &info, path, err));
  garam_status status = GARAM_OK;
  size_t capacity = info.st_size > 0 ? (size_t)info.st_size + 1 : 4096, used = 0;
  char *data = NULL;
  if ((size_t)info.st_size > max_size) {
    status = fail(err, GARAM_LIMIT, "%s: %lld bytes; at most %zu are read", path,
                  (long long)info.st_size, max_size);
    goto done;
  }
  data = mem_alloc(capacity + 1);
  if (!data) {
    status = fail_memory(err, capacity + 1);
    goto done;
  }
  for (;;) {
    ssize_t n = read_some(fd, data + used, capacity - used);
    if (n < 0) {
      status = fail_errno(err, path, "cannot read");
      goto done;
    }
    if (n == 0) break;
    used += (size_t)n;
    if (used > max_size) {
      status = fail(err, GARAM_LIMIT, "%s: more than %zu bytes", path, max_size);
      goto done;
    }
    if (used == capacity) {
      char *grown = mem_resize(data, capacity * 2 + 1);
      if (!grown) {
        status = fail_memory(err, capacity * 2 + 1);
        goto done;
      }
      data = grown;
      capacity *= 2;
    }
  }
  data[used] = 0;
  *out = data;
  *size = used;
  data = NULL;
done:
  mem_free(data);
  close(fd);
  return status;
}

/* ---- streams -------------------------------------------------------------------------- */

enum { STREAM_BLOCK = 1 << 16 };
typedef enum stream_kind { STREAM_PLAIN, STREAM_GZIP, STREAM_ZSTD } stream_kind;

struct io_stream {
  char *name;
  int fd;
  stream_kind kind;
  bool at_end;    /* of the file */
  bool mid_frame; /* a compressed member was begun and not ended */
  uint64_t consumed, total;
  size_t begin, end; /* of what is in the buffer */
  z_stream gzip;
  ZSTD_DStream *zstd;
  uint8_t buffer[STREAM_BLOCK];
};

static garam_status stream_fill(io_stream *s, garam_error *err) {
  if (s->begin < s->end || s->at_end) return GARAM_OK;
  ssize_t n = read_some(s->fd, s->buffer, sizeof s->buffer);
  if (n < 0) return fail_errno(err, s->name, "cannot read");
  s->begin = 0;
  s->end = (size_t)n;
  s->consumed += (size_t)n;
  s->at_end = n == 0;
  return GARAM_OK;
}

static void *zlib_alloc(void *context, unsigned count, unsigned size) {
  (void)context;
  return mem_array(count, size);
}

static void zlib_free(void *context, void *ptr) {
  (void)context;
  mem_free(ptr);
}

static garam_status stream_recognise(io_stream *s, garam_error *err) {
  /* Pipes may give one byte at a time: wait for four. */
  while (s->end < 4 && !s->at_end) {
    ssize_t n = read_some(s->fd, s->buffer + s->end, sizeof s->buffer - s->end);
    if (n < 0) return fail_errno(err, s->name, "cannot read");
    s->end += (size_t)n;
    s->consumed += (size_t)n;
    s->at_end = n == 0;
  }
  const uint8_t *b = s->buffer;
  if (s->end >= 2 && b[0] == 0x1f && b[1] == 0x8b) {
    s->kind = STREAM_GZIP;
    s->gzip.zalloc = zlib_alloc;
    s->gzip.zfree = zlib_free;
    if (inflateInit2(&s->gzip, 15 + 16) != Z_OK) return fail_memory(err, 1 << 16);
  } else if (s->end >= 4 && b[0] == 0x28 && b[1] == 0xb5 && b[2] == 0x2f && b[3] == 0xfd) {
    s->zstd = ZSTD_createDStream();
    if (!s->zstd) return fail_memory(err, 1 << 17);
    s->kind = STREAM_ZSTD;
    ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, 27); /* 128 MiB */
  }
  return GARAM_OK;
}

garam_status io_stream_open(io_stream **out, const char *path, garam_error *err) {
  bool is_stdin = strcmp(path, "-") == 0;
  *out = NULL;
  io_stream *s = mem_zalloc(sizeof *s);
  if (!s) return fail_memory(err, sizeof *s);
  s->fd = -1;
  s->name = mem_strdup(is_stdin ? "standard input" : path);
  garam_status status = GARAM_OK;
  if (!s->name) {
    status = fail_memory(err, strlen(path));
    goto done;
  }
  if (is_stdin) {
    s->fd = STDIN_FILENO;
  } else {
    struct stat info;
    int fd;
    TRY_GOTO(done, open_regular(&fd, &info, path, err));
    s->fd = fd;
    s->total = S_ISREG(info.st_mode) && info.st_size > 0 ? (uint64_t)info.st_size : 0;
#ifdef POSIX_FADV_SEQUENTIAL
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
#endif
  }
  TRY_GOTO(done, stream_recognise(s, err));
  *out = s;
  s = NULL;
done:
  io_stream_close(s);
  return status;
}

static garam_status read_gzip(io_stream *s, void *buffer, size_t size, size_t *got,
                              garam_error *err) {
  s->gzip.next_out = buffer;
  s->gzip.avail_out = size < 1u << 30 ? (unsigned)size : 1u << 30;
  unsigned wanted = s->gzip.avail_out;
  while (s->gzip.avail_out == wanted) {
    TRY(stream_fill(s, err));
    if (s->begin == s->end) {
      if (s->mid_frame) return fail(err, GARAM_CORRUPT, "%s: gzip data ends too early", s->name);
      break;
    }
    s->gzip.next_in = s->buffer + s->begin;
    s->gzip.avail_in = (unsigned)(s->end - s->begin);
    int code = inflate(&s->gzip, Z_NO_FLUSH);
    s->begin = s->end - s->gzip.avail_in;
    s->mid_frame = code != Z_STREAM_END;
    if (code == Z_STREAM_END) inflateReset(&s->gzip); /* members may follow each other */
    else if (code == Z_MEM_ERROR) return fail_memory(err, 1 << 16);
    else if (code != Z_OK && code != Z_BUF_ERROR)
      return fail(err, GARAM_CORRUPT, "%s: damaged gzip data: %s", s->name,
                  s->gzip.msg ? s->gzip.msg : "unexpected bytes");
  }
  *got = wanted - s->gzip.avail_out;
  return GARAM_OK;
}

static garam_status read_zstd(io_stream *s, void *buffer, size_t size, size_t *got,
                              garam_error *err) {
  ZSTD_outBuffer to = {buffer, size, 0};
  while (to.pos == 0) {
    TRY(stream_fill(s, err));
    ZSTD_inBuffer from = {s->buffer, s->end, s->begin};
    bool dry = s->begin == s->end;
    if (dry && !s->mid_frame) break;
    size_t code = ZSTD_decompressStream(s->zstd, &to, &from);
    s->begin = from.pos;
    if (ZSTD_isError(code))
      return fail(err, GARAM_CORRUPT, "%s: damaged zstd data: %s", s->name,
                  ZSTD_getErrorName(code));
    s->mid_frame = code != 0;
    if (dry && to.pos == 0)
      return fail(err, GARAM_CORRUPT, "%s: zstd data ends too early", s->name);
  }
  *got = to.pos;
  return GARAM_OK;
}

garam_status io_stream_read(io_stream *s, void *buffer, size_t size, size_t *got,
                            garam_error *err) {
  *got = 0;
  if (size == 0) return GARAM_OK;
  switch (s->kind) {
  case STREAM_GZIP: return read_gzip(s, buffer, size, got, err);
  case STREAM_ZSTD: return read_zstd(s, buffer, size, got, err);
  case STREAM_PLAIN: break;
  }
  TRY(stream_fill(s, err));
  size_t n = s->end - s->begin;
  if (n > size) n = size;
  memcpy(buffer, s->buffer + s->begin, n);
  s->begin += n;
  *got = n;
  return GARAM_OK;
}

const char *io_stream_name(const io_stream *s) {
  return s->name;
}

uint64_t io_stream_consumed(const io_stream *s) {
  return s->consumed - (s->end - s->begin);
}

uint64_t io_stream_total(const io_stream *s) {
  return s->total;
}

void io_stream_close(io_stream *s) {
  if (!s) return;
  if (s->kind == STREAM_GZIP) inflateEnd(&s->gzip);
  ZSTD_freeDStream(s->zstd);
  if (s->fd > STDIN_FILENO) close(s->fd);
  mem_free(s->name);
  mem_free(s);
}

/* ---- maps ----------------------------------------------------------------------------- */

garam_status io_map_open(io_map *out, const char *path, garam_error *err) {
  int fd;
  struct stat info;
  *out = (io_map){0};
  TRY(open_regular(&fd, &info, path, err));
  garam_status status = GARAM_OK;
  if (info.st_size == 0) {
    status = fail(err, GARAM_CORRUPT, "%s: the file is empty", path);
  } else {
    void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) status = fail_errno(err, path, "cannot map");
    else *out = (io_map){data, (size_t)info.st_size};
  }
  close(fd);
  return status;
}

void io_map_close(io_map *map) {
  if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
  *map = (io_map){0};
}

/* ---- durable writes -------------------------------------------------------------------- */

struct io_writer {
  char *path, *temporary; /* temporary: NULL when it is written straight to `path` */
  int fd;
  size_t used;
  char buffer[STREAM_BLOCK];
};

static garam_status write_all(int fd, const char *data, size_t size, const char *path,
                              garam_error *err) {
  while (size > 0) {
    ssize_t n = write(fd, data, size);
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail_errno(err, path, "cannot write");
    }
    data += n;
    size -= (size_t)n;
  }
  return GARAM_OK;
}

/* A device or a pipe (/dev/null, /dev/stdout) is written to; only files are replaced. */
static bool is_replaced(const char *path, garam_status *status, garam_error *err) {
  struct stat info;
  *status = GARAM_OK;
  if (stat(path, &info) != 0 || S_ISREG(info.st_mode)) return true;
  if (S_ISDIR(info.st_mode)) *status = fail(err, GARAM_IO, "%s: is a folder", path);
  return false;
}

garam_status io_writer_open(io_writer **out, const char *path, garam_error *err) {
  static atomic_uint n_writers; /* so that two threads that write one path do not meet */
  garam_status status;
  *out = NULL;
  bool replaced = is_replaced(path, &status, err);
  TRY(status);
  io_writer *w = mem_zalloc(sizeof *w);
  if (!w) return fail_memory(err, sizeof *w);
  w->fd = -1;
  w->path = mem_strdup(path);
  if (replaced)
    w->temporary =
        mem_format("%s.%ld-%u.tmp", path, (long)getpid(), atomic_fetch_add(&n_writers, 1));
  if (!w->path || (replaced && !w->temporary)) {
    status = fail_memory(err, strlen(path) + 32);
    goto done;
  }
  int flags = replaced ? O_CREAT | O_TRUNC : O_NOCTTY;
  do w->fd = open(replaced ? w->temporary : path, O_WRONLY | O_CLOEXEC | flags, 0666);
  while (w->fd < 0 && errno == EINTR);
  if (w->fd < 0) {
    status = fail_errno(err, path, "cannot write");
    goto done;
  }
  *out = w;
  w = NULL;
done:
  io_writer_abort(w);
  return status;
}

static garam_status writer_flush(io_writer *w, garam_error *err) {
  size_t n = w->used;
  w->used = 0;
  return write_all(w->fd, w->buffer, n, w->path, err);
}

garam_status io_write(io_writer *w, const void *data, size_t size, garam_error *err) {
  if (size > sizeof w->buffer - w->used) TRY(writer_flush(w, err));
  if (size >= sizeof w->buffer) return write_all(w->fd, data, size, w->path, err);
  memcpy(w->buffer + w->used, data, size);
  w->used += size;
  return GARAM_OK;
}

garam_status io_printf(io_writer *w, garam_error *err, const char *format, ...) {
  char small[1024];
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(small, sizeof small, format, args);
  va_end(args);
  garam_status status;
  if (n < 0) {
    status = fail(err, GARAM_IO, "%s: cannot format", w->path);
  } else if ((size_t)n < sizeof small) {
    status = io_write(w, small, (size_t)n, err);
  } else {
    char *large = mem_alloc((size_t)n + 1);
    if (large) {
      vsnprintf(large, (size_t)n + 1, format, again);
      status = io_write(w, large, (size_t)n, err);
      mem_free(large);
    } else {
      status = fail_memory(err, (size_t)n + 1);
    }
  }
  va_end(again);
  return status;
}

static garam_status sync_fd(int fd, const char *path, garam_error *err) {
  while (fsync(fd) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL || errno == EROFS) break; /* not a file that can be synced */
    return fail_errno(err, path, "cannot sync");
  }
  return GARAM_OK;
}

static char *folder_of(const char *path) { /* mem_free; NULL when memory is out */
  const char *slash = strrchr(path, '/');
  return slash == path ? mem_strdup("/")
         : slash       ? mem_format("%.*s", (int)(slash - path), path)
                       : mem_strdup(".");
}

static garam_status sync_folder_of(const char *path, garam_error *err) {
  char *folder = folder_of(path);
  if (!folder) return fail_memory(err, strlen(path));
  garam_status status = GARAM_OK;
  int fd = open_to_read(folder);
  if (fd < 0) status = fail_errno(err, folder, "cannot open");
  else {
    status = sync_fd(fd, folder, err);
    close(fd);
  }
  mem_free(folder);
  return status;
}

garam_status io_writer_commit(io_writer *w, garam_error *err) {
  garam_status status;
  TRY_GOTO(done, writer_flush(w, err));
  TRY_GOTO(done, sync_fd(w->fd, w->path, err));
  int fd = w->fd;
  w->fd = -1;
  if (close(fd) != 0 && errno != EINTR) {
    status = fail_errno(err, w->path, "cannot close");
    goto done;
  }
  if (!w->temporary) goto done;
  if (rename(w->temporary, w->path) != 0) {
    status = fail_errno(err, w->path, "cannot rename the temporary file");
    goto done;
  }
  mem_free(w->temporary);
  w->temporary = NULL;
  status = sync_folder_of(w->path, err);
done:
  io_writer_abort(w);
  return status;
}

void io_writer_abort(io_writer *w) {
  if (!w) return;
  if (w->fd >= 0) close(w->fd);
  if (w->temporary) unlink(w->temporary);
  mem_free(w->temporary);
  mem_free(w->path);
  mem_free(w);
}

garam_status io_write_file(const char *path, const void *data, size_t size, garam_error *err) {
  io_writer *w;
  TRY(io_writer_open(&w, path, err));
  garam_status status = io_write(w, data, size, err);
  if (status == GARAM_OK) return io_writer_commit(w, err);
  io_writer_abort(w);
  return status;
}

bool io_exists(const char *path) {
  return access(path, F_OK) == 0;
}

garam_status io_check_writable(const char *path, garam_error *err) {
  struct stat info;
  if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
    return fail(err, GARAM_IO, "%s: is a folder", path);
  char *folder = folder_of(path);
  if (!folder) return fail_memory(err, strlen(path));
  garam_status status = GARAM_OK;
  if (access(folder, W_OK | X_OK) != 0)
    status = fail(err, GARAM_IO, "%s: cannot write there: %s", path, strerror(errno));
  mem_free(folder);
  return status;
}

garam_status io_make_folder(const char *path, garam_error *err) {
  if (!*path) return fail(err, GARAM_INVALID, "cannot make a folder without a name");
  char *part = mem_strdup(path);
  if (!part) return fail_memory(err, strlen(path));
  garam_status status = GARAM_OK;
  struct stat info;
  for (char *c = part + 1; status == GARAM_OK; c++) {
    if (*c != '/' && *c != 0) continue;
    char kept = *c;
    *c = 0;
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
      status = fail_errno(err, part, "cannot make the folder");
    *c = kept;
    if (!kept) break;
  }
  if (status == GARAM_OK && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
    status = fail(err, GARAM_IO, "%s: is not a folder", path);
  mem_free(part);
  return status;
}

/* ---- digests --------------------------------------------------------------------------- */

static void digest_text(char out[IO_SHA256_TEXT], struct sha256_ctx *context) {
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(context, sizeof digest, digest);
  for (size_t i = 0; i < sizeof digest; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void io_sha256(char out[IO_SHA256_TEXT], const void *data, size_t size) {
  struct sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, size, data);
  digest_text(out, &context);
}

garam_status io_sha256_file(char out[IO_SHA256_TEXT], const char *path, garam_error *err) {
  int fd;
  struct stat info;
  TRY(open_regular(&fd, &info, path, err));
  struct sha256_ctx context;
  sha256_init(&context);
  uint8_t block[1 << 14];
  garam_status status = GARAM_OK;
  for (;;) {
    ssize_t n = read_some(fd, block, sizeof block);
    if (n < 0) status = fail_errno(err, path, "cannot read");
    if (n <= 0) break;
    sha256_update(&context, (size_t)n, block);
  }
  digest_text(out, &context);
  close(fd);
  return status;
}
