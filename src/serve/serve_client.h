/* A client for tests: bytes over a socket, nothing done for the caller that a test wants to do
 * wrong. Every wait is bounded. */
#ifndef SERVE_SERVE_CLIENT_H
#define SERVE_SERVE_CLIENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CLIENT_BUFFER = 1 << 20, CLIENT_WAIT_MS = 20000 };

typedef struct client {
  int fd;
  char *data; /* received and not taken */
  size_t size;
  char *body; /* of the last reply */
} client;

typedef struct reply {
  int code; /* 0: the connection was closed without an answer */
  char head[8192];
  char *body; /* with a NUL behind it; in the client, until the next reply */
  size_t body_size;
  bool close; /* Connection: close */
} reply;

static inline bool client_open(client *c, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons((uint16_t)port),
                           .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int one = 1;
  *c = (client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  c->data = malloc(CLIENT_BUFFER + 1);
  if (c->fd >= 0 && c->data && connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0) {
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return true;
  }
  return false;
}

static inline bool client_open_unix(client *c, const char *path) {
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
  *c = (client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  c->data = malloc(CLIENT_BUFFER + 1);
  return c->fd >= 0 && c->data && connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0;
}

static inline void client_close(client *c) {
  if (c->fd >= 0) close(c->fd);
  free(c->data);
  free(c->body);
  *c = (client){.fd = -1};
}

static inline bool client_send(client *c, const void *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t n = send(c->fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
    if (n <= 0) return false;
    done += (size_t)n;
  }
  return true;
}

/* More bytes into the buffer: 1, 0 at the end of the connection, -1 when none came in time. */
static inline int client_fill(client *c, int wait_ms) {
  struct pollfd p = {.fd = c->fd, .events = POLLIN};
  if (poll(&p, 1, wait_ms) <= 0) return -1;
  ssize_t n = recv(c->fd, c->data + c->size, CLIENT_BUFFER - c->size, 0);
  if (n <= 0) return 0;
  c->size += (size_t)n;
  return 1;
}

/* True when the server has closed the connection and nothing is left to read. */
static inline bool client_closed(client *c, int wait_ms) {
  return c->size == 0 && client_fill(c, wait_ms) == 0;
}

static inline const char *reply_header(const reply *r, const char *name) {
  static _Thread_local char value[512];
  size_t n = strlen(name);
  for (const char *line = strstr(r->head, "\r\n"); line; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, n) == 0 && line[n] == ':') {
      snprintf(value, sizeof value, "%.*s", (int)strcspn(line + n + 2, "\r"), line + n + 2);
      return value;
    }
  }
  return NULL;
}

static inline void client_take(client *c, size_t n) {
  memmove(c->data, c->data + n, c->size - n);
  c->size -= n;
}

/* The next answer; of pipelined ones, one. head_only: to a HEAD request. */
static inline reply client_reply_to(client *c, bool head_only) {
  reply r = {.code = 0};
  char *end;
  c->data[c->size] = 0;
  for (;;) {
    if ((end = memmem(c->data, c->size, "\r\n\r\n", 4))) {
      size_t n = (size_t)(end - c->data) + 4;
      if (n < sizeof r.head && strncmp(c->data, "HTTP/1.1 100", 12) == 0) {
        client_take(c, n);
        continue;
      }
      break;
    }
    if (client_fill(c, CLIENT_WAIT_MS) <= 0) return r;
  }
  size_t head = (size_t)(end - c->data) + 4;
  if (head >= sizeof r.head || strncmp(c->data, "HTTP/1.", 7) != 0) return r;
  memcpy(r.head, c->data, head);
  client_take(c, head);
  const char *length = reply_header(&r, "Content-Length");
  r.body_size = length && !head_only ? strtoul(length, NULL, 10) : 0;
  const char *connection = reply_header(&r, "Connection");
  r.close = connection && strcasecmp(connection, "close") == 0;
  if (r.body_size >= CLIENT_BUFFER) return r;
  while (c->size < r.body_size)
    if (client_fill(c, CLIENT_WAIT_MS) <= 0) return (reply){.code = 0};
  free(c->body);
  c->body = malloc(r.body_size + 1);
  if (!c->body) return (reply){.code = 0};
  memcpy(c->body, c->data, r.body_size);
  c->body[r.body_size] = 0;
  r.body = c->body;
  client_take(c, r.body_size);
  r.code = atoi(r.head + 9);
  return r;
}

static inline reply client_reply(client *c) {
  return client_reply_to(c, false);
}

/* One request; `headers` are lines with \r\n, without Host and Content-Length. */
static inline reply client_ask(client *c, const char *method, const char *path, const char *headers,
                               const void *body, size_t size) {
  char head[4096];
  bool with_body = strcmp(method, "POST") == 0 || size > 0;
  int n =
      snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s", method, path, headers);
  if (with_body) n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", size);
  n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
  if (!client_send(c, head, (size_t)n) || !client_send(c, body, size)) return (reply){.code = 0};
  return client_reply_to(c, strcmp(method, "HEAD") == 0);
}

static inline reply client_get(client *c, const char *path) {
  return client_ask(c, "GET", path, "", "", 0);
}

static inline reply client_post_json(client *c, const char *path, const char *json) {
  return client_ask(c, "POST", path, "Content-Type: application/json\r\n", json, strlen(json));
}

#endif
