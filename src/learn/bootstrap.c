/* Resampling of rows whose labels overlap: see bootstrap.h. */
#include "learn/bootstrap.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <string.h>

const char *const bootstrap_names[] = {"auto", "rows", "block", "sequential", NULL};

enum { BLOCK_LABELS = 4 };

/* The steps that a label lives in: [begin, end). */
typedef struct life {
  uint32_t begin, end;
} life;

struct bootstrap {
  bootstrap_config config;
  size_t n, n_drawn, n_steps;
  uint32_t longest;              /* steps of the longest life */
  life *lives;                   /* (n) begins do not fall */
  int64_t *known_at, *label_end; /* (n) of the rows; NULL: no times */
};

/* ---- lives ----------------------------------------------------------------------------------- */

/* Numbers of the dataset's times: step[r] for each row up to the last of `rows`. */
static garam_status steps_of(uint32_t **out, size_t *n_rows, const dataset *d, row_set rows,
                             garam_error *err) {
  size_t n = 0;
  *out = NULL;
  for (size_t i = 0; i < rows.n; i++) {
    REQUIRE(i == 0 || rows.rows[i] > rows.rows[i - 1], "bootstrap: rows must ascend");
    n = (size_t)rows.rows[i] + 1;
  }
  /* Labels end after the last row: as many rows more as are still in order of time. */
  while (n > 0 && n < d->n_rows && d->known_at[n] >= d->known_at[n - 1]) n++;
  uint32_t *step = mem_array(n + 1, sizeof *step);
  if (!step) return fail_memory(err, n * sizeof *step);
  for (size_t i = 1; i < n; i++) {
    if (d->known_at[i] < d->known_at[i - 1]) {
      mem_free(step);
      return fail(err, GARAM_INVALID,
                  "row %zu is earlier than the row above: rows must be in order "
                  "of time (--repair sort orders them)",
                  i);
    }
    step[i] = step[i - 1] + (d->known_at[i] > d->known_at[i - 1]);
  }
  *out = step;
  *n_rows = n;
  return GARAM_OK;
}

static garam_status lives_of(life **out, size_t *n_steps, uint32_t *longest, const dataset *d,
                             row_set rows, garam_error *err) {
  uint32_t *step = NULL;
  size_t n_rows = 0;
  life *lives = mem_array(rows.n + 1, sizeof *lives);
  *out = NULL;
  *n_steps = 0;
  *longest = 1;
  if (!lives) return fail_memory(err, rows.n * sizeof *lives);
  if (d->known_at) {
    garam_status status = steps_of(&step, &n_rows, d, rows, err);
    if (status != GARAM_OK) {
      mem_free(lives);
      return status;
    }
  }
  for (size_t i = 0; i < rows.n; i++) {
    uint32_t begin = step ? step[rows.rows[i]] : (uint32_t)i, end = begin + 1;
    if (step && d->label_end) {
      size_t low = rows.rows[i], high = n_rows; /* the first row after the label's end */
      while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->known_at[middle] <= d->label_end[rows.rows[i]]) low = middle + 1;
        else high = middle;
      }
      if (low > 0 && step[low - 1] > end) end = step[low - 1];
    }
    lives[i] = (life){begin, end};
    if (end - begin > *longest) *longest = end - begin;
    if (end > *n_steps) *n_steps = end;
  }
  mem_free(step);
  *out = lives;
  return GARAM_OK;
}

garam_status bootstrap_uniqueness(double *out, const dataset *d, row_set rows, garam_error *err) {
  life *lives;
  size_t n_steps;
  uint32_t longest;
  TRY(lives_of(&lives, &n_steps, &longest, d, rows, err));
  double *share = mem_array(n_steps + 1, sizeof *share); /* labels alive, then sums of 1 / alive */
  if (!share) {
    mem_free(lives);
    return fail_memory(err, n_steps * sizeof *share);
  }
  for (size_t i = 0; i < rows.n; i++) { /* births and deaths, added up to who is alive */
    share[lives[i].begin]++;
    share[lives[i].end]--;
  }
  for (size_t t = 1; t <= n_steps; t++) share[t] += share[t - 1];
  double sum = 0;
  for (size_t t = 0; t <= n_steps; t++) {
    double alive = share[t];
    share[t] = sum;
    if (alive > 0) sum += 1 / alive;
  }
  for (size_t i = 0; i < rows.n; i++)
    out[i] =
        (share[lives[i].end] - share[lives[i].begin]) / (double)(lives[i].end - lives[i].begin);
  mem_free(share);
  mem_free(lives);
  return GARAM_OK;
}

/* ---- a bootstrap ------------------------------------------------------------------------------
 */

