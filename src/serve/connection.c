/* What happens on a connection, in the order it happens. */
#include "serve/connection.h"

#include "base/clock.h"
#include "base/mem.h"
#include "serve/guard.h"

#include <stdio.h>
#include <sys/socket.h>

enum { KEEP_BYTES = 1 << 20 };     /* of each buffer of an idle connection */
enum { SWALLOW_BYTES = 16 << 20 }; /* of a body that is refused for its size */
enum { MAX_HEADERS = 128 };

struct connection {
  connection_list *list;
  connection *before, *after;
  int fd;
  _Atomic int64_t waiting_since; /* for the client, monotonic ns; 0: not for the client */

  atomic_bool in_request;
  guard_verdict verdict;
  int64_t began; /* head of the request */
  char *body;
  size_t body_size, body_capacity;
  bool body_failed; /* memory was out */
  exchange exchange;
};

/* ---- the watch ---------------------------------------------------------------------------- */

static void *watch(void *context) {
  connection_list *l = context;
  int64_t timeout = (int64_t)(l->state->config->timeout * 1e9);
  int64_t tick = timeout / 4 < CLOCK_NS_PER_SECOND / 4 ? timeout / 4 : CLOCK_NS_PER_SECOND / 4;
  pthread_mutex_lock(&l->lock);
  while (!l->stopping) {
    int64_t now = clock_monotonic_ns(), until = now + tick;
    for (connection *c = l->first; c; c = c->after) {
      int64_t since = atomic_load(&c->waiting_since);
      if (since == 0 || now - since < timeout) continue;
      atomic_store(&c->waiting_since, 0); /* once; its own thread does the rest */
      if (atomic_load(&c->in_request)) metrics_reject(&l->state->metrics, "timeout");
      shutdown(c->fd, SHUT_RDWR);
    }
    struct timespec at = {until / CLOCK_NS_PER_SECOND, until % CLOCK_NS_PER_SECOND};
    pthread_cond_timedwait(&l->wake, &l->lock, &at);
  }
  pthread_mutex_unlock(&l->lock);
  return NULL;
}

garam_status connection_list_init(connection_list *l, serve_state *state, garam_error *err) {
  pthread_condattr_t attr;
  *l = (connection_list){.state = state};
  pthread_mutex_init(&l->lock, NULL);
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&l->wake, &attr);
  pthread_condattr_destroy(&attr);
  int rc = pthread_create(&l->watcher, NULL, watch, l);
  if (rc == 0) return GARAM_OK;
  pthread_cond_destroy(&l->wake);
  pthread_mutex_destroy(&l->lock);
  return fail(err, GARAM_LIMIT, "no thread to watch connections: %s", strerror(rc));
}

void connection_list_deinit(connection_list *l) {
  pthread_mutex_lock(&l->lock);
  l->stopping = true;
  pthread_cond_signal(&l->wake);
  pthread_mutex_unlock(&l->lock);
  pthread_join(l->watcher, NULL);
  REQUIRE(!l->first, "a connection outlives its server");
  pthread_cond_destroy(&l->wake);
  pthread_mutex_destroy(&l->lock);
}

/* ---- begin and end ------------------------------------------------------------------------- */

static void connection_open(connection_list *l, struct MHD_Connection *mhd, void **out) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
  connection *c = info ? mem_zalloc(sizeof *c) : NULL;
  *out = c;
  if (!c) return; /* the first request is refused */
  c->list = l;
  c->fd = info->connect_fd;
  atomic_store(&c->waiting_since, clock_monotonic_ns());
  pthread_mutex_lock(&l->lock);
  c->after = l->first;
  if (l->first) l->first->before = c;
  l->first = c;
  pthread_mutex_unlock(&l->lock);
  atomic_fetch_add(&l->state->metrics.connections, 1);
  atomic_fetch_add(&l->state->metrics.connections_total, 1);
}

static void connection_close(connection *c) {
  connection_list *l = c->list;
  pthread_mutex_lock(&l->lock);
  if (c->before) c->before->after = c->after;
  else l->first = c->after;
  if (c->after) c->after->before = c->before;
  pthread_mutex_unlock(&l->lock);
  atomic_fetch_sub(&l->state->metrics.connections, 1);
  exchange_deinit(&c->exchange);
  mem_free(c->body);
  mem_free(c);
}

void connection_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode code) {
  if (code == MHD_CONNECTION_NOTIFY_STARTED) {
    connection_open(cls, mhd, socket_context);
  } else if (*socket_context) {
    connection_close(*socket_context);
    *socket_context = NULL;
  }
}

/* ---- a request ---------------------------------------------------------------------------- */

typedef struct header_list {
  http_header headers[MAX_HEADERS];
  size_t n;
} header_list;

static enum MHD_Result add_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                  size_t key_size, const char *value, size_t value_size) {
  header_list *list = cls;
  (void)kind;
  if (list->n == MAX_HEADERS) return MHD_NO;
  list->headers[list->n++] = (http_header){key, value, key_size, value_size};
  return MHD_YES;
}

static guard_verdict judge(const connection *c, struct MHD_Connection *mhd, const char *method,
                           const char *version) {
  header_list list = {.n = 0};
  int n = MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, add_header, &list);
  if (n > MAX_HEADERS || list.n == MAX_HEADERS)
    return (guard_verdict){.code = 400,
                           .message = "more headers than anyone needs",
                           .reason = "size",
                           .body_size = -1,
                           .inference_header = -1};
  return guard_check(method, version, list.headers, list.n, c->list->state->config->max_body);
}

