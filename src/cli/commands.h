/* Every command there is, in the order of the overview: one line here, one cmd_NAME.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/cli.h"

#define CLI_COMMAND_LIST(X)                                                                        \
  X(describe)                                                                                      \
  X(simulate)                                                                                      \
  X(snapshots)                                                                                     \
  X(train)                                                                                         \
  X(evaluate)                                                                                      \
  X(predict)                                                                                       \
  X(serve)                                                                                         \
  X(explain)                                                                                       \
  X(import)                                                                                        \
  X(export)                                                                                        \
  X(compress)                                                                                      \
  X(options)                                                                                       \
  X(models)                                                                                        \
  X(rl)                                                                                            \
  X(bench)                                                                                         \
  X(version)                                                                                       \
  X(completion)

#define X(name) extern const command cmd_##name;
CLI_COMMAND_LIST(X)
#undef X

int bench_environment(cli *c); /* benches with a file of their own */
int bench_online(cli *c);
int bench_selection(cli *c);
int bench_train(cli *c);

#endif
