/* A library to preload: makes the n-th call of one kind fail, to see what a program does.
 *
 *   GARAM_FAULT=write:3:ENOSPC     the third write() fails with ENOSPC
 *   GARAM_FAULT=write:3:ENOSPC+    and every one after it
 *   GARAM_FAULT=read:2:SHORT       the second read() gives one byte less than half
 *   GARAM_FAULT=write:0:EIO        none fails; with GARAM_FAULT_COUNT=FILE the calls are counted
 *
 * Kinds: open read write fsync rename close mmap. Only calls that go through the C library's
 * names are seen, which is what garam and its libraries do for their files. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static const struct {
  const char *name;
  int code;
} codes[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"EACCES", EACCES},
             {"EMFILE", EMFILE}, {"ENOMEM", ENOMEM}, {"SHORT", -1}};

static char kind[16];
static int nth, code;
static bool persistent;
static atomic_int calls;

__attribute__((constructor)) static void fault_read(void) {
  const char *text = getenv("GARAM_FAULT");
  char name[16] = "";
  if (!text || sscanf(text, "%15[a-z]:%d:%15[A-Z]", kind, &nth, name) != 3) return;
  persistent = text[strlen(text) - 1] == '+';
  for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
    if (strcmp(codes[i].name, name) == 0) code = codes[i].code;
}

__attribute__((destructor)) static void fault_count(void) {
  const char *path = getenv("GARAM_FAULT_COUNT");
  FILE *f = path ? fopen(path, "w") : NULL;
  if (!f) return;
  fprintf(f, "%d\n", atomic_load(&calls));
  fclose(f);
}

/* 0: go on; otherwise the code. */
static int fault(const char *name) {
  if (strcmp(name, kind) != 0) return 0;
  int number = atomic_fetch_add(&calls, 1) + 1;
  return nth > 0 && (number == nth || (persistent && number > nth)) ? code : 0;
}

#define NEXT(function)                                                                             \
  static __typeof__(&function) next;                                                               \
  if (!next) {                                                                                     \
    void *symbol = dlsym(RTLD_NEXT, #function);                                                    \
    memcpy(&next, &symbol, sizeof next);                                                           \
  }
#define FAIL(name, result)                                                                         \
  do {                                                                                             \
    int fault_code = fault(name);                                                                  \
    if (fault_code > 0) {                                                                          \
      errno = fault_code;                                                                          \
      return result;                                                                               \
    }                                                                                              \
  } while (0)

static mode_t mode_of(int flags, va_list args) {
  return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
  NEXT(open)
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  FAIL("open", -1);
  return next(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  NEXT(open64)
  va_list args;
  va_start(args, flags);
  mode_t mode = mode_of(flags, args);
  va_end(args);
  FAIL("open", -1);
  return next(path, flags, mode);
}

ssize_t read(int fd, void *buffer, size_t size) {
  NEXT(read)
  int f = fault("read");
  if (f > 0) {
    errno = f;
    return -1;
  }
  return next(fd, buffer, f < 0 && size > 1 ? size / 2 : size);
}

ssize_t write(int fd, const void *buffer, size_t size) {
  NEXT(write)
  if (fd == STDOUT_FILENO || fd == STDERR_FILENO) return next(fd, buffer, size);
  int f = fault("write");
  if (f > 0) {
    errno = f;
    return -1;
  }
  return next(fd, buffer, f < 0 && size > 1 ? size / 2 : size);
}

int fsync(int fd) {
  NEXT(fsync)
  FAIL("fsync", -1);
  return next(fd);
}

int rename(const char *from, const char *to) {
  NEXT(rename)
  FAIL("rename", -1);
  return next(from, to);
}

int close(int fd) {
  NEXT(close)
  int f = fault("close");
  int result = next(fd); /* the descriptor is gone in any case, as on Linux */
  if (f > 0) {
    errno = f;
    return -1;
  }
  return result;
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
  NEXT(mmap)
  if (fd >= 0) FAIL("mmap", MAP_FAILED);
  return next(at, size, protection, flags, fd, offset);
}
