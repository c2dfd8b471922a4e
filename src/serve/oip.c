/* Requests: JSON with its lists, JSON with binary data behind it, or binary data alone. */
#include "serve/oip.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>

void oip_request_deinit(oip_request *r) {
  mem_free(r->x);
  *r = (oip_request){0};
}

int oip_top_class(const float *p, int k) {
  int top = 0;
  for (int i = 1; i < k; i++)
    if (p[i] > p[top]) top = i;
  return top;
}

static bool is_values(const session_info *model) {
  return model->acts || model->task == TASK_REGRESSION || model->task == TASK_RANKING;
}

static const char *output_name(const session_info *model, int which) {
  if (which == OIP_LABEL) return "label";
  return model->acts ? "action" : is_values(model) ? "value" : "probabilities";
}

static int n_outputs(const session_info *model) {
  return is_values(model) ? 1 : 2;
}

/* ---- elements -------------------------------------------------------------------------- */

/* Where an element is, for a message: "input \"features\": element [2,5] (feature \"rsi_14\")". */
static garam_status fail_element(garam_error *err, garam_status status, const session_info *model,
                                 size_t flat, const char *what) {
  size_t f = model->n_features, t = model->context;
  char where[96];
  if (t == 1) snprintf(where, sizeof where, "[%zu,%zu]", flat / f, flat % f);
  else snprintf(where, sizeof where, "[%zu,%zu,%zu]", flat / f / t, flat / f % t, flat % f);
  return fail(err, status, "input \"features\": element %s (feature \"%s\") %s", where,
              model->feature_names[flat % f], what);
}

static garam_status put_real(float *out, double value, const session_info *model, size_t flat,
                             garam_error *err) {
  *out = (float)value;
  if (isfinite(*out)) return GARAM_OK;
  return fail_element(err, GARAM_INVALID, model, flat,
                      isnan(value)       ? "is NaN; finite numbers are expected"
                      : !isfinite(value) ? "is infinite; finite numbers are expected"
                                         : "is beyond the range of FP32");
}

