/* One request and its answer, without a socket: what the routes work on. The map of the routes:
 *   route.c    which path is which
 *   oip.c      inference, metadata
 *   predict.c  posted bars
 *   page.c     GET /
 *   metrics.c  GET /metrics */
#ifndef SERVE_EXCHANGE_H
#define SERVE_EXCHANGE_H

#include "serve/metrics.h"
#include "serve/oip.h"
#include "serve/serve.h"
#include "serve/text.h"

/* What all requests see. */
typedef struct serve_state {
  const serve_config *config;
  const char *where;        /* for the example lines */
  const char *const *names; /* (n_models) */
  session *const *sessions; /* (n_models) */
  size_t n_models;
  metrics metrics;
  atomic_bool draining;
} serve_state;

typedef struct exchange {
  const char *method, *path;
  const char *content_type; /* NULL: none */
  const char *rows;         /* ?rows=; NULL: none */
  const char *body;
  size_t body_size;
  int64_t inference_header; /* -1: none */

  int code;
  const char *type;      /* of the answer; static */
  const char *allow;     /* with 405; static */
  int64_t answer_header; /* Inference-Header-Content-Length of the answer; -1: none */
  text answer;
  size_t model; /* that was addressed; n_models: none */

  oip_request infer; /* kept from request to request, like answer and out */
  float *out;
  size_t out_capacity;
} exchange;

void exchange_deinit(exchange *e);
/* Frees buffers that a large request has left behind. */
void exchange_trim(exchange *e, size_t keep_bytes);

void exchange_route(exchange *e, serve_state *s);
void exchange_fail(exchange *e, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void exchange_fail_status(exchange *e, const garam_error *err); /* its code from the status */

void predict_rows(exchange *e, serve_state *s);
void page_write(text *t, const serve_state *s);

#endif
