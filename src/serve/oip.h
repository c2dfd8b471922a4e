/* The Open Inference Protocol, version 2 (KServe), with Triton's binary tensor data extension:
 * what a request's bytes mean, and what an answer looks like. Pure: no sockets, no model, and so
 * the part that is fuzzed.
 *
 * One input, "features": FP32 (n, T, F), or (n, F) when T is 1. FP64, INT32 and INT64 are
 * converted and must fit. Two outputs: "probabilities" FP32 (n, K) and "label" BYTES (n); a
 * regression has one, "value" FP32 (n, 1), a policy "action" FP32 (n, K). */
#ifndef SERVE_OIP_H
#define SERVE_OIP_H

#include "infer/session.h"
#include "serve/json_reader.h"
#include "serve/text.h"

enum { OIP_MAX_OUTPUTS = 2, OIP_MAX_RANK = 3 };
enum { OIP_PROBABILITIES, OIP_LABEL }; /* a regression's value is output 0 as well */

typedef struct oip_request {
  size_t n;        /* windows */
  float *x;        /* (n, T, F): finite; kept from request to request */
  size_t capacity; /* of x, in floats */
  json_slice id;   /* as it was written, quotes included; size 0: none. Points into the body */
  int n_outputs;   /* in the order asked for */
  struct {
    int which; /* OIP_PROBABILITIES, OIP_LABEL */
    bool binary;
  } outputs[OIP_MAX_OUTPUTS];
  bool any_binary;
} oip_request;

void oip_request_deinit(oip_request *r);

/* `header_length` is Inference-Header-Content-Length: bytes of JSON in front of binary data; -1
 * without one. With 0 the whole body is FP32 data for as many windows as there are. max_rows
 * windows at most (GARAM_LIMIT). Everything else that is wrong is GARAM_PARSE, GARAM_INVALID or
 * GARAM_MISMATCH, and the message names the field and the element. */
garam_status oip_parse(oip_request *r, const session_info *model, const char *body, size_t size,
                       int64_t header_length, size_t max_rows, garam_error *err);

/* The answer for out (n, K). *header_length: of the JSON in front of binary data, or -1. */
void oip_respond(text *t, int64_t *header_length, const oip_request *r, const session_info *model,
                 const char *name, const float *out);

void oip_model_metadata(text *t, const session_info *model, const char *name);
void oip_server_metadata(text *t);
void oip_error(text *t, const char *message); /* {"error": "..."} */

/* The most probable class; the first among equals. */
int oip_top_class(const float *p, int k);

#endif
