/* Members from text: see spec.h. */
#include "ensemble/spec.h"

#include "base/mem.h"

#include <ctype.h>
#include <string.h>

/* A view of text, without the blanks around it. */
typedef struct piece {
  const char *at;
  size_t n;
} piece;

static piece trimmed(const char *at, size_t n) {
  while (n > 0 && isspace((unsigned char)*at)) at++, n--;
  while (n > 0 && isspace((unsigned char)at[n - 1])) n--;
  return (piece){at, n};
}

/* Where the first of `stops` stands outside of parentheses; p.n when nowhere. */
static size_t find_outside(piece p, const char *stops) {
  int depth = 0;
  for (size_t i = 0; i < p.n; i++) {
    if (depth == 0 && strchr(stops, p.at[i])) return i;
    depth += p.at[i] == '(';
    depth -= p.at[i] == ')';
  }
  return p.n;
}

static garam_status check_parentheses(const char *text, const char *where, garam_error *err) {
  int depth = 0;
  for (const char *at = text; *at && depth >= 0; at++) {
    depth += *at == '(';
    depth -= *at == ')';
  }
  if (depth != 0)
    return fail(err, GARAM_INVALID, "%s: \"%s\": a parenthesis is not closed or not opened", where,
                text);
  return GARAM_OK;
}

static garam_status set_value(member_spec *m, const opt_row *row, piece value, const char *where,
                              garam_error *err) {
  char text[SPEC_TEXT_MAX];
  if (value.n >= 2 && value.at[0] == '(' && value.at[value.n - 1] == ')')
    value = trimmed(value.at + 1, value.n - 2);
  if (value.n >= sizeof text)
    return fail(err, GARAM_INVALID, "%s: %s: --%s: longer than %d characters", where, m->ops->name,
                row->name, SPEC_TEXT_MAX - 1);
  memcpy(text, value.at, value.n);
  text[value.n] = 0;
  garam_status status = opt_set_text(row, m->config, text, err);
  return status == GARAM_OK ? status : fail_within(err, status, "%s: %s", where, m->ops->name);
}

/* NAME=VALUE, or the name of a preset. Presets go in first, so that what else is given wins. */
static garam_status apply(member_spec *m, piece setting, bool presets, const char *where,
                          garam_error *err) {
  char name[64];
  size_t equals = find_outside(setting, "=");
  bool bare = equals == setting.n;
  piece key = trimmed(setting.at, equals);
  if (key.n == 0 || key.n >= sizeof name)
    return fail(err, GARAM_INVALID, "%s: %s: \"%.*s\" is not a setting; NAME=VALUE is", where,
                m->ops->name, (int)setting.n, setting.at);
  memcpy(name, key.at, key.n);
  name[key.n] = 0;
  bool is_preset = bare || strcmp(name, "preset") == 0;
  if (is_preset != presets) return GARAM_OK;
  if (is_preset) {
    if (!bare) {
      piece value = trimmed(setting.at + equals + 1, setting.n - equals - 1);
      snprintf(name, sizeof name, "%.*s", (int)value.n, value.at);
    }
    garam_status status = learner_apply_preset(m->ops, m->config, name, err);
    return status == GARAM_OK ? status : fail_within(err, status, "%s", where);
  }
  const opt_row *row = opt_find(m->ops->options, m->ops->n_options, name);
  if (!row) {
    const char *near = NULL;
    for (size_t i = 0; i < m->ops->n_options; i++) {
      const char *pair[2] = {near ? near : m->ops->options[i].name, m->ops->options[i].name};
      const char *found = name_nearest(name, pair, 2);
      if (found) near = found;
    }
    return fail(err, GARAM_NOT_FOUND, "%s: %s has no setting \"%s\"%s%s%s", where, m->ops->name,
                name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  }
  return set_value(m, row, trimmed(setting.at + equals + 1, setting.n - equals - 1), where, err);
}

/* The pieces of one member: [0] is its name with the first setting, the others are settings. */
static garam_status read_member(member_spec *m, const piece *pieces, size_t n, task kind,
                                const char *where, garam_error *err) {
  char name[64];
  size_t colon = find_outside(pieces[0], ":");
  piece word = trimmed(pieces[0].at, colon);
  snprintf(name, sizeof name, "%.*s", (int)word.n, word.at);
  m->ops = learner_find(name, err);
  if (!m->ops) return fail_within(err, err ? err->status : GARAM_NOT_FOUND, "%s", where);
  if (!(m->ops->tasks & 1u << kind))
    return fail(err, GARAM_UNSUPPORTED, "%s: \"%s\" does not do the task %s", where, name,
                task_names[kind]);
  size_t length = (size_t)(pieces[n - 1].at + pieces[n - 1].n - pieces[0].at);
  m->text = mem_format("%.*s", (int)length, pieces[0].at);
  m->config = mem_zalloc(m->ops->config_size ? m->ops->config_size : 1);
  if (!m->text || !m->config) return fail_memory(err, m->ops->config_size);
  opt_defaults(m->ops->options, m->ops->n_options, m->config);
  piece first = {0};
  if (colon < pieces[0].n) first = trimmed(pieces[0].at + colon + 1, pieces[0].n - colon - 1);
  for (int presets = 1; presets >= 0; presets--) {
    if (colon < pieces[0].n) TRY(apply(m, first, presets, where, err));
    for (size_t i = 1; i < n; i++) TRY(apply(m, pieces[i], presets, where, err));
  }
  return GARAM_OK;
}

/* Does a piece belong to the member before it? NAME=VALUE does, NAME and NAME:... do not. */
static bool is_setting(piece p) {
  size_t at = find_outside(p, "=:");
  return at < p.n && p.at[at] == '=';
}

garam_status member_specs_parse(member_specs *out, const char *text, task kind, const char *where,
                                garam_error *err) {
  garam_status status;
  size_t most = 1, n = 0, begin = 0;
  *out = (member_specs){0};
  TRY(check_parentheses(text, where, err));
  for (const char *at = text; *at; at++) most += *at == ',';
  piece *pieces = mem_array(most, sizeof *pieces);
  out->items = mem_array(most, sizeof *out->items);
  if (!pieces || !out->items) TRY_GOTO(done, fail_memory(err, most * sizeof *pieces));
  for (piece rest = {text, strlen(text)};;) {
    size_t comma = find_outside(rest, ",");
    pieces[n] = trimmed(rest.at, comma);
    if (pieces[n].n == 0)
      TRY_GOTO(done, fail(err, GARAM_INVALID, "%s: \"%s\": %s", where, text,
                          text[strspn(text, " \t")] ? "nothing stands between two commas"
                                                    : "no member is named"));
    n++;
    if (comma == rest.n) break;
    rest = (piece){rest.at + comma + 1, rest.n - comma - 1};
  }
  if (is_setting(pieces[0]))
    TRY_GOTO(done, fail(err, GARAM_INVALID, "%s: \"%.*s\" is a setting of no member", where,
                        (int)pieces[0].n, pieces[0].at));
  for (size_t i = 1; i <= n; i++) {
    if (i < n && is_setting(pieces[i])) continue;
    TRY_GOTO(done, read_member(&out->items[out->n++], pieces + begin, i - begin, kind, where, err));
    begin = i;
  }
  status = GARAM_OK;
done:
  mem_free(pieces);
  if (status != GARAM_OK) member_specs_deinit(out);
  return status;
}

void member_specs_deinit(member_specs *s) {
  for (size_t i = 0; i < s->n; i++) {
    mem_free(s->items[i].config);
    mem_free(s->items[i].text);
  }
  mem_free(s->items);
  *s = (member_specs){0};
}
