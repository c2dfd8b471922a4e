/* A plan in words: one line a node, and where the time goes. */
#include "graph/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double plan_flops(const plan *p) {
  double sum = 0;
  for (size_t i = 0; i < p->n_steps; i++) {
    const node *n = p->steps[i].run.node;
    if (n->op->flops) sum += n->op->flops(n);
  }
  return sum;
}

/* Every input read and every output written once. */
static double node_bytes(const node *n) {
  if (n->op->bytes) return n->op->bytes(n);
  double sum = 0;
  for (int i = 0; i < n->n_inputs; i++)
    if (n->inputs[i]) sum += (double)tensor_bytes(n->inputs[i]);
  for (int k = 0; k < n->n_outputs; k++) sum += (double)tensor_bytes(n->outputs[k]);
  return sum;
}

/* ---- describing ---- */

static size_t put(char *line, size_t size, size_t at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static size_t put(char *line, size_t size, size_t at, const char *format, ...) {
  if (at >= size) return at;
  va_list args;
  va_start(args, format);
  int n = vsnprintf(line + at, size - at, format, args);
  va_end(args);
  return at + (n > 0 ? (size_t)n : 0);
}

static size_t put_place(char *line, size_t size, size_t at, const plan *p, const tensor *t) {
  const place *where = &p->places[t->number];
  switch (where->kind) {
  case PLACE_NONE: return put(line, size, at, " nowhere");
  case PLACE_PARAM: return put(line, size, at, " params+%zu", where->offset);
  case PLACE_GRAD: return put(line, size, at, " grads+%zu", where->offset);
  case PLACE_ARENA: break;
  }
  const memory_block *b = &p->blocks[where->block];
  return put(line, size, at, " arena+%zu %zu B steps %u..%u", b->offset, b->bytes, b->begin,
             b->end);
}

void plan_describe(const plan *p, void (*line)(void *context, const char *text), void *context) {
  char text[2048], shape[SHAPE_TEXT_MAX];
  for (size_t i = 0; i < p->n_steps; i++) {
    const plan_step *s = &p->steps[i];
    const node *n = s->run.node;
    size_t at = put(text, sizeof text, 0, "%4zu %-22s", i, n->op->name);
    for (int k = 0; k < n->n_inputs; k++)
      at = put(text, sizeof text, at, " %s", tensor_text(shape, n->inputs[k]));
    at = put(text, sizeof text, at, " ->");
    for (int k = 0; k < n->n_outputs; k++) {
      at = put(text, sizeof text, at, " %s", tensor_text(shape, n->outputs[k]));
      at = put_place(text, sizeof text, at, p, n->outputs[k]);
    }
    if (s->run.scratch)
      put(text, sizeof text, at, " scratch %zu B", p->blocks[s->scratch_block].bytes);
    line(context, text);
  }
  snprintf(text, sizeof text, "%zu steps, arena %zu B, packed weights %zu B, %.6g FLOP", p->n_steps,
           p->arena_bytes, p->packed_bytes, plan_flops(p));
  line(context, text);
}

/* ---- profiling ---- */

void plan_profile(plan *p, bool on) {
  p->profiling = on;
}

typedef struct profile_row {
  const op_record *op;
  size_t n;
  double seconds, flops, bytes;
} profile_row;

static int by_seconds(const void *left, const void *right) {
  const profile_row *a = left, *b = right;
  if (a->seconds != b->seconds) return a->seconds > b->seconds ? -1 : 1;
  return strcmp(a->op ? a->op->name : "", b->op ? b->op->name : "");
}

void plan_profile_report(const plan *p, void (*line)(void *context, const char *text),
                         void *context) {
  profile_row *rows = mem_array(n_op_records, sizeof *rows);
  if (!rows) return; /* a report for people: none is no harm */
  double total = 0, packing = 0, n_runs = p->n_runs > 0 ? (double)p->n_runs : 1;
  for (size_t i = 0; i < p->n_steps; i++) {
    const node *n = p->steps[i].run.node;
    size_t r = 0;
    while (op_records[r] != n->op) r++;
    rows[r].op = n->op;
    rows[r].n++;
    rows[r].seconds += p->steps[i].seconds;
    rows[r].flops += n->op->flops ? n->op->flops(n) * n_runs : 0;
    rows[r].bytes += node_bytes(n) * n_runs;
    total += p->steps[i].seconds + p->steps[i].pack_seconds;
    packing += p->steps[i].pack_seconds;
  }
  qsort(rows, n_op_records, sizeof *rows, by_seconds);
  char text[256];
  for (size_t r = 0; r < n_op_records; r++) {
    if (!rows[r].op) continue;
    double seconds = rows[r].seconds > 0 ? rows[r].seconds : 1;
    snprintf(text, sizeof text,
             "%-24s %5zu nodes %10.3f ms a run %5.1f %% %8.2f GFLOP/s %7.2f GB/s", rows[r].op->name,
             rows[r].n, 1e3 * rows[r].seconds / n_runs,
             total > 0 ? 100 * rows[r].seconds / total : 0.0, rows[r].flops / seconds * 1e-9,
             rows[r].bytes / seconds * 1e-9);
    line(context, text);
  }
  if (packing > 0) {
    snprintf(text, sizeof text, "%-24s %17.3f ms a run %5.1f %%", "packing weights",
             1e3 * packing / n_runs, 100 * packing / total);
    line(context, text);
  }
  mem_free(rows);
}
