/* Gains: a leaf with gradients G and hessians H is worth L1(G)^2 / (H + l2) (Chen & Guestrin 2016,
 * eq. 6, 7; with L1(G) = sign(G) max(|G| - l1, 0)). Cuts by number are screened in float32, all
 * at once, and those within rounding of the best are weighed in float64. */
#include "tree/split.h"

#include "base/wide.h"

#include <math.h>
#include <string.h>

static double shrink(double g, double l1) {
  if (l1 <= 0) return g;
  double a = fabs(g) - l1;
  return a <= 0 ? 0 : g < 0 ? -a : a;
}

double split_value(double gradient, double hessian, double n_rows, double parent, double lower,
                   double upper, const split_rules *rules) {
  double under = hessian + rules->l2;
  double w = under > 0 ? -shrink(gradient, rules->l1) / under : 0;
  if (rules->max_output > 0) w = fmin(fmax(w, -rules->max_output), rules->max_output);
  if (rules->path_smooth > 0) {
    double share = n_rows / (n_rows + rules->path_smooth);
    w = w * share + parent * (1 - share);
  }
  return fmin(fmax(w, lower), upper);
}

/* What a leaf is worth with a value of its own choice, or with a given one. */
static double worth(double g, double h, double l1, double l2) {
  double s = shrink(g, l1);
  return h + l2 > 0 ? s * s / (h + l2) : 0;
}
static double worth_with(double g, double h, double w, double l1, double l2) {
  return -(2 * shrink(g, l1) * w + (h + l2) * w * w);
}

typedef struct scan {
  const split_leaf *leaf;
  const split_rules *rules;
  double l2;
  double parent;       /* worth of the leaf before the cut, and --min-gain */
  int32_t min_hessian; /* in quanta */
  double rows_per_hessian;
  bool plain; /* values are bound: no formula for the gain */
  int direction;
} scan;

static double exact_gain(const scan *x, packed left, double *wl, double *wr) {
  packed right = x->leaf->total - left;
  const split_rules *r = x->rules;
  const quantum *u = &x->leaf->unit;
  double gl = packed_gradient(left) * u->gradient, hl = packed_hessian(left) * u->hessian;
  double gr = packed_gradient(right) * u->gradient, hr = packed_hessian(right) * u->hessian;
  if (!x->plain) {
    *wl = hl + x->l2 > 0 ? -shrink(gl, r->l1) / (hl + x->l2) : 0;
    *wr = hr + x->l2 > 0 ? -shrink(gr, r->l1) / (hr + x->l2) : 0;
    return worth(gl, hl, r->l1, x->l2) + worth(gr, hr, r->l1, x->l2) - x->parent;
  }
  split_rules with = *r;
  with.l2 = x->l2;
  double nl = packed_hessian(left) * x->rows_per_hessian;
  double nr = packed_hessian(right) * x->rows_per_hessian;
  *wl = split_value(gl, hl, nl, x->leaf->value, x->leaf->lower, x->leaf->upper, &with);
  *wr = split_value(gr, hr, nr, x->leaf->value, x->leaf->lower, x->leaf->upper, &with);
  if (x->direction != 0 && (*wr - *wl) * x->direction < 0) return -INFINITY;
  return worth_with(gl, hl, *wl, r->l1, x->l2) + worth_with(gr, hr, *wr, r->l1, x->l2) - x->parent;
}

static bool fits(const scan *x, packed left) {
  return packed_hessian(left) >= x->min_hessian &&
         packed_hessian(x->leaf->total - left) >= x->min_hessian;
}

/* ---- numbers ------------------------------------------------------------------------------- */

typedef struct screen {
  float l1, l2, hessian; /* in quanta of gradients; hessian: of one quantum */
  int32_t min_hessian;
} screen;

/* worth[b] = bits of the two sides' worth, as floats that are not negative (their bits are then in
 * the order of their values); 0 where a side is too small. Returns the largest. */
WIDE static int32_t screen_cuts(int32_t *restrict worths, const packed *restrict left, int n,
                                packed total, screen s) {
  int32_t most = 0;
  for (int b = 0; b < n; b++) {
    packed right = total - left[b];
    int32_t il = (int32_t)(uint32_t)(uint64_t)left[b], ir = (int32_t)(uint32_t)(uint64_t)right;
    float gl = fabsf((float)(int32_t)(left[b] >> 32)) - s.l1;
    float gr = fabsf((float)(int32_t)(right >> 32)) - s.l1;
    gl = gl > 0 ? gl : 0;
    gr = gr > 0 ? gr : 0;
    float a = (float)il * s.hessian + s.l2, c = (float)ir * s.hessian + s.l2;
    float w = gl * gl / a + gr * gr / c;
    int32_t bits;
    __builtin_memcpy(&bits, &w, 4);
    bits = ((il >= s.min_hessian) & (ir >= s.min_hessian)) ? bits : 0;
    worths[b] = bits;
    most = bits > most ? bits : most;
  }
  return most;
}

