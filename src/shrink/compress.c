/* Package in, package out: see compress.h. */
#include "shrink/compress.h"

#include "base/io.h"
#include "base/mem.h"
#include "shrink/quantize.h"

#include <math.h>
#include <string.h>

/* Fewer inputs than these, and the scales take what the codes save; fewer weights, and the header's
 * line about them does. */
enum { FEWEST_INPUTS = 16, FEWEST_WEIGHTS = 1024 };

const opt_row compress_options[] = {
    {"to", OPT_ENUM, OPT_AT(compress_config, to), .def = CODING_INT8, .choices = coding_names,
     .help = "what weights are stored as"},
    {"group", OPT_INT, OPT_AT(compress_config, group), .def = 32, .min = 8, .max = 4096,
     .unit = "inputs", .help = "that share a scale, with int4"},
};
const size_t compress_n_options = COUNT_OF(compress_options);

/* Names decide, since every room names them alike: the matrix of a product is a parameter "weight"
 * or "weight_...", its outputs last. Scalers, calibration, trees, the rows that novelty and dynamic
 * selection remember have other names; gains of norms have that name and one dimension; positions
 * are added, not multiplied. A linear learner's weights are (outputs, inputs) with few outputs, and
 * FEWEST_INPUTS leaves them alone. */
bool compress_is_weights(const package_tensor *t) {
  const char *leaf = strrchr(t->name, '.'), *scope = t->name;
  leaf = leaf ? leaf + 1 : t->name;
  for (const char *at = t->name; at + 1 < leaf; at++)
    if (*at == '.') scope = at + 1;
  if (t->type != PACKAGE_F32 || t->rank < 2 || t->count < FEWEST_WEIGHTS) return false;
  if (strcmp(leaf, "weight") != 0 && strncmp(leaf, "weight_", 7) != 0) return false;
  if (strcmp(scope, "position.weight") == 0) return false;
  return t->count / (size_t)t->dims[t->rank - 1] >= FEWEST_INPUTS;
}

struct compressed {
  coding to;
  size_t bytes_before;
  package_reader *reader;
  package_writer *writer;
  void **blocks; /* (2 a tensor): codes and scales, until they are written */
  size_t n_blocks, n_kept;
  json_t *record, *rows;
  double worst;
};

static garam_status check_source(const package_reader *r, garam_error *err) {
  const json_t *meta = package_meta(r);
  if (!json_object_get(meta, "garam"))
    return fail(err, GARAM_MISMATCH, "%s: a safetensors file, but no model or policy of garam",
                package_name(r));
  if (json_object_get(meta, CODED_META))
    return fail(err, GARAM_UNSUPPORTED,
                "%s: compressed already; compress the file that it was made from", package_name(r));
  return GARAM_OK;
}

static garam_status check_finite(const package_reader *r, const package_tensor *t,
                                 garam_error *err) {
  return package_get_finite(&t, r, t->name, t->type, t->rank, t->dims, err);
}

static garam_status block_new(void **out, compressed *c, size_t bytes, garam_error *err) {
  *out = mem_zalloc(bytes ? bytes : 1);
  if (!*out) return fail_memory(err, bytes);
  c->blocks[c->n_blocks++] = *out;
  return GARAM_OK;
}

static json_t *shape_json(const package_tensor *t) {
  json_t *shape = json_array();
  for (int i = 0; shape && i < t->rank; i++) json_array_append_new(shape, json_integer(t->dims[i]));
  return shape;
}

/* What the reader needs, and what people want to know. */
static garam_status note(compressed *c, const coded_matrix *m, const package_tensor *t,
                         double error, garam_error *err) {
  const json_int_t group = (json_int_t)m->group;
  json_t *entry = json_pack("{s:s, s:o, s:o*}", "to", coding_names[m->to], "shape", shape_json(t),
                            "group", m->to == CODING_INT4 ? json_integer(group) : NULL);
  const size_t after = coded_bytes(m) + coded_n_scales(m) * sizeof(float);
  json_t *row = json_pack("{s:s, s:o, s:I, s:I, s:f}", "name", t->name, "shape", shape_json(t),
                          "bytes_before", (json_int_t)t->bytes, "bytes_after", (json_int_t)after,
                          "relative_error", error);
  if (error > c->worst) c->worst = error;
  const bool kept = entry && row && json_object_set(c->record, t->name, entry) == 0 &&
                    json_array_append(c->rows, row) == 0;
  json_decref(entry);
  json_decref(row);
  return kept ? GARAM_OK : fail_memory(err, 256);
}

