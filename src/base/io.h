/* Files: whole reads, streams that decompress by content, maps, and durable atomic writes
 * (temporary file beside the target, write, fsync, rename, fsync of the folder). */
#ifndef BASE_IO_H
#define BASE_IO_H

#include "base/status.h"

/* The whole file, with a NUL after its end. Refuses files over max_size. mem_free(*out). */
garam_status io_read_file(char **out, size_t *size, const char *path, size_t max_size,
                          garam_error *err);

/* A reader of bytes: a path, or "-" for standard input; gzip and zstd are recognised by their
 * first bytes, not by the name. */
typedef struct io_stream io_stream;
garam_status io_stream_open(io_stream **out, const char *path, garam_error *err);
/* Up to `size` bytes into buffer; *got is 0 at the end. Errors name the file. */
garam_status io_stream_read(io_stream *s, void *buffer, size_t size, size_t *got, garam_error *err);
const char *io_stream_name(const io_stream *s);
uint64_t io_stream_consumed(const io_stream *s); /* bytes of the file itself read so far */
uint64_t io_stream_total(const io_stream *s);    /* bytes of the file itself; 0 when unknown */
void io_stream_close(io_stream *s);

typedef struct io_map {
  const uint8_t *data;
  size_t size;
} io_map;
garam_status io_map_open(io_map *out, const char *path, garam_error *err); /* read only */
void io_map_close(io_map *map);

/* Durable writes. Nothing is seen at `path` until io_writer_commit has come back OK; abort (or
 * a failure) leaves the old file as it was and no temporary file. */
typedef struct io_writer io_writer;
garam_status io_writer_open(io_writer **out, const char *path, garam_error *err);
garam_status io_write(io_writer *w, const void *data, size_t size, garam_error *err);
garam_status io_printf(io_writer *w, garam_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
garam_status io_writer_commit(io_writer *w, garam_error *err); /* frees w in any case */
void io_writer_abort(io_writer *w);                            /* NULL is fine */
garam_status io_write_file(const char *path, const void *data, size_t size, garam_error *err);

bool io_exists(const char *path);
/* Could a writer open there now? For work so long that its end is no place to learn that it cannot.
 */
garam_status io_check_writable(const char *path, garam_error *err);
garam_status io_make_folder(const char *path, garam_error *err); /* and its parents */

/* SHA-256 (FIPS 180-4) of a file, as 64 hexadecimal digits and a NUL. */
#define IO_SHA256_TEXT 65
garam_status io_sha256_file(char out[IO_SHA256_TEXT], const char *path, garam_error *err);
void io_sha256(char out[IO_SHA256_TEXT], const void *data, size_t size);

#endif