typedef struct cut {
  double gain, left_value, right_value;
  int code;
  bool missing_left;
  packed left;
} cut;

/* Exact gains of the cuts that the screen can't tell from the best. */
static void weigh_cuts(cut *best, const scan *x, const int32_t *worths, int32_t most,
                       const packed *left, int n, bool missing_left) {
  float top;
  memcpy(&top, &most, 4);
  float from = top * (1 - 0x1p-19f);
  int32_t least;
  memcpy(&least, &from, 4);
  if (least < 1) least = 1;
  for (int b = 0; b < n; b++) {
    if (worths[b] < least) continue;
    double wl, wr, gain = exact_gain(x, left[b], &wl, &wr);
    if (gain > best->gain) *best = (cut){gain, wl, wr, b, missing_left, left[b]};
  }
}

static void try_cuts(cut *best, const scan *x, const packed *left, int n, bool missing_left) {
  int32_t worths[BINS_CODES];
  if (x->plain) {
    for (int b = 0; b < n; b++) {
      if (!fits(x, left[b])) continue;
      double wl, wr, gain = exact_gain(x, left[b], &wl, &wr);
      if (gain > best->gain) *best = (cut){gain, wl, wr, b, missing_left, left[b]};
    }
    return;
  }
  const quantum *u = &x->leaf->unit;
  const screen s = {(float)(x->rules->l1 / u->gradient), (float)x->l2, (float)u->hessian,
                    x->min_hessian};
  int32_t most = screen_cuts(worths, left, n, x->leaf->total, s);
  float top;
  memcpy(&top, &most, 4);
  /* In quanta of gradients the exact gain is squared quanta more; is it near the best so far? */
  double near = (double)top * u->gradient * u->gradient * (1 + 0x1p-18) - x->parent;
  if (most > 0 && near > best->gain) weigh_cuts(best, x, worths, most, left, n, missing_left);
}

/* left[b] = h[0] + ... + h[b]: four quarters side by side, each then raised by those before it. */
WIDE static void add_up(packed *restrict left, const packed *restrict h, int n) {
  const int quarter = (n + 3) / 4;
  packed sum[4] = {0};
  for (int i = 0; i < quarter; i++)
    for (int k = 0; k < 4; k++) {
      /* The last quarter may run over the end: within BINS_CODES, and not read. */
      int b = k * quarter + i;
      left[b] = sum[k] += h[b];
    }
  for (int k = 1; k < 4; k++) {
    packed before = left[k * quarter - 1];
    for (int i = 0; i < quarter; i++) left[k * quarter + i] += before;
  }
}

static void search_numbers(split *best, scan *x, const packed *h, const bin_feature *f,
                           uint32_t feature, int64_t random) {
  packed left[BINS_CODES], missing = h[BINS_MISSING];
  int n = f->n_bins, first = 0, last = n - 1;
  add_up(left, h, n);
  if (missing == 0) n--;
  cut c = {.gain = best->gain};
  if (random >= 0) { /* one cut between the first and the last bin that have rows */
    while (first < last && h[first] == 0) first++;
    while (last > first && h[last] == 0) last--;
    if (first == last && missing == 0) return;
    int span = last - first + (missing != 0), b = first + (int)(random % span);
    bool missing_left = missing != 0 && b < last && (random >> 20 & 1);
    packed sums = left[b] + (missing_left ? missing : 0);
    if (!fits(x, sums)) return;
    double wl, wr, gain = exact_gain(x, sums, &wl, &wr);
    if (gain > c.gain) c = (cut){gain, wl, wr, b, missing_left, sums};
  } else {
    try_cuts(&c, x, left, n, false);
    if (missing != 0) {
      for (int b = 0; b < n; b++) left[b] += missing;
      try_cuts(&c, x, left, n - 1, true);
    }
  }
  if (!(c.gain > best->gain)) return;
  /* Bins without rows may go either way: the cut goes to the middle of them. */
  int to = c.code;
  while (random < 0 && to + 1 < f->n_bins - 1 && h[to + 1] == 0) to++;
  c.code += (to - c.code) / 2;
  if (missing == 0)
    c.missing_left = packed_hessian(c.left) > packed_hessian(x->leaf->total - c.left);
  *best = (split){.gain = c.gain,
                  .feature = feature,
                  .code = c.code,
                  .missing_left = c.missing_left,
                  .left = c.left,
                  .left_value = c.left_value,
                  .right_value = c.right_value};
  for (int b = 0; b <= c.code; b++) best->left_codes[b >> 5] |= 1u << (b & 31);
  if (c.missing_left) best->left_codes[BINS_MISSING >> 5] |= 1u << (BINS_MISSING & 31);
}