static garam_status put_integer(float *out, int64_t value, const session_info *model, size_t flat,
                                garam_error *err) {
  *out = (float)value;
  if (*out < 0x1p63f && (int64_t)*out == value) return GARAM_OK;
  char what[80];
  snprintf(what, sizeof what, "is %lld, which FP32 cannot hold exactly", (long long)value);
  return fail_element(err, GARAM_INVALID, model, flat, what);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors on the wire are little-endian");

static garam_status put_fp32(float *out, const char *in, size_t n, const session_info *model,
                             garam_error *err) {
  memcpy(out, in, n * sizeof *out);
  for (size_t i = 0; i < n; i++)
    if (!isfinite(out[i])) return put_real(&out[i], (double)out[i], model, i, err);
  return GARAM_OK;
}

static garam_status put_fp64(float *out, const char *in, size_t n, const session_info *model,
                             garam_error *err) {
  for (size_t i = 0; i < n; i++) {
    double value;
    memcpy(&value, in + i * sizeof value, sizeof value);
    TRY(put_real(&out[i], value, model, i, err));
  }
  return GARAM_OK;
}

static garam_status put_int32(float *out, const char *in, size_t n, const session_info *model,
                              garam_error *err) {
  for (size_t i = 0; i < n; i++) {
    int32_t value;
    memcpy(&value, in + i * sizeof value, sizeof value);
    TRY(put_integer(&out[i], value, model, i, err));
  }
  return GARAM_OK;
}

static garam_status put_int64(float *out, const char *in, size_t n, const session_info *model,
                              garam_error *err) {
  for (size_t i = 0; i < n; i++) {
    int64_t value;
    memcpy(&value, in + i * sizeof value, sizeof value);
    TRY(put_integer(&out[i], value, model, i, err));
  }
  return GARAM_OK;
}

static const struct datatype {
  const char *name;
  size_t size;
  bool integer;
  garam_status (*put)(float *out, const char *in, size_t n, const session_info *model,
                      garam_error *err);
} datatypes[] = {
    {"FP32", 4, false, put_fp32},
    {"FP64", 8, false, put_fp64},
    {"INT32", 4, true, put_int32},
    {"INT64", 8, true, put_int64},
};

/* ---- one input ------------------------------------------------------------------------- */

typedef struct input {
  json_slice name;
  const struct datatype *type;
  int rank; /* -1: no shape seen */
  int64_t dims[OIP_MAX_RANK];
  bool has_data;       /* a list */
  int64_t binary_size; /* -1: none */
} input;

static garam_status reserve(oip_request *r, size_t n_floats, garam_error *err) {
  return mem_grow(&r->x, &r->capacity, n_floats, sizeof *r->x, err);
}

/* Sets r->n from the shape. */
static garam_status check_shape(oip_request *r, const input *in, const session_info *model,
                                size_t max_rows, garam_error *err) {
  size_t t = model->context, f = model->n_features;
  bool windows = in->rank == 3 && in->dims[1] == (int64_t)t && in->dims[2] == (int64_t)f;
  bool rows = t == 1 && in->rank == 2 && in->dims[1] == (int64_t)f;
  if (!windows && !rows) {
    char got[96] = "", expected[64];
    for (int i = 0; i < in->rank; i++) {
      size_t used = strlen(got);
      snprintf(got + used, sizeof got - used, "%s%lld", i ? "," : "", (long long)in->dims[i]);
    }
    if (t == 1) snprintf(expected, sizeof expected, "[n,%zu]", f);
    else snprintf(expected, sizeof expected, "[n,%zu,%zu]", t, f);
    return fail(err, GARAM_MISMATCH, "input \"features\": shape [%s]; expected %s", got, expected);
  }
  if (in->dims[0] < 1)
    return fail(err, GARAM_INVALID, "input \"features\": a batch of %lld; expected at least 1",
                (long long)in->dims[0]);
  if ((uint64_t)in->dims[0] > max_rows)
    return fail(err, GARAM_LIMIT, "input \"features\": a batch of %lld; at most %zu are accepted",
                (long long)in->dims[0], max_rows);
  r->n = (size_t)in->dims[0];
  return GARAM_OK;
}

typedef struct list_state {
  oip_request *r;
  const session_info *model;
  const input *in;
  size_t n, expected; /* elements read, of so many */
  size_t body_size;
} list_state;

static bool read_element(json_reader *j, list_state *s) {
  double real;
  int64_t integer;
  bool is_integer;
  char c = json_reader_peek(j);
  if (c != '-' && (unsigned char)(c - '0') > 9) {
    const char *what = c == 'n' && j->end - j->at >= 4 && memcmp(j->at, "null", 4) == 0
                           ? "is null; a model takes no missing values here"
                       : c == 'N' || c == 'n' ? "is NaN, which is no JSON; finite numbers are "
                                                "expected"
                       : c == 'I' || c == 'i' ? "is Infinity, which is no JSON; finite numbers are "
                                                "expected"
                                              : "is no number";
    if (j->status == GARAM_OK) j->status = fail_element(j->err, GARAM_PARSE, s->model, s->n, what);
    return false;
  }
  if (c == '-' && j->end - j->at >= 2 && (j->at[1] == 'I' || j->at[1] == 'i')) {
    j->status = fail_element(j->err, GARAM_PARSE, s->model, s->n,
                             "is -Infinity, which is no JSON; finite numbers are expected");
    return false;
  }
  if (!json_reader_number(j, &real, &integer, &is_integer)) return false;
  float *out = &s->r->x[s->n];
  if (!s->in->type->integer) {
    j->status = put_real(out, real, s->model, s->n, j->err);
  } else if (!is_integer) {
    j->status = fail_element(j->err, GARAM_INVALID, s->model, s->n, "is no whole number of INT64");
  } else {
    j->status = put_integer(out, integer, s->model, s->n, j->err);
  }
  s->n++;
  return j->status == GARAM_OK;
}

/* A list of numbers (flat: all of them), or a list of lists that follows the shape. */
static bool read_list(json_reader *j, list_state *s, int level) {
  const input *in = s->in;
  bool first = true, nested = false;
  size_t count = 0;
  if (!json_reader_open(j, '[')) return false;
  if (json_reader_peek(j) == '[') nested = true;
  bool flat = !nested && level == 0;
  size_t wanted = flat ? s->expected : (size_t)in->dims[level];
  if (nested && level == in->rank - 1)
    return json_reader_fail(j, "lists are nested deeper than the shape's %d levels", in->rank);
  if (!nested && !flat && level != in->rank - 1)
    return json_reader_fail(j, "numbers at level %d; nested lists must follow the shape",
                            level + 1);
  while (json_reader_item(j, &first)) {
    if (count == wanted)
      return json_reader_fail(j, "data of input \"features\": more than %zu items at level %d",
                              wanted, level + 1);
    if (!(nested ? read_list(j, s, level + 1) : read_element(j, s))) return false;
    count++;
  }
  if (j->status == GARAM_OK && count != wanted)
    return json_reader_fail(j, "data of input \"features\": %zu items at level %d, expected %zu",
                            count, level + 1, wanted);
  return j->status == GARAM_OK;
}

/* ---- the request ------------------------------------------------------------------------ */

static const struct datatype *find_datatype(json_reader *j, json_slice name) {
  for (size_t i = 0; i < COUNT_OF(datatypes); i++)
    if (json_slice_is(name, datatypes[i].name)) return &datatypes[i];
  char found[32];
  json_slice_text(found, sizeof found, name);
  json_reader_fail(j, "datatype \"%s\"; expected FP32, FP64, INT32 or INT64", found);
  return NULL;
}

static bool read_shape(json_reader *j, input *in) {
  bool first = true, is_integer;
  double real;
  int64_t dim;
  if (in->rank >= 0) return json_reader_fail(j, "a second \"shape\"");
  in->rank = 0;
  if (!json_reader_open(j, '[')) return false;
  while (json_reader_item(j, &first)) {
    if (!json_reader_number(j, &real, &dim, &is_integer)) return false;
    if (!is_integer || dim < 0) return json_reader_fail(j, "a shape holds whole numbers from 0 on");
    if (in->rank == OIP_MAX_RANK)
      return json_reader_fail(j, "a shape of more than %d dimensions", OIP_MAX_RANK);
    in->dims[in->rank++] = dim;
  }
  return j->status == GARAM_OK;
}

/* Parameters of a tensor or of the request: what is known is read, the rest is passed over. */
typedef struct parameters {
  int64_t binary_data_size; /* -1: not given */
  int binary;               /* binary_data or binary_data_output; -1: not given */
} parameters;

static bool read_parameters(json_reader *j, parameters *out) {
  bool first = true;
  json_slice key;
  if (!json_reader_open(j, '{')) return false;
  while (json_reader_member(j, &first, &key)) {
    if (json_slice_is(key, "binary_data_size")) {
      double real;
      bool is_integer;
      if (!json_reader_number(j, &real, &out->binary_data_size, &is_integer)) return false;
      if (!is_integer || out->binary_data_size < 0)
        return json_reader_fail(j, "binary_data_size is a whole number from 0 on");
    } else if (json_slice_is(key, "binary_data") || json_slice_is(key, "binary_data_output")) {
      bool value;
      if (!json_reader_bool(j, &value)) return false;
      out->binary = value;
    } else if (json_slice_is(key, "shared_memory_region")) {
      return json_reader_fail(j, "shared memory is not supported");
    } else if (json_slice_is(key, "classification")) {
      return json_reader_fail(j, "the classification extension is not supported; ask for the "
                                 "output \"label\"");
    } else if (!json_reader_skip(j)) {
      return false;
    }
  }
  return j->status == GARAM_OK;
}

/* The list at the reader, or a binary tensor's place in r->x: type and shape are known. */
static bool begin_data(json_reader *j, list_state *s, size_t max_rows) {
  if (!s->in->type) return json_reader_fail(j, "input \"features\": no \"datatype\"");
  if (s->in->rank < 0) return json_reader_fail(j, "input \"features\": no \"shape\"");
  j->status = check_shape(s->r, s->in, s->model, max_rows, j->err);
  if (j->status != GARAM_OK) return false;
  size_t width = s->model->context * s->model->n_features;
  if (!size_mul(&s->expected, s->r->n, width) || s->expected > s->body_size)
    return json_reader_fail(j,
                            "input \"features\": the shape needs %zu numbers in a body of %zu "
                            "bytes",
                            s->expected, s->body_size); /* before memory is taken */
  j->status = reserve(s->r, s->expected, j->err);
  return j->status == GARAM_OK;
}

static bool read_input(json_reader *j, input *in, list_state *s, size_t max_rows) {
  bool first = true, done = false;
  json_slice key, type;
  json_reader later;
  *in = (input){.rank = -1, .binary_size = -1};
  if (!json_reader_open(j, '{')) return false;
  while (json_reader_member(j, &first, &key)) {
    if (json_slice_is(key, "name")) {
      if (!json_reader_string(j, &in->name)) return false;
    } else if (json_slice_is(key, "datatype")) {
      if (in->type) return json_reader_fail(j, "a second \"datatype\"");
      if (!json_reader_string(j, &type) || !(in->type = find_datatype(j, type))) return false;
    } else if (json_slice_is(key, "shape")) {
      if (!read_shape(j, in)) return false;
    } else if (json_slice_is(key, "parameters")) {
      parameters p = {-1, -1};
      if (!read_parameters(j, &p)) return false;
      in->binary_size = p.binary_data_size;
    } else if (json_slice_is(key, "data")) {
      if (in->has_data) return json_reader_fail(j, "a second \"data\"");
      in->has_data = true;
      json_reader_peek(j);
      later = *j;
      done = in->type && in->rank >= 0;
      if (done ? !(begin_data(j, s, max_rows) && read_list(j, s, 0)) : !json_reader_skip(j))
        return false;
    } else if (!json_reader_skip(j)) {
      return false;
    }
  }
  if (j->status != GARAM_OK) return false;
  if (!in->name.at) return json_reader_fail(j, "an input without \"name\"");
  if (!json_slice_is(in->name, "features")) {
    char name[64];
    json_slice_text(name, sizeof name, in->name);
    return json_reader_fail(j, "input \"%s\"; the model's input is \"features\"", name);
  }
  if (in->has_data && in->binary_size >= 0)
    return json_reader_fail(j, "input \"features\": both \"data\" and binary_data_size");
  if (in->binary_size >= 0) return begin_data(j, s, max_rows);
  if (!in->has_data) return json_reader_fail(j, "input \"features\": no \"data\"");
  if (!done && !(begin_data(&later, s, max_rows) && read_list(&later, s, 0)))
    j->status = later.status; /* type or shape stood behind the data */
  return j->status == GARAM_OK;
}

/* binary[i]: 1, 0, or -1 when output i does not say. */
static bool read_outputs(json_reader *j, oip_request *r, int *binary, const session_info *model) {
  bool first = true;
  if (!json_reader_open(j, '[')) return false;
  while (json_reader_item(j, &first)) {
    bool first_member = true;
    json_slice key, name = {0};
    parameters p = {-1, -1};
    if (!json_reader_open(j, '{')) return false;
    while (json_reader_member(j, &first_member, &key)) {
      if (!(json_slice_is(key, "name")         ? json_reader_string(j, &name)
            : json_slice_is(key, "parameters") ? read_parameters(j, &p)
                                               : json_reader_skip(j)))
        return false;
    }
    if (j->status != GARAM_OK) return false;
    if (!name.at) return json_reader_fail(j, "an output without \"name\"");
    int which = 0;
    while (which < n_outputs(model) && !json_slice_is(name, output_name(model, which))) which++;
    if (which == n_outputs(model)) {
      char found[64];
      json_slice_text(found, sizeof found, name);
      return json_reader_fail(j, "output \"%s\"; the model has \"%s\"%s", found,
                              output_name(model, 0), n_outputs(model) == 2 ? " and \"label\"" : "");
    }
    for (int i = 0; i < r->n_outputs; i++)
      if (r->outputs[i].which == which)
        return json_reader_fail(j, "output \"%s\" is asked for twice", output_name(model, which));
    r->outputs[r->n_outputs].which = which;
    binary[r->n_outputs++] = p.binary;
  }
  return j->status == GARAM_OK;
}

/* Fills all of r but binary data; *in is the one input. */
static bool read_request(json_reader *j, oip_request *r, input *in, list_state *s,
                         size_t max_rows) {
  bool first = true, first_input = true, inputs = false, outputs = false;
  json_slice key;
  parameters p = {-1, -1};
  int binary[OIP_MAX_OUTPUTS] = {-1, -1};
  if (!json_reader_open(j, '{')) return false;
  while (json_reader_member(j, &first, &key)) {
    if (json_slice_is(key, "id")) {
      if (!json_reader_string(j, &r->id)) return false;
    } else if (json_slice_is(key, "parameters")) {
      if (!read_parameters(j, &p)) return false;
    } else if (json_slice_is(key, "inputs")) {
      if (inputs) return json_reader_fail(j, "a second \"inputs\"");
      inputs = true;
      if (!json_reader_open(j, '[')) return false;
      if (!json_reader_item(j, &first_input))
        return json_reader_fail(j, "no input; expected \"features\"");
      if (!read_input(j, in, s, max_rows)) return false;
      if (json_reader_item(j, &first_input))
        return json_reader_fail(j, "more than one input; the model's only one is \"features\"");
    } else if (json_slice_is(key, "outputs")) {
      if (outputs) return json_reader_fail(j, "a second \"outputs\"");
      outputs = true;
      if (!read_outputs(j, r, binary, s->model)) return false;
    } else if (!json_reader_skip(j)) {
      return false;
    }
  }
  if (j->status != GARAM_OK || !json_reader_end(j)) return false;
  if (!inputs) return json_reader_fail(j, "no \"inputs\"");
  if (r->n_outputs == 0) {
    for (int i = 0; i < n_outputs(s->model); i++) r->outputs[i].which = i;
    r->n_outputs = n_outputs(s->model);
  }
  for (int i = 0; i < r->n_outputs; i++)
    r->any_binary |= r->outputs[i].binary = binary[i] >= 0 ? binary[i] : p.binary > 0;
  return true;
}

/* No JSON at all: FP32 numbers for as many windows as there are. */
static garam_status parse_raw(oip_request *r, const session_info *model, const char *body,
                              size_t size, size_t max_rows, garam_error *err) {
  size_t width = model->context * model->n_features, bytes = width * sizeof(float);
  if (size == 0 || size % bytes != 0)
    return fail(err, GARAM_MISMATCH,
                "%zu bytes of binary data; expected a multiple of %zu (%zu FP32 a window)", size,
                bytes, width);
  r->n = size / bytes;
  if (r->n > max_rows)
    return fail(err, GARAM_LIMIT, "a batch of %zu; at most %zu are accepted", r->n, max_rows);
  r->n_outputs = n_outputs(model);
  for (int i = 0; i < r->n_outputs; i++) r->outputs[i].which = i;
  for (int i = 0; i < r->n_outputs; i++) r->outputs[i].binary = true;
  r->any_binary = true;
  TRY(reserve(r, r->n * width, err));
  return put_fp32(r->x, body, r->n * width, model, err);
}

garam_status oip_parse(oip_request *r, const session_info *model, const char *body, size_t size,
                       int64_t header_length, size_t max_rows, garam_error *err) {
  r->n = 0;
  r->id = (json_slice){0};
  r->n_outputs = 0;
  r->any_binary = false;
  if (header_length == 0) return parse_raw(r, model, body, size, max_rows, err);
  if (header_length > 0 && (uint64_t)header_length > size)
    return fail(err, GARAM_PARSE,
                "Inference-Header-Content-Length is %lld, but the body has %zu bytes",
                (long long)header_length, size);
  size_t json_size = header_length > 0 ? (size_t)header_length : size;

  json_reader j;
  input in;
  list_state s = {.r = r, .model = model, .in = &in, .body_size = size};
  json_reader_init(&j, body, json_size, err);
  if (!read_request(&j, r, &in, &s, max_rows)) return j.status;
  size_t binary = size - json_size, wanted = in.binary_size >= 0 ? (size_t)in.binary_size : 0;
  if (binary != wanted)
    return fail(err, GARAM_MISMATCH, "%zu bytes of binary data behind the JSON; expected %zu",
                binary, wanted);
  if (in.binary_size < 0) return GARAM_OK;
  if (wanted != s.expected * in.type->size)
    return fail(err, GARAM_MISMATCH,
                "input \"features\": binary_data_size %zu; its shape and datatype need %zu", wanted,
                s.expected * in.type->size);
  return in.type->put(r->x, body + json_size, s.expected, model, err);
}

/* ---- the answer -------------------------------------------------------------------------- */

static void put_length(char *at, size_t n) {
  uint32_t length = (uint32_t)n;
  memcpy(at, &length, sizeof length);
}

static size_t label_bytes(const oip_request *r, const session_info *model, const float *out) {
  size_t bytes = 0, k = (size_t)model->n_outputs;
  for (size_t i = 0; i < r->n; i++)
    bytes += 4 + strlen(model->output_names[oip_top_class(out + i * k, (int)k)]);
  return bytes;
}

static void list_output(text *t, const oip_request *r, const session_info *model, int which,
                        const float *out) {
  size_t k = (size_t)model->n_outputs;
  text_string(t, ",\"data\":[");
  for (size_t i = 0; which == OIP_LABEL && i < r->n; i++) {
    if (i > 0) text_string(t, ",");
    text_json_string(t, model->output_names[oip_top_class(out + i * k, (int)k)]);
  }
  for (size_t i = 0; which != OIP_LABEL && i < r->n * k; i++) {
    if (i > 0) text_string(t, ",");
    text_f32(t, out[i]);
  }
  text_string(t, "]");
}

void oip_respond(text *t, int64_t *header_length, const oip_request *r, const session_info *model,
                 const char *name, const float *out) {
  size_t k = (size_t)model->n_outputs, begin = t->size;
  *header_length = -1;
  text_string(t, "{\"model_name\":");
  text_json_string(t, name);
  text_string(t, ",\"model_version\":\"1\"");
  if (r->id.size > 0) {
    text_string(t, ",\"id\":");
    text_add(t, r->id.at, r->id.size);
  }
  text_string(t, ",\"outputs\":[");
  for (int i = 0; i < r->n_outputs; i++) {
    int which = r->outputs[i].which;
    text_format(t, "%s{\"name\":\"%s\",\"datatype\":\"%s\",\"shape\":[%zu", i ? "," : "",
                output_name(model, which), which == OIP_LABEL ? "BYTES" : "FP32", r->n);
    if (which == OIP_LABEL) text_string(t, "]");
    else text_format(t, ",%zu]", k);
    if (!r->outputs[i].binary) list_output(t, r, model, which, out);
    else
      text_format(t, ",\"parameters\":{\"binary_data_size\":%zu}",
                  which == OIP_LABEL ? label_bytes(r, model, out) : r->n * k * sizeof *out);
    text_string(t, "}");
  }
  text_string(t, "]}");
  if (!r->any_binary) return;

  *header_length = (int64_t)(t->size - begin);
  for (int i = 0; i < r->n_outputs; i++) {
    if (!r->outputs[i].binary) continue;
    if (r->outputs[i].which != OIP_LABEL) {
      text_add(t, (const char *)out, r->n * k * sizeof *out);
      continue;
    }
    for (size_t row = 0; row < r->n; row++) {
      const char *label = model->output_names[oip_top_class(out + row * k, (int)k)];
      char length[4];
      put_length(length, strlen(label));
      text_add(t, length, sizeof length);
      text_string(t, label);
    }
  }
}

/* ---- what is served ------------------------------------------------------------------------ */

static void names(text *t, const char *key, const char *const *list, size_t n) {
  text_format(t, "\"%s\":[", key);
  for (size_t i = 0; i < n; i++) {
    if (i > 0) text_string(t, ",");
    text_json_string(t, list[i]);
  }
  text_string(t, "]");
}

void oip_model_metadata(text *t, const session_info *model, const char *name) {
  text_string(t, "{\"name\":");
  text_json_string(t, name);
  text_string(t, ",\"versions\":[\"1\"],\"platform\":");
  char platform[80];
  snprintf(platform, sizeof platform, "garam_%s", model->learner);
  text_json_string(t, platform);
  text_string(t, ",\"inputs\":[{\"name\":\"features\",\"datatype\":\"FP32\",\"shape\":[-1");
  if (model->context > 1) text_format(t, ",%zu", model->context);
  text_format(t, ",%zu]}],\"outputs\":[{\"name\":\"%s\",\"datatype\":\"FP32\",\"shape\":[-1,%d]}",
              model->n_features, output_name(model, 0), model->n_outputs);
  if (n_outputs(model) == 2)
    text_string(t, ",{\"name\":\"label\",\"datatype\":\"BYTES\",\"shape\":[-1]}");
  text_format(t, "],\"parameters\":{\"task\":\"%s\",\"learner\":",
              model->acts ? "policy" : task_names[model->task]);
  text_json_string(t, model->learner);
  text_format(t, ",\"context\":%zu,", model->context);
  names(t, "feature_names", model->feature_names, model->n_features);
  if (n_outputs(model) == 2) {
    text_string(t, ",");
    names(t, "class_names", model->output_names, (size_t)model->n_outputs);
  }
  if (model->acts) {
    text_string(t, ",");
    names(t, "action_names", model->output_names, (size_t)model->n_outputs);
  }
  text_string(t, ",\"sha256\":");
  text_json_string(t, model->sha256);
  if (model->target > 0) {
    text_string(t, ",\"threshold_target\":");
    text_f64(t, model->target);
    text_string(t, ",\"threshold\":");
    if (model->threshold <= 1) text_f64(t, model->threshold);
    else text_string(t, "null");
  }
  text_string(t, "}}");
}

void oip_server_metadata(text *t) {
  text_string(t, "{\"name\":\"garam\",\"version\":\"" GARAM_VERSION
                 "\",\"extensions\":[\"binary_tensor_data\"]}");
}

void oip_error(text *t, const char *message) {
  text_string(t, "{\"error\":");
  text_json_string(t, message);
  text_string(t, "}");
}
