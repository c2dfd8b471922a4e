/* A server's life: names, the listening socket, start, drain, stop. */
#include "serve/serve.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/connection.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

const opt_row serve_options[] = {
    {"port", OPT_INT, OPT_AT(serve_config, port), .def = 8080, .min = 0, .max = 65535,
     .help = "TCP port; 0 takes any that is free and says which"},
    {"address", OPT_STRING, OPT_AT(serve_config, address), .def_text = "127.0.0.1",
     .help = "address to listen on; 0.0.0.0 for all of IPv4, :: for all"},
    {"socket", OPT_STRING, OPT_AT(serve_config, socket), .def_text = "",
     .help = "path of a Unix socket to listen on in place of a port"},
    {"name", OPT_STRING, OPT_AT(serve_config, name), .def_text = "",
     .help = "name of the model in place of its file's; several with commas"},
    {"max-body", OPT_BYTES, OPT_AT(serve_config, max_body), .def = 16 << 20, .min = 1024,
     .max = 1 << 30, .unit = "bytes", .help = "largest request body"},
    {"max-batch", OPT_INT, OPT_AT(serve_config, max_batch), .def = 1024, .min = 1, .max = 1 << 20,
     .unit = "rows", .help = "most rows of one inference request"},
    {"timeout", OPT_F64, OPT_AT(serve_config, timeout), .def = 30, .min = 0.05, .max = 86400,
     .unit = "seconds",
     .help = "to send a request, wait for a worker, read an answer, or be silent in between"},
    {"drain", OPT_F64, OPT_AT(serve_config, drain), .def = 10, .min = 0, .max = 86400,
     .unit = "seconds", .help = "that requests under way have to finish when stopping"},
    {"connection-limit", OPT_INT, OPT_AT(serve_config, connection_limit), .def = 256, .min = 1,
     .max = 65536, .help = "most open connections"},
    {"connections-per-address", OPT_INT, OPT_AT(serve_config, connections_per_address), .def = 0,
     .min = 0, .max = 65536, .help = "most open connections from one address; 0: no limit"},
};
const size_t serve_n_options = COUNT_OF(serve_options);

struct serve_server {
  serve_config config;
  char where[160];
  int port;
  const char **names;
  session **sessions;
  char (*name_text)[SERVE_NAME_MAX];
  serve_state state;
  connection_list connections;
  struct MHD_Daemon *daemon;
};

/* ---- names ---------------------------------------------------------------------------------- */

static bool in_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
         c == '_' || c == '-';
}

void serve_model_name(char out[SERVE_NAME_MAX], const char *path) {
  static const char suffix[] = ".safetensors";
  const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
  size_t n = strlen(name);
  if (n > sizeof suffix - 1 && strcmp(name + n - (sizeof suffix - 1), suffix) == 0)
    n -= sizeof suffix - 1;
  if (n > SERVE_NAME_MAX - 1) n = SERVE_NAME_MAX - 1;
  for (size_t i = 0; i < n; i++) out[i] = in_name(name[i]) ? name[i] : '-';
  out[n] = 0;
}

static garam_status check_name(const char *name, garam_error *err) {
  size_t n = 0;
  while (in_name(name[n])) n++;
  if (n == 0 || name[n] != 0 || strspn(name, ".") == n)
    return fail(err, GARAM_INVALID,
                "\"%s\" is no name for a model; letters, digits, '.', '_' and '-' are expected",
                name);
  return GARAM_OK;
}

garam_status serve_name_of(char out[SERVE_NAME_MAX], const serve_config *config, size_t i,
                           size_t n_models, const char *path, garam_error *err) {
  if (config->name[0] == 0) {
    serve_model_name(out, path);
    return check_name(out, err);
  }
  size_t n_names = 1;
  for (const char *at = config->name; *at; at++) n_names += *at == ',';
  if (n_names != n_models)
    return fail(err, GARAM_INVALID, "--name gives %zu names for %zu models", n_names, n_models);
  const char *at = config->name;
  for (; i > 0; i--) at = strchr(at, ',') + 1;
  size_t n = strcspn(at, ",");
  if (n >= SERVE_NAME_MAX)
    return fail(err, GARAM_INVALID, "a model's name has at most %d characters", SERVE_NAME_MAX - 1);
  memcpy(out, at, n);
  out[n] = 0;
  return check_name(out, err);
}

