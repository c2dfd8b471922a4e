/* What people see: log lines, one bar on the last line of the terminal, tables of text. */
#include "cli/cli.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

static struct {
  bool quiet, progress, bar_is_shown;
  int64_t bar_drawn;
} console;

/* ---- stderr ---------------------------------------------------------------------------- */

static void on_log(void *context, garam_log_level level, const char *line) {
  (void)context;
  if (level < GARAM_LOG_INFO || (console.quiet && level < GARAM_LOG_ERROR)) return;
  console_bar_clear();
  const char *lead = level == GARAM_LOG_ERROR     ? "garam: error: "
                     : level == GARAM_LOG_WARNING ? "garam: warning: "
                                                  : "";
  fprintf(stderr, "%s%s\n", lead, line);
}

void console_init(const cli_common *common) {
  console.quiet = common->quiet;
  console.progress = common->progress == PROGRESS_ALWAYS ||
                     (common->progress == PROGRESS_AUTO && !common->quiet && isatty(STDERR_FILENO));
  garam_set_log(on_log, NULL);
}

bool console_unicode(void) {
  return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

bool console_progress(void) {
  return console.progress;
}

void console_line(const char *format, ...) {
  if (console.quiet) return;
  console_bar_clear();
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
}

void console_bar_clear(void) {
  if (!console.bar_is_shown) return;
  fputs("\r\033[K", stderr);
  console.bar_is_shown = false;
}

static int terminal_width(void) {
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void console_bar(const char *label, double share0, double share, int64_t started,
                 const char *tail) {
  if (!console.progress) return;
  int64_t now = clock_monotonic_ns();
  if (console.bar_is_shown && now - console.bar_drawn < CLOCK_NS_PER_SECOND / 10) return;
  console.bar_drawn = now;
  char left[TEXT_SHORT] = "";
  if (share > share0 && now - started > CLOCK_NS_PER_SECOND / 2) {
    double ns = (double)(now - started) / (share - share0) * (1 - share);
    text_duration(left, (int64_t)(ns / (double)CLOCK_NS_PER_SECOND + 1) * CLOCK_NS_PER_SECOND);
  }
  bool unicode = console_unicode();
  int room = terminal_width() - (int)(strlen(label) + strlen(left) + strlen(tail)) - 16;
  int width = room < 0 ? 0 : room > 32 ? 32 : room;
  int full = (int)(share * width);
  fprintf(stderr, "\r%s ", label);
  const char *done = unicode ? "━" : "#", *rest = unicode ? "─" : ".";
  for (int i = 0; i < width; i++) fputs(i < full ? done : rest, stderr);
  fprintf(stderr, " %3.0f %%", 100 * share);
  if (left[0]) fprintf(stderr, "  %s left", left);
  fprintf(stderr, "  %s\033[K", tail);
  fflush(stderr);
  console.bar_is_shown = true;
}

void console_read_progress(void *context, uint64_t done, uint64_t total) {
  const console_reading *r = context;
  /* Most files are read before a bar could be read itself. */
  if (total == 0 || clock_monotonic_ns() - r->started < CLOCK_NS_PER_SECOND / 2) return;
  console_bar(r->label, 0, (double)done / (double)total, r->started, "");
}

/* ---- tables of text -------------------------------------------------------------------- */

enum { TABLE_MAX_COLUMNS = 16 };

struct text_table {
  arena memory;
  char align[TABLE_MAX_COLUMNS + 1];
  size_t n_columns, n_cells, n_heading, capacity;
  const char **cells;
  bool failed;
};

text_table *text_table_new(const char *align) {
  text_table *t = mem_zalloc(sizeof *t);
  if (!t) return NULL;
  arena_init(&t->memory, 0);
  t->n_columns = strlen(align);
  REQUIRE(t->n_columns > 0 && t->n_columns <= TABLE_MAX_COLUMNS, "text_table_new: %zu columns",
          t->n_columns);
  memcpy(t->align, align, t->n_columns + 1);
  return t;
}

void text_table_add(text_table *t, const char *format, ...) {
  if (!t || t->failed) return;
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  char *copy = arena_strdup(&t->memory, text);
  if (!copy ||
      mem_grow(&t->cells, &t->capacity, t->n_cells + 1, sizeof *t->cells, NULL) != GARAM_OK) {
    t->failed = true;
    return;
  }
  t->cells[t->n_cells++] = copy;
}

void text_table_rule(text_table *t) {
  if (t) t->n_heading = t->n_cells / t->n_columns;
}

/* Columns on the screen, of UTF-8 or of bytes where the locale is not UTF-8. */
static int text_width(const char *text) {
  int width = 0;
  mbstate_t state = {0};
  while (*text) {
    wchar_t wide;
    size_t n = mbrtowc(&wide, text, MB_CUR_MAX, &state);
    if (n == 0 || n > MB_CUR_MAX) {
      n = 1;
      width++;
      memset(&state, 0, sizeof state);
    } else {
      int w = wcwidth(wide);
      width += w < 0 ? 1 : w;
    }
    text += n;
  }
  return width;
}

static void print_padding(FILE *out, int n) {
  for (int i = 0; i < n; i++) fputc(' ', out);
}

void text_table_print(text_table *t, FILE *out, int indent) {
  if (!t) return;
  int width[TABLE_MAX_COLUMNS] = {0};
  for (size_t i = 0; i < t->n_cells; i++) {
    int w = text_width(t->cells[i]);
    if (w > width[i % t->n_columns]) width[i % t->n_columns] = w;
  }
  size_t n_rows = t->n_cells / t->n_columns;
  for (size_t row = 0; row < n_rows; row++) {
    if (row > 0 && row == t->n_heading) {
      int total = -2;
      for (size_t c = 0; c < t->n_columns; c++) total += width[c] + 2;
      print_padding(out, indent);
      for (int i = 0; i < total; i++) fputs(console_unicode() ? "─" : "-", out);
      fputc('\n', out);
    }
    print_padding(out, indent);
    size_t last = t->n_columns - 1; /* with something in it: lines do not end in blanks */
    while (last > 0 && !*t->cells[row * t->n_columns + last]) last--;
    for (size_t c = 0; c <= last; c++) {
      const char *cell = t->cells[row * t->n_columns + c];
      int pad = width[c] - text_width(cell);
      if (t->align[c] == 'r') print_padding(out, pad);
      fputs(cell, out);
      if (c == last) break;
      print_padding(out, t->align[c] == 'r' ? 2 : pad + 2);
    }
    fputc('\n', out);
  }
  arena_deinit(&t->memory);
  mem_free(t->cells);
  mem_free(t);
}

/* ---- numbers for people ---------------------------------------------------------------- */

char *text_count(char out[TEXT_SHORT], uint64_t n) {
  char digits[32];
  int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
  char *to = out;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) *to++ = ',';
    *to++ = digits[i];
  }
  *to = 0;
  return out;
}

