/* Features named in options: categories, monotone ones, groups that may interact. */
#include "tree/gbdt_inner.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The feature called text (n characters), or numbered so where none has that name. */
static garam_status find_feature(size_t *out, const dataset *d, const char *text, size_t n,
                                 const char *option, garam_error *err) {
  for (size_t j = 0; d->feature_names && j < d->n_features; j++)
    if (strlen(d->feature_names[j]) == n && memcmp(d->feature_names[j], text, n) == 0) {
      *out = j;
      return GARAM_OK;
    }
  if (n > 0 && n < 10 && strspn(text, "0123456789") >= n) {
    *out = (size_t)strtoul(text, NULL, 10);
    if (!d->feature_names && *out < d->n_features) return GARAM_OK;
  }
  char name[128];
  size_t most = n < sizeof name - 1 ? n : sizeof name - 1;
  memcpy(name, text, most);
  name[most] = 0;
  const char *near = d->feature_names
                         ? name_nearest(name, (const char *const *)d->feature_names, d->n_features)
                         : NULL;
  return fail(err, GARAM_NOT_FOUND, "--%s: no feature is named \"%s\"%s%s%s", option, name,
              near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

typedef garam_status (*item_fn)(gbdt_columns *c, const dataset *d, const char *text, size_t n,
                                garam_error *err);

/* fn for each part of text between commas. */
static garam_status each_item(gbdt_columns *c, const dataset *d, const char *text, size_t size,
                              item_fn fn, garam_error *err) {
  for (size_t from = 0; from < size;) {
    size_t n = 0;
    while (from + n < size && text[from + n] != ',') n++;
    if (n > 0) TRY(fn(c, d, text + from, n, err));
    from += n + 1;
  }
  return GARAM_OK;
}

static garam_status add_categorical(gbdt_columns *c, const dataset *d, const char *text, size_t n,
                                    garam_error *err) {
  size_t j;
  TRY(find_feature(&j, d, text, n, "categorical", err));
  c->categorical[j] = 1;
  return GARAM_OK;
}

static garam_status add_monotone(gbdt_columns *c, const dataset *d, const char *text, size_t n,
                                 garam_error *err) {
  size_t j;
  if (n < 2 || (text[0] != '+' && text[0] != '-'))
    return fail(err, GARAM_INVALID, "--monotone: expected +feature or -feature, found \"%.*s\"",
                (int)n, text);
  TRY(find_feature(&j, d, text + 1, n - 1, "monotone", err));
  c->monotone[j] = text[0] == '+' ? 1 : -1;
  return GARAM_OK;
}

static garam_status add_allowed(gbdt_columns *c, const dataset *d, const char *text, size_t n,
                                garam_error *err) {
  size_t j;
  TRY(find_feature(&j, d, text, n, "interactions", err));
  c->allowed[c->n_groups * d->n_features + j] = 1;
  return GARAM_OK;
}

static garam_status read_interactions(gbdt_columns *c, const char *text, const dataset *d,
                                      garam_error *err) {
  while (*text) {
    size_t n = strcspn(text, ";");
    if (n > 0) {
      TRY(each_item(c, d, text, n, add_allowed, err));
      c->n_groups++;
    }
    text += n + (text[n] == ';');
  }
  return GARAM_OK;
}

garam_status gbdt_columns_init(gbdt_columns *out, const gbdt_config *c, const dataset *d,
                               garam_error *err) {
  size_t n = d->n_features, groups = 1;
  garam_status status = GARAM_OK;
  *out = (gbdt_columns){0};
  for (const char *at = c->interactions; *at; at++) groups += *at == ';';
  if (d->categorical || c->categorical[0]) out->categorical = mem_array(n, 1);
  if (c->monotone[0]) out->monotone = mem_array(n, 1);
  if (c->interactions[0]) out->allowed = mem_array(groups, n);
  if (((d->categorical || c->categorical[0]) && !out->categorical) ||
      (c->monotone[0] && !out->monotone) || (c->interactions[0] && !out->allowed))
    TRY_GOTO(done, fail_memory(err, groups * n));
  if (d->categorical) memcpy(out->categorical, d->categorical, n);
  TRY_GOTO(done, each_item(out, d, c->categorical, strlen(c->categorical), add_categorical, err));
  TRY_GOTO(done, each_item(out, d, c->monotone, strlen(c->monotone), add_monotone, err));
  TRY_GOTO(done, read_interactions(out, c->interactions, d, err));
  for (size_t j = 0; j < n; j++)
    if (out->monotone && out->categorical && out->monotone[j] && out->categorical[j]) {
      status = fail(err, GARAM_INVALID, "--monotone: feature %zu is of categories", j);
      break;
    }
done:
  if (status != GARAM_OK) gbdt_columns_deinit(out);
  return status;
}

void gbdt_columns_deinit(gbdt_columns *c) {
  mem_free(c->categorical);
  mem_free(c->monotone);
  mem_free(c->allowed);
  *c = (gbdt_columns){0};
}