/* ---- categories ---------------------------------------------------------------------------- */

typedef struct group {
  double ratio;
  int code;
} group;

static void sort_groups(group *g, int n) {
  for (int i = 1; i < n; i++) {
    group x = g[i];
    int j = i;
    for (; j > 0 &&
           (g[j - 1].ratio > x.ratio || (g[j - 1].ratio == x.ratio && g[j - 1].code > x.code));
         j--)
      g[j] = g[j - 1];
    g[j] = x;
  }
}

static void take_categories(split *best, const scan *x, uint32_t feature, packed left, double gain,
                            double wl, double wr, const uint32_t *codes) {
  (void)x;
  *best = (split){.gain = gain,
                  .feature = feature,
                  .categorical = true,
                  .left = left,
                  .left_value = wl,
                  .right_value = wr};
  memcpy(best->left_codes, codes, sizeof best->left_codes);
}

/* Sorted by gradient over hessian, the best set is a prefix, from one end or the other (Fisher
 * 1958); at most max_categories of them, so that the set is small. */
static void search_categories(split *best, scan *x, const packed *h, const bin_feature *f,
                              uint32_t feature, int64_t random) {
  const quantum *u = &x->leaf->unit;
  group groups[BINS_CODES];
  int n = 0;
  double wl, wr;
  if (f->n_bins <= x->rules->one_hot_categories) {
    for (int b = 0; b < f->n_bins; b++) {
      if (random >= 0 && b != (int)(random % f->n_bins)) continue;
      uint32_t codes[BINS_CODES / 32] = {0};
      codes[b >> 5] = 1u << (b & 31);
      if (!fits(x, h[b])) continue;
      double gain = exact_gain(x, h[b], &wl, &wr);
      if (gain > best->gain) take_categories(best, x, feature, h[b], gain, wl, wr, codes);
    }
    return;
  }
  x->l2 += x->rules->category_l2;
  for (int b = 0; b < f->n_bins; b++) {
    double hessian = packed_hessian(h[b]) * u->hessian;
    if (packed_hessian(h[b]) * x->rows_per_hessian < x->rules->category_smooth) continue;
    groups[n++] =
        (group){packed_gradient(h[b]) * u->gradient / (hessian + x->rules->category_smooth), b};
  }
  sort_groups(groups, n);
  int most = n / 2 + 1 < x->rules->max_categories ? n / 2 + 1 : x->rules->max_categories;
  for (int way = 0; way < 2; way++) {
    uint32_t codes[BINS_CODES / 32] = {0};
    packed left = 0;
    for (int i = 0; i < n && i < most; i++) {
      int b = groups[way ? n - 1 - i : i].code;
      left += h[b];
      codes[b >> 5] |= 1u << (b & 31);
      if (random >= 0 && i != (int)(random % most)) continue;
      if (!fits(x, left)) continue;
      double gain = exact_gain(x, left, &wl, &wr);
      if (gain > best->gain) take_categories(best, x, feature, left, gain, wl, wr, codes);
    }
  }
}

/* ---- both ---------------------------------------------------------------------------------- */

void split_search(split *best, const packed *h, const bin_feature *f, uint32_t feature,
                  const split_leaf *leaf, const split_rules *rules, int64_t random) {
  const quantum *u = &leaf->unit;
  int32_t whole = packed_hessian(leaf->total);
  if (f->n_bins + (h[BINS_MISSING] != 0) < 2 || whole <= 0) return;
  scan x = {.leaf = leaf, .rules = rules, .l2 = rules->l2};
  x.rows_per_hessian = (double)leaf->n_rows / whole;
  x.direction = rules->monotone ? rules->monotone[feature] : 0;
  x.plain = rules->path_smooth > 0 || rules->max_output > 0 || x.direction != 0 ||
            leaf->lower > -INFINITY || leaf->upper < INFINITY;
  double g = packed_gradient(leaf->total) * u->gradient, hessian = whole * u->hessian;
  x.parent = x.plain && rules->path_smooth > 0
                 ? worth_with(g, hessian, leaf->value, rules->l1, rules->l2)
                 : worth(g, hessian, rules->l1, rules->l2);
  x.parent += rules->min_gain;
  double least = fmax(rules->min_hessian / u->hessian, rules->min_rows / x.rows_per_hessian);
  x.min_hessian = least >= 2147483647.0 ? INT32_MAX : least < 1 ? 1 : (int32_t)ceil(least - 1e-9);
  if (whole / 2 < x.min_hessian && whole - x.min_hessian < x.min_hessian) return;
  if (f->categorical) search_categories(best, &x, h, f, feature, random);
  else search_numbers(best, &x, h, f, feature, random);
}