char *text_duration(char out[TEXT_SHORT], int64_t ns) {
  double seconds = (double)ns / (double)CLOCK_NS_PER_SECOND;
  long long whole = (long long)(seconds + 0.5);
  if (seconds < 1e-6) snprintf(out, TEXT_SHORT, "%lld ns", (long long)ns);
  else if (seconds < 1e-3) snprintf(out, TEXT_SHORT, "%.3g us", seconds * 1e6);
  else if (seconds < 1) snprintf(out, TEXT_SHORT, "%.3g ms", seconds * 1e3);
  else if (seconds < 60) snprintf(out, TEXT_SHORT, "%.3g s", seconds);
  else if (whole < 3600)
    snprintf(out, TEXT_SHORT, whole % 60 ? "%lld min %lld s" : "%lld min", whole / 60, whole % 60);
  else if (whole < 86400)
    snprintf(out, TEXT_SHORT, whole / 60 % 60 ? "%lld h %lld min" : "%lld h", whole / 3600,
             whole / 60 % 60);
  else
    snprintf(out, TEXT_SHORT, whole / 3600 % 24 ? "%lld d %lld h" : "%lld d", whole / 86400,
             whole / 3600 % 24);
  return out;
}

char *text_bytes(char out[TEXT_SHORT], double bytes) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < COUNT_OF(units)) {
    bytes /= 1024;
    unit++;
  }
  snprintf(out, TEXT_SHORT, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
  return out;
}

char *text_time(char out[TEXT_SHORT], int64_t ns) {
  clock_civil t;
  clock_to_civil(&t, ns);
  int n = snprintf(out, TEXT_SHORT, "%04d-%02d-%02d", t.year, t.month, t.day);
  if (t.hour || t.minute || t.second || t.nanosecond)
    n += snprintf(out + n, (size_t)(TEXT_SHORT - n), " %02d:%02d", t.hour, t.minute);
  if (t.second || t.nanosecond) n += snprintf(out + n, (size_t)(TEXT_SHORT - n), ":%02d", t.second);
  if (t.nanosecond) snprintf(out + n, (size_t)(TEXT_SHORT - n), ".%03d", t.nanosecond / 1000000);
  return out;
}

char *text_number(char out[TEXT_SHORT], double value) {
  if (isnan(value)) snprintf(out, TEXT_SHORT, "-");
  else snprintf(out, TEXT_SHORT, "%.6g", value);
  return out;
}

double json_f64(const json_t *object, const char *key) {
  json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : (double)NAN;
}
