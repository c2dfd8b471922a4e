/* A pipeline as one file: the manifest under "garam", the scaler's and the learner's arrays. */
#include "learn/pipeline_inner.h"

#include "base/io.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const char learner_prefix[] = "learner.";

garam_status pipeline_save(const pipeline *p, const char *path, garam_error *err) {
  package_writer *w;
  garam_status status;
  int64_t n = (int64_t)p->shape.n_features;
  TRY(package_writer_new(&w, err));
  TRY_GOTO(done, package_set_meta(w, "garam", p->manifest, err));
  if (p->scaled) {
    TRY_GOTO(done, package_add(w, "scaler.center", PACKAGE_F32, 1, &n, p->scaler.center, err));
    TRY_GOTO(done, package_add(w, "scaler.inverse", PACKAGE_F32, 1, &n, p->scaler.inverse, err));
  }
  TRY_GOTO(done, calibrator_save(&p->calibrator, w, "calibration.", err));
  if (p->novelty.n > 0) TRY_GOTO(done, novelty_save(&p->novelty, w, "novelty.", err));
  TRY_GOTO(done, p->ops->save(p->learner, w, learner_prefix, err));
  TRY_GOTO(done, package_write(w, path, err));
  /* Not of the pipeline's state: the name of the file that now holds it. */
  status = io_sha256_file(((pipeline *)(uintptr_t)p)->sha256, path, err);
done:
  package_writer_free(w);
  return status;
}

static garam_status load_scaler(scaler *s, const package_reader *r, size_t n, garam_error *err) {
  const package_tensor *center, *inverse;
  int64_t dims = (int64_t)n;
  TRY(package_get_finite(&center, r, "scaler.center", PACKAGE_F32, 1, &dims, err));
  TRY(package_get_finite(&inverse, r, "scaler.inverse", PACKAGE_F32, 1, &dims, err));
  s->n = n;
  s->center = mem_array(n, sizeof *s->center);
  s->inverse = mem_array(n, sizeof *s->inverse);
  if (!s->center || !s->inverse) return fail_memory(err, 2 * n * sizeof *s->center);
  memcpy(s->center, center->data, center->bytes);
  memcpy(s->inverse, inverse->data, inverse->bytes);
  return GARAM_OK;
}

garam_status pipeline_load(pipeline **out, const char *path, garam_error *err) {
  package_reader *r = NULL;
  json_t *manifest = NULL;
  garam_status status;
  char where[600];
  *out = NULL;
  pipeline *p = mem_zalloc(sizeof *p);
  if (!p) return fail_memory(err, sizeof *p);
  TRY_GOTO(done, package_open(&r, path, err));
  status = package_get_meta(&manifest, r, "garam", err);
  if (status == GARAM_MISMATCH)
    status = fail(err, GARAM_MISMATCH, "%s: a safetensors file, but not a model of garam", path);
  if (status != GARAM_OK) goto done;
  snprintf(where, sizeof where, "%.500s: manifest", path);
  status = manifest_parse(p, manifest, where, err);
  if (status == GARAM_PARSE || status == GARAM_INVALID || status == GARAM_NOT_FOUND) {
    if (err) err->status = GARAM_CORRUPT; /* it is the file that is wrong, not the user's typing */
    status = GARAM_CORRUPT;
  }
  if (status != GARAM_OK) goto done;
  if (p->scaled) TRY_GOTO(done, load_scaler(&p->scaler, r, p->shape.n_features, err));
  calibrator c;
  TRY_GOTO(done, calibrator_load(&c, p->calibrator.kind, p->calibrator.temperature,
                                 p->shape.n_classes, r, "calibration.", err));
  p->calibrator = c;
  if (p->gated) TRY_GOTO(done, novelty_load(&p->novelty, p->shape.n_features, r, "novelty.", err));
  TRY_GOTO(done, p->ops->load(&p->learner, p->learner_config, &p->shape, r, learner_prefix, err));
  if (p->ops->context(p->learner) != p->context) {
    status = fail(err, GARAM_CORRUPT,
                  "%s: a context of %zu rows by the manifest, of %zu by the "
                  "learner",
                  path, p->context, p->ops->context(p->learner));
    goto done;
  }
  TRY_GOTO(done, io_sha256_file(p->sha256, path, err));
  *out = p;
  p = NULL;
done:
  json_decref(manifest);
  package_close(r);
  pipeline_free(p);
  return status;
}