/* ---- the listening socket ---------------------------------------------------------------------
 */

static garam_status listen_tcp(int *out, serve_server *s, garam_error *err) {
  const serve_config *config = &s->config;
  struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                           .ai_socktype = SOCK_STREAM},
                  *found = NULL;
  char port[16];
  snprintf(port, sizeof port, "%d", config->port);
  int rc = getaddrinfo(config->address, port, &hints, &found);
  if (rc != 0)
    return fail(err, GARAM_INVALID, "--address %s: %s; expected an address such as 127.0.0.1",
                config->address, gai_strerror(rc));

  garam_status status = GARAM_OK;
  int one = 1, fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    status = fail(err, GARAM_IO, "no socket: %s", strerror(errno));
  } else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
             bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 511) != 0) {
    status = errno == EADDRINUSE
                 ? fail(err, GARAM_BUSY,
                        "port %d on %s is in use; stop what listens there, or take another "
                        "--port (0: any that is free)",
                        config->port, config->address)
             : errno == EACCES
                 ? fail(err, GARAM_IO, "port %d needs rights that this process lacks", config->port)
                 : fail(err, GARAM_IO, "listening on %s port %d: %s", config->address, config->port,
                        strerror(errno));
  }
  bool v6 = found->ai_family == AF_INET6;
  freeaddrinfo(found);
  if (status != GARAM_OK) {
    if (fd >= 0) close(fd);
    return status;
  }

  struct sockaddr_storage bound = {0};
  socklen_t size = sizeof bound;
  getsockname(fd, (struct sockaddr *)&bound, &size);
  s->port = v6 ? ntohs(((struct sockaddr_in6 *)(void *)&bound)->sin6_port)
               : ntohs(((struct sockaddr_in *)(void *)&bound)->sin_port);
  snprintf(s->where, sizeof s->where, v6 ? "http://[%s]:%d" : "http://%s:%d", config->address,
           s->port);
  *out = fd;
  return GARAM_OK;
}

/* A socket that nobody answers is left from a process that died; it is replaced. */
static garam_status listen_unix(int *out, serve_server *s, garam_error *err) {
  const char *path = s->config.socket;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return fail(err, GARAM_INVALID, "--socket %s: a socket's path has at most %zu characters", path,
                sizeof address.sun_path - 1);
  strcpy(address.sun_path, path);
  struct stat st;
  if (lstat(path, &st) == 0) {
    if (!S_ISSOCK(st.st_mode)) return fail(err, GARAM_BUSY, "%s is there and is no socket", path);
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool alive = probe >= 0 && connect(probe, (struct sockaddr *)&address, sizeof address) == 0;
    if (probe >= 0) close(probe);
    if (alive) return fail(err, GARAM_BUSY, "socket %s is in use by another server", path);
    unlink(path);
  }
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      listen(fd, 511) != 0) {
    garam_status status = fail(err, GARAM_IO, "listening on %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return status;
  }
  snprintf(s->where, sizeof s->where, "unix:%s", path);
  *out = fd;
  return GARAM_OK;
}

/* ---- start ------------------------------------------------------------------------------------
 */

