/* The head of a request, judged (RFC 9112, sections 5, 6 and 11.2). */
#include "serve/guard.h"

#include <string.h>
#include <strings.h>

static bool named(const http_header *h, const char *name) {
  return h->name_size == strlen(name) && strncasecmp(h->name, name, h->name_size) == 0;
}

/* Letters, digits and the signs of a token (RFC 9110, 5.6.2). A space before the colon, a control
 * character or a quote is how one side is made to overlook a header that the other obeys. */
static bool is_token(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (!letter && (c == 0 || !strchr("!#$%&'*+-.^_`|~", c))) return false;
  }
  return n > 0;
}

static bool is_field_value(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)s[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

/* Digits only: no sign, no list, no space, no hexadecimal. -1 when it is anything else. */
static int64_t parse_length(const char *s, size_t n) {
  int64_t value = 0;
  if (n == 0 || n > 15) return -1;
  for (size_t i = 0; i < n; i++) {
    if (s[i] < '0' || s[i] > '9') return -1;
    value = value * 10 + (s[i] - '0');
  }
  return value;
}

guard_verdict guard_check(const char *method, const char *version, const http_header *headers,
                          size_t n_headers, int64_t max_body) {
  guard_verdict v = {.body_size = -1, .inference_header = -1};
  size_t n_lengths = 0, n_inference = 0, n_hosts = 0;
  bool bad_syntax = false, bad_length = false, bad_inference = false, encoded = false;
  bool transfer = false;
  for (size_t i = 0; i < n_headers; i++) {
    const http_header *h = &headers[i];
    if (!is_token(h->name, h->name_size) || !is_field_value(h->value, h->value_size))
      bad_syntax = true;
    if (named(h, "Transfer-Encoding")) transfer = true;
    if (named(h, "Host")) n_hosts++;
    if (named(h, "Content-Encoding") &&
        !(h->value_size == 8 && strncasecmp(h->value, "identity", 8) == 0))
      encoded = true;
    if (named(h, "Content-Length")) {
      n_lengths++;
      v.body_size = parse_length(h->value, h->value_size);
      bad_length |= v.body_size < 0;
    }
    if (named(h, "Inference-Header-Content-Length")) {
      n_inference++;
      v.inference_header = parse_length(h->value, h->value_size);
      bad_inference |= v.inference_header < 0;
    }
  }

  v.reason = "framing";
  if (transfer) {
    v.code = 411;
    v.message = "Transfer-Encoding is not accepted; send a Content-Length";
  } else if (n_lengths > 1) {
    v.code = 400;
    v.message = "more than one Content-Length";
  } else if (bad_length) {
    v.code = 400;
    v.message = "Content-Length is not a plain number";
  } else if (bad_syntax) {
    v.code = 400;
    v.message = "a header whose name or value HTTP does not allow";
  } else if (strcmp(version, "HTTP/1.1") == 0 && n_hosts != 1) {
    v.code = 400;
    v.message = "HTTP/1.1 needs exactly one Host header";
  } else if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) {
    v.code = 505;
    v.message = "only HTTP/1.0 and HTTP/1.1 are spoken here";
  } else if (strcmp(method, "POST") == 0 && n_lengths == 0) {
    v.code = 411;
    v.message = "a POST needs a Content-Length";
  } else if (v.body_size > max_body) {
    v.code = 413;
    v.message = "the body is larger than --max-body";
    v.reason = "size";
  } else if (n_inference > 1 || bad_inference) {
    v.code = 400;
    v.message = "Inference-Header-Content-Length is not one plain number";
  } else if (encoded) {
    v.code = 415;
    v.message = "Content-Encoding is not accepted; send the body as it is";
    v.reason = "encoding";
  }
  return v;
}

bool guard_content_type(const char *value, const char *const *names, size_t n_names) {
  size_t n = strcspn(value, "; \t");
  for (size_t i = 0; i < n_names; i++)
    if (n == strlen(names[i]) && strncasecmp(value, names[i], n) == 0) return true;
  return false;
}
