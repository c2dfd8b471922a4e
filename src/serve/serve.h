/* Serving packages over HTTP: the Open Inference Protocol v2, predictions from posted bars,
 * Prometheus metrics. One process, a thread a connection, so that a long batch never holds up a
 * health check; workers of the session bound how many predictions run at the same time.
 * The endpoints and limits are described in docs/serving.md. */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include "base/opt.h"
#include "infer/session.h"

typedef struct serve_server serve_server;

typedef struct serve_model {
  const char *name; /* letters, digits, '.', '_' and '-'; see serve_model_name */
  session *session; /* borrowed until serve_stop */
} serve_model;

typedef struct serve_config {
  int port;         /* 0: any that is free */
  char address[64]; /* IPv4 or IPv6 */
  char socket[108]; /* a path: a Unix socket in place of a port */
  char name[256];   /* of the model, in place of its file's; several with commas */
  int64_t max_body; /* bytes */
  int max_batch;    /* rows an inference */
  double timeout;   /* seconds to send a request, to wait for a worker, to read an answer,
                       to be silent in between */
  double drain;     /* seconds that requests have to finish when stopping */
  int connection_limit;
  int connections_per_address; /* 0: no limit */
} serve_config;
extern const opt_row serve_options[];
extern const size_t serve_n_options;

/* "models/m.safetensors" is "m". Characters that a name may not have become '-'. */
enum { SERVE_NAME_MAX = 128 };
void serve_model_name(char out[SERVE_NAME_MAX], const char *path);
/* The i-th name: from config->name when it has one, else from the path. */
garam_status serve_name_of(char out[SERVE_NAME_MAX], const serve_config *config, size_t i,
                           size_t n_models, const char *path, garam_error *err);

/* Listens and answers from its own threads. GARAM_BUSY: the port or socket is in use. */
garam_status serve_start(serve_server **out, const serve_model *models, size_t n_models,
                         const serve_config *config, garam_error *err);
int serve_port(const serve_server *s);          /* as bound; 0 for a Unix socket */
const char *serve_where(const serve_server *s); /* "http://127.0.0.1:8080" or "unix:/path" */

/* From now on readiness is 503 and answers close their connection; serving goes on. */
void serve_drain(serve_server *s);
/* Drains: no new connections, requests under way finish (config.drain seconds at most), then
 * everything is closed and freed. GARAM_INTERRUPTED: some did not finish in time. NULL is fine. */
garam_status serve_stop(serve_server *s, garam_error *err);

#endif
