/* garam serve: packages over HTTP, until SIGTERM or Ctrl-C. */
#include "cli/commands.h"

#include "base/thread.h"
#include "serve/serve.h"

#include <string.h>

typedef struct served {
  session *sessions[CLI_MAX_OPERANDS];
  serve_model models[CLI_MAX_OPERANDS];
  char names[CLI_MAX_OPERANDS][SERVE_NAME_MAX];
} served;

static garam_status load(cli *c, served *all, const serve_config *serve,
                         const session_config *sessions, garam_error *err) {
  size_t n = (size_t)c->n_operands;
  for (size_t i = 0; i < n; i++) {
    TRY(serve_name_of(all->names[i], serve, i, n, c->operands[i], err));
    TRY(session_load(&all->sessions[i], c->operands[i], sessions, err));
    const session_info *info = session_get_info(all->sessions[i]);
    all->models[i] = (serve_model){all->names[i], all->sessions[i]};
    console_line("%s: %s, window %zu x %zu, %d output%s, %zu worker%s", all->names[i],
                 info->learner, info->context, info->n_features, info->n_outputs,
                 info->n_outputs == 1 ? "" : "s", session_n_workers(all->sessions[i]),
                 session_n_workers(all->sessions[i]) == 1 ? "" : "s");
  }
  return GARAM_OK;
}

static int run(cli *c) {
  serve_config serve = {0};
  session_config sessions = {0};
  cli_add(c, "Serving", serve_options, serve_n_options, &serve);
  cli_add(c, "Sessions", session_options, session_n_options, &sessions);
  int code = cli_parse(c, 1, CLI_MAX_OPERANDS);
  if (code != CLI_GO_ON) return code;

  garam_error err = {0};
  garam_status status;
  serve_server *server = NULL;
  served *all = mem_zalloc(sizeof *all);
  if (!all) TRY_GOTO(done, fail_memory(&err, sizeof *all));
  signals_note(); /* also while loading: a supervisor may change its mind */
  TRY_GOTO(done, load(c, all, &serve, &sessions, &err));
  TRY_GOTO(done, serve_start(&server, all->models, (size_t)c->n_operands, &serve, &err));
  /* Said even when quiet: with --port 0 nobody could know the address. */
  fprintf(stderr, "serving at %s\n", serve_where(server));
  if (c->common.json) {
    code = cli_print_json(
        c, json_pack("{s:s, s:i}", "address", serve_where(server), "port", serve_port(server)));
  }
  signals_wait();
  console_line("draining");
  status = serve_stop(server, &err);
done:
  for (int i = 0; all && i < c->n_operands; i++) session_free(all->sessions[i]);
  mem_free(all);
  return status == GARAM_OK ? CLI_OK : cli_fail(c, &err);
}

const command cmd_serve = {
    .name = "serve",
    .summary = "predictions over HTTP: Open Inference Protocol v2, metrics",
    .usage = "MODEL... [--port P] [--socket PATH] [--name NAME]",
    .details =
        "Prints the address on stderr when it answers. SIGTERM and Ctrl-C drain: requests under\n"
        "way finish, then it exits with 0. A second signal ends it at once. docs/serving.md\n"
        "describes the endpoints.",
    .examples = "garam serve model.safetensors --port 8080",
    .run = run,
};
