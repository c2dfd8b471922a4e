/* Connections: libmicrohttpd's callbacks, the framing guard, and the clock that no client can
 * outwait. */
#ifndef SERVE_CONNECTION_H
#define SERVE_CONNECTION_H

#include "serve/exchange.h"

#include <microhttpd.h>
#include <pthread.h>

typedef struct connection connection;

/* Open connections, watched: whoever takes longer than the timeout to send a request, to read an
 * answer, or between two requests is cut off, however slowly the bytes trickle. */
typedef struct connection_list {
  serve_state *state;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  connection *first;
  pthread_t watcher;
  bool stopping;
} connection_list;

garam_status connection_list_init(connection_list *l, serve_state *state, garam_error *err);
void connection_list_deinit(connection_list *l); /* after MHD_stop_daemon */

/* MHD's callbacks; cls is the connection_list. */
void connection_notify(void *cls, struct MHD_Connection *mhd, void **socket_context,
                       enum MHD_ConnectionNotificationCode code);
enum MHD_Result connection_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **request);
void connection_completed(void *cls, struct MHD_Connection *mhd, void **request,
                          enum MHD_RequestTerminationCode code);

#endif