static enum MHD_Result answer(connection *c, struct MHD_Connection *mhd, bool close) {
  exchange *e = &c->exchange;
  serve_state *s = c->list->state;
  struct MHD_Response *response =
      MHD_create_response_from_buffer(e->answer.size, e->answer.data, MHD_RESPMEM_PERSISTENT);
  if (!response) return MHD_NO;
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, e->type);
  if (e->allow) MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, e->allow);
  if (e->answer_header >= 0) {
    char length[24];
    snprintf(length, sizeof length, "%lld", (long long)e->answer_header);
    MHD_add_response_header(response, "Inference-Header-Content-Length", length);
  }
  if (strncmp(e->type, "text/html", 9) == 0)
    MHD_add_response_header(response, "Content-Security-Policy",
                            "default-src 'none'; style-src 'unsafe-inline'");
  if (close || atomic_load(&s->draining))
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");

  /* Counted before it is sent: whoever has the answer finds it in the metrics. */
  int64_t now = clock_monotonic_ns();
  metrics_request(&s->metrics, e->model, e->code, now - c->began);
  atomic_fetch_add_explicit(&s->metrics.received_bytes, c->body_size, memory_order_relaxed);
  atomic_fetch_add_explicit(&s->metrics.sent_bytes, e->answer.size, memory_order_relaxed);
  atomic_store(&c->waiting_since, now);
  enum MHD_Result result = MHD_queue_response(mhd, (unsigned)e->code, response);
  MHD_destroy_response(response);
  return result;
}

static enum MHD_Result refuse(connection *c, struct MHD_Connection *mhd, int code,
                              const char *message) {
  exchange *e = &c->exchange;
  e->model = c->list->state->n_models;
  e->allow = NULL;
  exchange_fail(e, code, "%s", message);
  return answer(c, mhd, true);
}

static enum MHD_Result begin(connection *c, struct MHD_Connection *mhd, const char *method,
                             const char *version) {
  serve_state *s = c->list->state;
  atomic_store(&c->in_request, true);
  c->began = clock_monotonic_ns();
  c->body_size = 0;
  c->body_failed = false;
  atomic_store(&c->waiting_since, c->began);
  atomic_fetch_add(&s->metrics.in_flight, 1);
  c->verdict = judge(c, mhd, method, version);
  if (c->verdict.code == 0) return MHD_YES;
  metrics_reject(&s->metrics, c->verdict.reason);
  /* A body that is not much too large is let through to nowhere first: a client that is still
   * sending when the connection closes would not see the answer. */
  bool swallow = c->verdict.code == 413 &&
                 c->verdict.body_size <= s->config->max_body + SWALLOW_BYTES &&
                 !MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
  return swallow ? MHD_YES : refuse(c, mhd, c->verdict.code, c->verdict.message);
}

static void take_body(connection *c, const char *data, size_t size) {
  if (c->verdict.code != 0 || c->body_failed) return;
  size_t needed;
  if (!size_add(&needed, c->body_size, size) ||
      mem_grow(&c->body, &c->body_capacity, needed, 1, NULL) != GARAM_OK) {
    c->body_failed = true;
    return;
  }
  memcpy(c->body + c->body_size, data, size);
  c->body_size = needed;
}

static enum MHD_Result finish(connection *c, struct MHD_Connection *mhd, const char *url,
                              const char *method) {
  exchange *e = &c->exchange;
  if (c->verdict.code != 0) return refuse(c, mhd, c->verdict.code, c->verdict.message);
  if (c->body_failed) return refuse(c, mhd, 503, "out of memory");
  atomic_store(&c->waiting_since, 0); /* from here to the answer it is ours */
  e->method = method;
  e->path = url;
  e->content_type = MHD_lookup_connection_value(mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
  e->rows = MHD_lookup_connection_value(mhd, MHD_GET_ARGUMENT_KIND, "rows");
  e->body = c->body_size > 0 ? c->body : "";
  e->body_size = c->body_size;
  e->inference_header = c->verdict.inference_header;
  exchange_route(e, c->list->state);
  return answer(c, mhd, false);
}

enum MHD_Result connection_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request) {
  (void)cls;
  if (!*request) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (!info || !info->socket_context) return MHD_NO;
    *request = info->socket_context;
    return begin(*request, mhd, method, version);
  }
  if (*upload_size > 0) {
    take_body(*request, upload, *upload_size);
    *upload_size = 0;
    return MHD_YES;
  }
  return finish(*request, mhd, url, method);
}

void connection_completed(void *cls, struct MHD_Connection *mhd, void **request,
                          enum MHD_RequestTerminationCode code) {
  connection *c = *request;
  (void)cls;
  (void)mhd;
  (void)code;
  if (!c) return;
  *request = NULL;
  atomic_store(&c->in_request, false);
  atomic_fetch_sub(&c->list->state->metrics.in_flight, 1);
  atomic_store(&c->waiting_since, clock_monotonic_ns());
  exchange_trim(&c->exchange, KEEP_BYTES);
  if (c->body_capacity > KEEP_BYTES) {
    mem_free(c->body);
    c->body = NULL;
    c->body_capacity = 0;
  }
}