static garam_status copy_times(bootstrap *b, const dataset *d, row_set rows, garam_error *err) {
  if (!d->known_at) return GARAM_OK;
  b->known_at = mem_array(rows.n + 1, sizeof *b->known_at);
  b->label_end = mem_array(rows.n + 1, sizeof *b->label_end);
  if (!b->known_at || !b->label_end) return fail_memory(err, rows.n * sizeof *b->known_at);
  for (size_t i = 0; i < rows.n; i++) {
    b->known_at[i] = d->known_at[rows.rows[i]];
    b->label_end[i] = d->label_end ? d->label_end[rows.rows[i]] : b->known_at[i];
  }
  return GARAM_OK;
}

garam_status bootstrap_new(bootstrap **out, const bootstrap_config *config, const dataset *d,
                           row_set rows, garam_error *err) {
  garam_status status;
  *out = NULL;
  REQUIRE(config->share > 0, "bootstrap: a share of %g", config->share);
  if (rows.n == 0) return fail(err, GARAM_INVALID, "there are no rows to draw from");
  bootstrap *b = mem_zalloc(sizeof *b);
  if (!b) return fail_memory(err, sizeof *b);
  b->config = *config;
  b->n = rows.n;
  double drawn = floor(config->share * (double)rows.n + 0.5);
  b->n_drawn = drawn < 1 ? 1 : (size_t)drawn;
  if (!config->replacement && b->n_drawn > rows.n) b->n_drawn = rows.n;
  TRY_GOTO(done, lives_of(&b->lives, &b->n_steps, &b->longest, d, rows, err));
  TRY_GOTO(done, copy_times(b, d, rows, err));
  if (config->kind == BOOTSTRAP_AUTO)
    b->config.kind = b->longest > 1 ? BOOTSTRAP_BLOCK : BOOTSTRAP_ROWS;
  if (b->config.block == 0) {
    size_t least = (size_t)ceil(cbrt((double)rows.n)), labels = BLOCK_LABELS * (size_t)b->longest;
    b->config.block = labels > least ? labels : least;
  }
  if (b->config.block > rows.n) b->config.block = rows.n;
  *out = b;
  b = NULL;
done:
  bootstrap_free(b);
  return status;
}

void bootstrap_free(bootstrap *b) {
  if (!b) return;
  mem_free(b->lives);
  mem_free(b->known_at);
  mem_free(b->label_end);
  mem_free(b);
}

bootstrap_kind bootstrap_resolved(const bootstrap *b) {
  return (bootstrap_kind)b->config.kind;
}

size_t bootstrap_block(const bootstrap *b) {
  return b->config.block;
}

/* ---- draws ----------------------------------------------------------------------------------- */

/* The first n_drawn of a shuffle of `n_items`, each standing for `size` rows from an offset. */
static garam_status draw_once(uint32_t *counts, const bootstrap *b, size_t size, rng *r,
                              garam_error *err) {
  size_t n_items = (b->n + size - 1) / size, left = b->n_drawn;
  size_t offset = size > 1 ? (size_t)rng_below(r, b->n) : 0;
  uint32_t *items = mem_array(n_items, sizeof *items);
  if (!items) return fail_memory(err, n_items * sizeof *items);
  for (size_t i = 0; i < n_items; i++) items[i] = (uint32_t)i;
  rng_shuffle(r, items, n_items);
  for (size_t i = 0; i < n_items && left > 0; i++) {
    size_t begin = items[i] * size, end = begin + size < b->n ? begin + size : b->n;
    for (size_t j = begin; j < end && left > 0; j++, left--) counts[(j + offset) % b->n] = 1;
  }
  mem_free(items);
  return GARAM_OK;
}

static void draw_blocks(uint32_t *counts, const bootstrap *b, rng *r) {
  for (size_t left = b->n_drawn; left > 0;) {
    size_t begin = (size_t)rng_below(r, b->n);
    for (size_t j = 0; j < b->config.block && left > 0; j++, left--) counts[(begin + j) % b->n]++;
  }
}

/* Odds of the rows in a Fenwick tree: a draw and a change are both O(log n). */
typedef struct odds {
  size_t n, top; /* top: the largest power of 2 that is at most n */
  double *tree;  /* (n + 1) */
  double *of;    /* (n) */
} odds;

static void odds_set(odds *o, size_t i, double value) {
  double change = value - o->of[i];
  o->of[i] = value;
  for (size_t j = i + 1; j <= o->n; j += j & (~j + 1)) o->tree[j] += change;
}

