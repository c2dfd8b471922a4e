/* Is this one request, and whose body is it? libmicrohttpd 0.9.75 accepts Content-Length together
 * with Transfer-Encoding, and several Content-Lengths, and would then run what an attacker hid
 * behind a proxy's back. So every request's head is judged before anything else: any
 * Transfer-Encoding is 411, anything doubtful about lengths or names 400, and the connection is
 * closed. Pure, for tests and fuzzing. */
#ifndef SERVE_GUARD_H
#define SERVE_GUARD_H

#include "base/status.h"

typedef struct http_header {
  const char *name, *value; /* value may be NULL */
  size_t name_size, value_size;
} http_header;

typedef struct guard_verdict {
  int code;                 /* 0: go on; else answer this and close the connection */
  const char *message;      /* static */
  const char *reason;       /* static, for the metric: "framing", "size", "encoding" */
  int64_t body_size;        /* Content-Length; -1: none */
  int64_t inference_header; /* Inference-Header-Content-Length; -1: none */
} guard_verdict;

guard_verdict guard_check(const char *method, const char *version, const http_header *headers,
                          size_t n_headers, int64_t max_body);

/* True when the type (without parameters) is one of the names, which are lower case. */
bool guard_content_type(const char *value, const char *const *names, size_t n_names);

#endif