static garam_status compress_one(compressed *c, const package_tensor *t,
                                 const compress_config *config, garam_error *err) {
  coded_matrix m;
  void *codes, *scale;
  int rank;
  int64_t dims[PACKAGE_MAX_RANK];
  double error;
  TRY(check_finite(c->reader, t, err));
  REQUIRE(coded_matrix_init(&m, (coding)config->to, t->rank, t->dims, (size_t)config->group),
          "compress: %s is no matrix", t->name);
  TRY(block_new(&codes, c, coded_bytes(&m), err));
  TRY(block_new(&scale, c, coded_n_scales(&m) * sizeof(float), err));
  garam_status coded = quantize(codes, scale, &m, t->data, err);
  if (coded != GARAM_OK)
    return fail_within(err, coded, "%s: tensor \"%s\"", package_name(c->reader), t->name);
  TRY(quantize_error(&error, &m, codes, scale, t->data, err));
  coded_dims(&rank, dims, &m);
  TRY(package_add(c->writer, t->name, coded_type(&m), rank, dims, codes, err));
  coded_scale_dims(&rank, dims, &m);
  if (rank > 0) {
    char *name = mem_format("%s" CODED_SCALE, t->name);
    if (!name) return fail_memory(err, strlen(t->name) + 8);
    coded = package_add(c->writer, name, PACKAGE_F32, rank, dims, scale, err);
    mem_free(name);
    TRY(coded);
  }
  return note(c, &m, t, error, err);
}

static garam_status compress_all(compressed *c, const compress_config *config, garam_error *err) {
  const size_t n = package_count(c->reader);
  c->blocks = mem_array(2 * n + 1, sizeof *c->blocks);
  if (!c->blocks) return fail_memory(err, 2 * n * sizeof *c->blocks);
  for (size_t i = 0; i < n; i++) {
    const package_tensor *t = package_at(c->reader, i);
    if (compress_is_weights(t)) {
      TRY(compress_one(c, t, config, err));
    } else {
      TRY(package_add(c->writer, t->name, t->type, t->rank, t->dims, t->data, err));
      c->n_kept++;
    }
  }
  if (json_array_size(c->rows) == 0)
    return fail(err, GARAM_UNSUPPORTED,
                "%s: no matrix of weights of %d numbers or more: nothing to compress",
                package_name(c->reader), FEWEST_WEIGHTS);
  return GARAM_OK;
}

static garam_status add_meta(compressed *c, garam_error *err) {
  const char *key;
  json_t *value;
  json_t *meta = (json_t *)(uintptr_t)package_meta(c->reader); /* walked, not changed */
  json_object_foreach(meta, key, value)
      TRY(package_set_meta_text(c->writer, key, json_string_value(value), err));
  json_t *coded = json_pack("{s:i, s:O}", "version", CODED_VERSION, "tensors", c->record);
  if (!coded) return fail_memory(err, 64);
  garam_status status = package_set_meta(c->writer, CODED_META, coded, err);
  json_decref(coded);
  return status;
}

static garam_status file_size(size_t *out, const char *path, garam_error *err) {
  io_map map;
  TRY(io_map_open(&map, path, err));
  *out = map.size;
  io_map_close(&map);
  return GARAM_OK;
}

garam_status compress_package(compressed **out, const char *path, const compress_config *config,
                              garam_error *err) {
  garam_status status;
  *out = NULL;
  compressed *c = mem_zalloc(sizeof *c);
  if (!c) return fail_memory(err, sizeof *c);
  c->to = (coding)config->to;
  c->record = json_object();
  c->rows = json_array();
  TRY_GOTO(done, c->record && c->rows ? GARAM_OK : fail_memory(err, 64));
  TRY_GOTO(done, package_open(&c->reader, path, err));
  TRY_GOTO(done, check_source(c->reader, err));
  TRY_GOTO(done, file_size(&c->bytes_before, path, err));
  TRY_GOTO(done, package_writer_new(&c->writer, err));
  TRY_GOTO(done, compress_all(c, config, err));
  TRY_GOTO(done, add_meta(c, err));
  *out = c;
  c = NULL;
done:
  compressed_free(c);
  return status;
}

void compressed_free(compressed *c) {
  if (!c) return;
  package_writer_free(c->writer);
  for (size_t i = 0; i < c->n_blocks; i++) mem_free(c->blocks[i]);
  mem_free(c->blocks);
  package_close(c->reader);
  json_decref(c->record);
  json_decref(c->rows);
  mem_free(c);
}

garam_status compressed_write(json_t **report, const compressed *c, const char *out,
                              garam_error *err) {
  size_t after;
  *report = NULL;
  TRY(package_write(c->writer, out, err));
  TRY(file_size(&after, out, err));
  *report = json_pack("{s:s, s:I, s:I, s:f, s:I, s:O, s:s}", "to", coding_names[c->to],
                      "bytes_before", (json_int_t)c->bytes_before, "bytes_after", (json_int_t)after,
                      "worst_relative_error", c->worst, "kept", (json_int_t)c->n_kept, "tensors",
                      c->rows, "out", out);
  return *report ? GARAM_OK : fail_memory(err, 256);
}