static size_t odds_find(const odds *o, double at) {
  size_t i = 0;
  for (size_t step = o->top; step > 0; step /= 2)
    if (i + step <= o->n && o->tree[i + step] <= at) {
      i += step;
      at -= o->tree[i];
    }
  return i < o->n ? i : o->n - 1;
}

static double odds_total(const odds *o) {
  double total = 0;
  for (size_t j = o->n; j > 0; j -= j & (~j + 1)) total += o->tree[j];
  return total;
}

/* After a draw of row i: new odds for all rows whose life meets its own. A row's odds are the mean
 * over its life of 1 / (1 + labels drawn that are alive): its average uniqueness if it came next
 * (4.5.1). Lives begin in order, so those that meet it are neighbours. */
static void update_odds(odds *o, const bootstrap *b, const uint32_t *alive, double *sums,
                        size_t i) {
  const life *lives = b->lives, here = lives[i];
  size_t first = i, last = i;
  while (first > 0 && lives[first - 1].begin + b->longest > here.begin) first--;
  while (last + 1 < b->n && lives[last + 1].begin < here.end) last++;
  uint32_t from = lives[first].begin, to = from;
  for (size_t j = first; j <= last; j++)
    if (lives[j].end > to) to = lives[j].end;
  sums[0] = 0;
  for (uint32_t t = from; t < to; t++)
    sums[t - from + 1] = sums[t - from] + 1 / (1 + (double)alive[t]);
  for (size_t j = first; j <= last; j++)
    odds_set(o, j,
             (sums[lives[j].end - from] - sums[lives[j].begin - from]) /
                 (double)(lives[j].end - lives[j].begin));
}

static garam_status draw_sequential(uint32_t *counts, const bootstrap *b, rng *r,
                                    garam_error *err) {
  odds o = {.n = b->n, .top = 1};
  garam_status status = GARAM_OK;
  uint32_t *alive = mem_array(b->n_steps + 1, sizeof *alive);
  double *sums = mem_array(3 * (size_t)b->longest + 2, sizeof *sums);
  o.tree = mem_array(b->n + 1, sizeof *o.tree);
  o.of = mem_array(b->n, sizeof *o.of);
  if (!alive || !sums || !o.tree || !o.of) {
    status = fail_memory(err, b->n * sizeof *o.tree);
    goto done;
  }
  while (o.top * 2 <= o.n) o.top *= 2;
  for (size_t i = 0; i < b->n; i++) odds_set(&o, i, 1);
  for (size_t k = 0; k < b->n_drawn; k++) {
    size_t i = odds_find(&o, rng_uniform(r) * odds_total(&o));
    counts[i]++;
    for (uint32_t t = b->lives[i].begin; t < b->lives[i].end; t++) alive[t]++;
    update_odds(&o, b, alive, sums, i);
  }
done:
  mem_free(alive);
  mem_free(sums);
  mem_free(o.tree);
  mem_free(o.of);
  return status;
}

garam_status bootstrap_draw(uint32_t *counts, const bootstrap *b, uint64_t seed, uint64_t number,
                            garam_error *err) {
  rng r;
  rng_init(&r, seed, RNG_BOOTSTRAP, number);
  memset(counts, 0, b->n * sizeof *counts);
  switch ((bootstrap_kind)b->config.kind) {
  case BOOTSTRAP_SEQUENTIAL: return draw_sequential(counts, b, &r, err);
  case BOOTSTRAP_BLOCK:
    if (!b->config.replacement) return draw_once(counts, b, b->config.block, &r, err);
    draw_blocks(counts, b, &r);
    return GARAM_OK;
  default:
    if (!b->config.replacement) return draw_once(counts, b, 1, &r, err);
    for (size_t k = 0; k < b->n_drawn; k++) counts[rng_below(&r, b->n)]++;
    return GARAM_OK;
  }
}

size_t bootstrap_unseen(uint8_t *out, const bootstrap *b, const uint32_t *counts) {
  size_t n = 0;
  int64_t open = 0,
          next = 0; /* the latest end of a drawn label so far; the next drawn row's time */
  bool any = false;
  for (size_t i = 0; i < b->n; i++) {
    out[i] = counts[i] == 0 && !(b->known_at && any && open >= b->known_at[i]);
    if (counts[i] == 0 || !b->known_at) continue;
    open = any && open > b->label_end[i] ? open : b->label_end[i];
    any = true;
  }
  any = false;
  for (size_t i = b->n; i-- > 0;) {
    if (b->known_at && any && next <= b->label_end[i]) out[i] = 0;
    if (counts[i] > 0 && b->known_at) {
      next = b->known_at[i];
      any = true;
    }
    n += out[i];
  }
  return n;
}
