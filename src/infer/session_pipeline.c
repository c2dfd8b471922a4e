/* The session of a package: every worker is a pipeline of its own. */
#include "infer/session.h"

#include "base/io.h"
#include "base/mem.h"
#include "base/thread.h"
#include "learn/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names for session_info; the strings belong to the first worker's pipeline. */
typedef struct shared_names {
  const char **features, **outputs;
} shared_names;

typedef struct row_state {
  table *table;
  dataset *data;
} row_state;

static garam_status worker_run(void *worker, const float *x, size_t n, float *out,
                               garam_error *err) {
  return pipeline_predict_windows(worker, x, NULL, n, out, err);
}

static void worker_close(void *worker) {
  pipeline_free(worker);
}

static void shared_close(void *shared) {
  shared_names *names = shared;
  if (!names) return;
  mem_free(names->features);
  mem_free(names->outputs);
  mem_free(names);
}

static void rows_free(session_rows *rows) {
  row_state *state = rows->state;
  dataset_free(state->data);
  table_free(state->table);
  mem_free(state);
}

/* The text as a file without a name, because a table is opened by one. */
static garam_status text_file(int *fd, const char *text, size_t size, garam_error *err) {
  *fd = memfd_create("garam-rows", MFD_CLOEXEC);
  if (*fd < 0) return fail(err, GARAM_IO, "no memory file for the rows: %s", strerror(errno));
  for (size_t done = 0; done < size;) {
    ssize_t n = write(*fd, text + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      close(*fd);
      return fail(err, GARAM_IO, "writing the rows to a memory file: %s", strerror(errno));
    }
    done += (size_t)n;
  }
  return GARAM_OK;
}

/* "/proc/self/fd/7:3: what" says nothing to who sent the rows: "rows:3: what". */
static void name_rows(garam_error *err, const char *path) {
  if (!err) return;
  size_t n = strlen(path);
  for (char *at = err->message; (at = strstr(at, path));) {
    memmove(at + 4, at + n, strlen(at + n) + 1); /* the path is longer than its new name */
    memcpy(at, "rows", 4);
    at += 4;
  }
}

static garam_status rows_read(session_rows *out, const void *worker, const char *csv, size_t size,
                              garam_error *err) {
  static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
  const pipeline *p = worker;
  garam_status status = GARAM_OK;
  int fd = -1;
  /* A few packed kilobytes may hold gigabytes; the limit on the body would be none. */
  if ((size >= sizeof gzip && memcmp(csv, gzip, sizeof gzip) == 0) ||
      (size >= sizeof zstd && memcmp(csv, zstd, sizeof zstd) == 0))
    return fail(err, GARAM_UNSUPPORTED, "compressed rows are not accepted; send plain text");
  row_state *state = mem_zalloc(sizeof *state);
  if (!state) return fail_memory(err, sizeof *state);

  char path[32] = "";
  TRY_GOTO(done, text_file(&fd, csv, size, err));
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  TRY_GOTO(done, table_open(&state->table, path, pipeline_read_config(p), NULL, NULL, err));
  TRY_GOTO(done, pipeline_dataset(&state->data, p, state->table, false, err));
  *out = (session_rows){.n_rows = state->data->n_rows,
                        .known_at = state->data->known_at,
                        .usable = state->data->usable,
                        .state = state};
  if (state->table->time_column >= 0 && state->table->n_rows == state->data->n_rows)
    out->time = state->table->columns[state->table->time_column].i64;

done:
  if (fd >= 0) close(fd);
  if (status != GARAM_OK) {
    if (path[0]) name_rows(err, path);
    dataset_free(state->data);
    table_free(state->table);
    mem_free(state);
  }
  return status;
}

static garam_status rows_run(void *worker, const session_rows *rows, const uint32_t *which,
                             size_t n, float *out, garam_error *err) {
  const row_state *state = rows->state;
  return pipeline_predict(worker, state->data, (row_set){which, n}, out, err);
}

static const session_ops pipeline_session = {
    .run = worker_run,
    .read_rows = rows_read,
    .run_rows = rows_run,
    .free_rows = rows_free,
    .close = worker_close,
    .close_shared = shared_close,
};

static garam_status info_of(session_info *info, shared_names *names, const pipeline *p,
                            const char *path, garam_error *err) {
  size_t n_features = pipeline_n_features(p);
  int n_outputs = pipeline_n_outputs(p);
  struct stat st;
  names->features = mem_array(n_features, sizeof *names->features);
  names->outputs = mem_array((size_t)n_outputs, sizeof *names->outputs);
  if (!names->features || !names->outputs) return fail_memory(err, n_features * sizeof(char *));
  for (size_t i = 0; i < n_features; i++) names->features[i] = pipeline_feature_name(p, i);
  for (int i = 0; i < n_outputs; i++) names->outputs[i] = pipeline_output_name(p, i);
  *info = (session_info){.task = pipeline_task(p),
                         .context = pipeline_context(p),
                         .n_features = n_features,
                         .n_outputs = n_outputs,
                         .feature_names = names->features,
                         .output_names = names->outputs,
                         .learner = pipeline_learner(p)->name,
                         .sha256 = pipeline_sha256(p),
                         .bytes = stat(path, &st) == 0 ? (size_t)st.st_size : 0};
  info->threshold = pipeline_threshold(p, &info->target);
  return GARAM_OK;
}

garam_status session_load_pipeline(session **out, const char *path, const session_config *config,
                                   garam_error *err) {
  garam_status status = GARAM_OK;
  size_t n = (size_t)(config->workers > 0 ? config->workers : thread_available()), loaded = 0;
  session_info info;
  *out = NULL;
  void **workers = mem_array(n, sizeof *workers);
  shared_names *names = mem_zalloc(sizeof *names);
  if (!workers || !names) {
    status = fail_memory(err, n * sizeof *workers);
    goto done;
  }
  int before = thread_count(); /* what is planned for a count must be run with it */
  thread_set_count(config->threads_per_request);
  for (; loaded < n && status == GARAM_OK; loaded += status == GARAM_OK) {
    pipeline *p = NULL;
    status = pipeline_load(&p, path, err);
    workers[loaded] = p;
  }
  thread_set_count(before);
  if (status == GARAM_OK) status = info_of(&info, names, workers[0], path, err);
  if (status != GARAM_OK) goto done;
  status = session_new(out, &pipeline_session, &info, workers, n, names, config, err);
  names = NULL; /* taken, as the workers were */
  loaded = 0;

done:
  for (size_t i = 0; i < loaded; i++) pipeline_free(workers[i]);
  shared_close(names);
  mem_free(workers);
  return status;
}
