/* Levels in sorted arrays: nearly everything happens within a few places of the best. */
#include "market/depth.h"

#include "base/mem.h"

#include <string.h>

void depth_deinit(depth *d) {
  depth_side *sides[] = {&d->asks, &d->bids};
  for (int i = 0; i < 2; i++) {
    mem_free(sides[i]->key);
    mem_free(sides[i]->size);
    *sides[i] = (depth_side){.sign = sides[i]->sign};
  }
}

void depth_clear(depth *d) {
  d->asks.n = d->bids.n = 0;
}

/* The first level whose key is not below this one. */
static size_t place(const depth_side *s, int64_t key) {
  size_t low = 0, high = s->n;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (s->key[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void cut(depth_side *s, size_t at, size_t n) {
  size_t behind = (s->n - at - n) * sizeof *s->key;
  memmove(s->key + at, s->key + at + n, behind);
  memmove(s->size + at, s->size + at + n, behind);
  s->n -= n;
}

garam_status depth_set(depth_side *s, int64_t price, int64_t size, garam_error *err) {
  const int64_t key = s->sign * price;
  size_t at = place(s, key);
  const bool there = at < s->n && s->key[at] == key;
  if (size == 0) {
    if (there) cut(s, at, 1);
    return GARAM_OK;
  }
  if (!there) {
    if (s->n == DEPTH_MOST) return fail(err, GARAM_INVALID, "more than %d prices", DEPTH_MOST);
    TRY(mem_grow(&s->key, &s->key_capacity, s->n + 1, sizeof *s->key, err));
    TRY(mem_grow(&s->size, &s->size_capacity, s->n + 1, sizeof *s->size, err));
    memmove(s->key + at + 1, s->key + at, (s->n - at) * sizeof *s->key);
    memmove(s->size + at + 1, s->size + at, (s->n - at) * sizeof *s->size);
    s->n++;
    s->key[at] = key;
  }
  s->size[at] = size;
  return GARAM_OK;
}

void depth_trim(depth_side *s, int64_t price) {
  size_t better = place(s, s->sign * price);
  if (better > 0) cut(s, 0, better);
}

bool depth_parse(int64_t *out, const char *text) {
  int64_t whole = 0, rest = 0, unit = DEPTH_UNIT;
  const char *at = text;
  for (; *at >= '0' && *at <= '9'; at++) {
    whole = whole * 10 + (*at - '0');
    if (whole > INT64_C(90000000000)) return false;
  }
  if (at == text) return false;
  if (*at == '.') {
    const char *point = at++;
    for (; *at >= '0' && *at <= '9'; at++) {
      if (unit == 1 && *at != '0') return false;
      if (unit == 1) continue;
      unit /= 10;
      rest += (*at - '0') * unit;
    }
    if (at == point + 1) return false;
  }
  *out = whole * DEPTH_UNIT + rest;
  return *at == 0;
}