static void log_line(void *cls, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

static void log_line(void *cls, const char *format, va_list args) {
  char line[512];
  (void)cls;
  vsnprintf(line, sizeof line, format, args);
  line[strcspn(line, "\n")] = 0;
  log_debug("http: %s", line);
}

static garam_status take_models(serve_server *s, const serve_model *models, size_t n,
                                garam_error *err) {
  s->names = mem_array(n, sizeof *s->names);
  s->sessions = mem_array(n, sizeof *s->sessions);
  s->name_text = mem_array(n, sizeof *s->name_text);
  if (!s->names || !s->sessions || !s->name_text) return fail_memory(err, n * SERVE_NAME_MAX);
  for (size_t i = 0; i < n; i++) {
    TRY(check_name(models[i].name, err));
    if (strlen(models[i].name) >= SERVE_NAME_MAX)
      return fail(err, GARAM_INVALID, "a model's name has at most %d characters",
                  SERVE_NAME_MAX - 1);
    strcpy(s->name_text[i], models[i].name);
    s->names[i] = s->name_text[i];
    s->sessions[i] = models[i].session;
    for (size_t j = 0; j < i; j++)
      if (strcmp(s->names[i], s->names[j]) == 0)
        return fail(err, GARAM_INVALID, "two models have the name \"%s\"; --name gives them others",
                    s->names[i]);
  }
  return GARAM_OK;
}

static void server_free(serve_server *s) {
  metrics_deinit(&s->state.metrics);
  mem_free(s->names);
  mem_free(s->sessions);
  mem_free(s->name_text);
  mem_free(s);
}

garam_status serve_start(serve_server **out, const serve_model *models, size_t n_models,
                         const serve_config *config, garam_error *err) {
  garam_status status = GARAM_OK;
  int fd = -1;
  *out = NULL;
  REQUIRE(n_models > 0, "a server without models");
  serve_server *s = mem_zalloc(sizeof *s);
  if (!s) return fail_memory(err, sizeof *s);
  s->config = *config;
  TRY_GOTO(failed, take_models(s, models, n_models, err));
  s->state.config = &s->config;
  s->state.where = s->where;
  s->state.names = s->names;
  s->state.sessions = s->sessions;
  s->state.n_models = n_models;
  TRY_GOTO(failed, metrics_init(&s->state.metrics, s->names, n_models, err));
  TRY_GOTO(failed, config->socket[0] ? listen_unix(&fd, s, err) : listen_tcp(&fd, s, err));
  TRY_GOTO(failed, connection_list_init(&s->connections, &s->state, err));

  /* No MHD_OPTION_CONNECTION_TIMEOUT: it starts anew with every byte, and cuts off answers that
   * took long to compute. The connections are watched instead. */
  s->daemon = MHD_start_daemon(
      MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC |
          MHD_USE_ERROR_LOG,
      0, NULL, NULL, connection_handle, &s->connections, MHD_OPTION_EXTERNAL_LOGGER, log_line, NULL,
      MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_CONNECTION, connection_notify,
      &s->connections, MHD_OPTION_NOTIFY_COMPLETED, connection_completed, &s->connections,
      MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->connection_limit,
      MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->connections_per_address,
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)64 << 10, MHD_OPTION_THREAD_STACK_SIZE,
      (size_t)1 << 20, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
  if (!s->daemon) {
    status = fail(err, GARAM_LIMIT, "the HTTP server did not start on %s", s->where);
    connection_list_deinit(&s->connections);
    goto failed;
  }
  *out = s;
  return GARAM_OK;

failed:
  if (fd >= 0) {
    close(fd);
    if (config->socket[0]) unlink(config->socket);
  }
  server_free(s);
  return status;
}

int serve_port(const serve_server *s) {
  return s->port;
}

const char *serve_where(const serve_server *s) {
  return s->where;
}

/* ---- stop -------------------------------------------------------------------------------------
 */

void serve_drain(serve_server *s) {
  atomic_store(&s->state.draining, true);
}

/* Until no request has been under way for a moment: one whose first bytes are on their way while
 * the listener closes is served too. */
static bool wait_idle(serve_server *s) {
  const int64_t quiet = 20000000;
  int64_t now = clock_monotonic_ns(), deadline = now + (int64_t)(s->config.drain * 1e9),
          idle_since = now;
  for (;; now = clock_monotonic_ns()) {
    bool busy = atomic_load(&s->state.metrics.in_flight) > 0;
    if (busy) idle_since = now;
    if (!busy && now - idle_since >= quiet) return true;
    if (now >= deadline + (busy ? 0 : quiet)) return !busy;
    nanosleep(&(struct timespec){0, 2000000}, NULL);
  }
}

garam_status serve_stop(serve_server *s, garam_error *err) {
  if (!s) return GARAM_OK;
  serve_drain(s);
  int fd = MHD_quiesce_daemon(s->daemon);
  if (fd >= 0) close(fd);
  if (s->config.socket[0]) unlink(s->config.socket);
  bool finished = wait_idle(s);
  int64_t left = atomic_load(&s->state.metrics.in_flight);
  MHD_stop_daemon(s->daemon); /* shuts every socket, joins every thread */
  connection_list_deinit(&s->connections);
  server_free(s);
  if (finished) return GARAM_OK;
  return fail(err, GARAM_INTERRUPTED, "%lld requests did not finish within --drain",
              (long long)left);
}
