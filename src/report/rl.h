/* Reports of reinforcement learning, made as report.h's: one self-contained HTML file from the JSON
 * that the commands print. */
#ifndef REPORT_RL_H
#define REPORT_RL_H

#include "base/json.h"

/* `result`: as `garam rl train --json`, or NULL; `play`: as `garam rl play --json`, or NULL. */
garam_status report_rl_write(const char *path, const json_t *result, const json_t *play,
                             const char *command, garam_error *err);
char *report_rl_html(const json_t *result, const json_t *play, const char *command); /* mem_free */

/* `compare`: as `garam rl compare --json`. */
garam_status report_compare_write(const char *path, const json_t *compare, const char *command,
                                  garam_error *err);

#endif
