/* garam completion: a script for bash. It asks --help, which is generated from the rows of the
 * command and of the model that is being typed, so it never lags behind. */
#include "cli/commands.h"

#include <string.h>

static const char script[] =
    "# garam: completion for bash. Use: source <(garam completion bash)\n"
    "_garam() {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "  local verb=${COMP_WORDS[1]} help words\n"
    "  COMPREPLY=()\n"
    "  if ((COMP_CWORD == 1)); then\n"
    "    words=$(garam --help | sed -n 's/^  \\([a-z]*\\) .*/\\1/p')\n"
    "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "    return\n"
    "  fi\n"
    "  local model= i bench=\n"
    "  [[ $verb == bench ]] && bench=${COMP_WORDS[2]}\n"
    "  for ((i = 2; i < COMP_CWORD - 1; i++)); do\n"
    "    [[ ${COMP_WORDS[i]} == --model ]] && model=\"--model ${COMP_WORDS[i+1]}\"\n"
    "  done\n"
    "  case $prev in\n"
    "    --model) words=$(garam models | sed -n '3,$s/ .*//p') ;;\n"
    "    --preset) words=$(garam options ${model#--model } 2>/dev/null |\n"
    "      sed -n '/^Presets/,$s/^  \\([a-z]*\\) .*/\\1/p') ;;\n"
    "    bench) words='machine step updates train env infer predict online selection parity' ;;\n"
    "    options) words=\"$(garam models | sed -n '3,$s/ .*//p') $(garam options |\n"
    "      sed -n 's/^  \\([a-z]*\\) .*/\\1/p')\" ;;\n"
    "    --*)\n"
    "      help=$(garam $verb $bench $model --help 2>/dev/null)\n"
    "      words=$(sed -n \"s/^  $prev \\([a-z0-9_-]*|[a-z0-9|_-]*\\).*/\\1/p\" <<<\"$help\" |\n"
    "        tr '|' ' ') ;;\n"
    "  esac\n"
    "  if [[ -z $words && $cur == -* ]]; then\n"
    "    words=$(garam $verb $bench $model --help 2>/dev/null |\n"
    "      sed -n 's/^  \\(--[a-z0-9-]*\\).*/\\1/p')\n"
    "  fi\n"
    "  if [[ -n $words ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
    "  else COMPREPLY=($(compgen -f -- \"$cur\")); fi\n"
    "}\n"
    "complete -o filenames -o bashdefault -F _garam garam\n";

static int run(cli *c) {
  int code = cli_parse(c, 1, 1);
  if (code != CLI_GO_ON) return code;
  if (strcmp(c->operands[0], "bash") != 0)
    return cli_usage(c, "no script for \"%s\": there is one for bash", c->operands[0]);
  fputs(script, stdout);
  return cli_flush_stdout(c);
}

const command cmd_completion = {
    .name = "completion",
    .summary = "a script that completes commands and options in bash",
    .usage = "bash",
    .examples = "source <(garam completion bash)",
    .run = run,
};
